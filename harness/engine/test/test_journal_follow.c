/* Following a journal: every whole line once, no half line, and never in its writer's way. */
#include "harness/base/test/support.h"
#include "harness/engine/journal.h"

#include <fcntl.h>

static int opened(int flags)
{
	_cleanup_free_ char *path = scratch_path("journal.jsonl");
	int fd = open(path, flags | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	return fd;
}

static void append(int fd, const char *text)
{
	assert_ok(fs_write_all(fd, text, strlen(text), "journal"));
}

/* The number in {"trial": N} of the next line; -1 when there is none. */
static json_int_t next(struct journal_reader *reader)
{
	_cleanup_json_ json_t *line = NULL;

	assert_ok(journal_reader_next(reader, &line));
	return line ? json_integer_value(json_object_get(line, "trial")) : -1;
}

static void whole_lines_are_told_once(void **state)
{
	_cleanup_close_ int out = opened(O_CREAT | O_WRONLY | O_APPEND);
	_cleanup_(cleanup_journal_reader) struct journal_reader *reader =
		journal_reader_create(opened(O_RDONLY));

	(void)state;
	assert_int_equal(next(reader), -1);
	append(out, "{\"trial\": 1}\n{\"trial\": 2}\n{\"tri");
	assert_int_equal(next(reader), 1);
	assert_int_equal(next(reader), 2);
	assert_int_equal(next(reader), -1);
	append(out, "al\": 3}");
	assert_int_equal(next(reader), -1);
	append(out, "\n");
	assert_int_equal(next(reader), 3);
	assert_int_equal(next(reader), -1);
}

/* As a full disk leaves it: the writer takes its half line back. */
static void a_half_line_may_be_taken_back(void **state)
{
	_cleanup_close_ int out = opened(O_CREAT | O_WRONLY | O_APPEND);
	_cleanup_(cleanup_journal_reader) struct journal_reader *reader =
		journal_reader_create(opened(O_RDONLY));

	(void)state;
	append(out, "{\"trial\": 1}\n{\"trial\": 22");
	assert_int_equal(next(reader), 1);
	assert_int_equal(next(reader), -1);
	assert_int_equal(ftruncate(out, strlen("{\"trial\": 1}\n")), 0);
	append(out, "{\"trial\": 5}\n");
	assert_int_equal(next(reader), 5);
}

static void long_lines_are_whole(void **state)
{
	enum { LONG = 1 << 20 };
	_cleanup_close_ int out = opened(O_CREAT | O_WRONLY | O_APPEND);
	_cleanup_(cleanup_journal_reader) struct journal_reader *reader =
		journal_reader_create(opened(O_RDONLY));
	_cleanup_free_ char *filler = calloc(1, LONG + 1);

	(void)state;
	memset(filler, ' ', LONG);
	append(out, "{\"trial\":");
	append(out, filler);
	assert_int_equal(next(reader), -1);
	append(out, "7}\n{\"trial\": 8}\n");
	assert_int_equal(next(reader), 7);
	assert_int_equal(next(reader), 8);
}

static void damage_is_told_and_nothing_after_it(void **state)
{
	_cleanup_close_ int out = opened(O_CREAT | O_WRONLY | O_APPEND);
	_cleanup_(cleanup_journal_reader) struct journal_reader *reader =
		journal_reader_create(opened(O_RDONLY));
	json_t *line;

	(void)state;
	append(out, "{\"trial\": 1}\nnonsense\n{\"trial\": 3}\n");
	assert_int_equal(next(reader), 1);
	assert_fails(journal_reader_next(reader, &line), ERROR_SETUP, "line 2");
	assert_null(line);
	assert_fails(journal_reader_next(reader, &line), ERROR_SETUP, "damaged");
}

static void who_writes_is_seen_and_not_disturbed(void **state)
{
	_cleanup_(cleanup_journal) struct journal *journal = NULL;
	_cleanup_json_ json_t *header = json_pack("{s:{s:[]}}", "plan", "trials");
	_cleanup_json_ json_t *found = NULL;
	_cleanup_json_ json_t *trials = NULL;
	_cleanup_close_ int fd = -1;

	(void)state;
	assert_ok(journal_create(scratch, header, &journal));
	fd = opened(O_RDONLY);
	assert_true(journal_is_written(fd));
	journal_close(take_ptr(journal));
	assert_false(journal_is_written(fd));
	/* the look has left no lock */
	assert_ok(journal_resume(scratch, &journal, &found, &trials));
	assert_true(journal_is_written(fd));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(whole_lines_are_told_once),
		scratch_test(a_half_line_may_be_taken_back),
		scratch_test(long_lines_are_whole),
		scratch_test(damage_is_told_and_nothing_after_it),
		scratch_test(who_writes_is_seen_and_not_disturbed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
