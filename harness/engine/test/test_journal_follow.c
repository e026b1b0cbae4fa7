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

/* Bytes that this process has read so far, of whatever. */
static size_t bytes_read(void)
{
	_cleanup_free_ char *text = NULL;
	size_t count = 0;

	assert_ok(fs_read("/proc/self/io", 4096, &text, NULL));
	assert_int_equal(sscanf(text, "rchar: %zu", &count), 1);
	return count;
}

static void half_a_line_is_read_once(void **state)
{
	enum { LONG = 4 << 20, LOOKS = 20 };
	_cleanup_close_ int out = opened(O_CREAT | O_WRONLY | O_APPEND);
	_cleanup_(cleanup_journal_reader) struct journal_reader *reader =
		journal_reader_create(opened(O_RDONLY));
	_cleanup_free_ char *filler = calloc(1, LONG + 1);
	size_t before;

	(void)state;
	memset(filler, ' ', LONG);
	append(out, "{\"trial\": 1}\n{\"trial\":");
	append(out, filler);
	assert_int_equal(next(reader), 1);
	assert_int_equal(next(reader), -1);
	before = bytes_read();
	for (int i = 0; i < LOOKS; i++)
		assert_int_equal(next(reader), -1);
	assert_true(bytes_read() < before + LONG);
	append(out, "2}\n");
	assert_int_equal(next(reader), 2);
}

static void many_short_lines_after_a_long_one(void **state)
{
	enum { LONG = 2 << 20, SHORT = 20000 };
	_cleanup_close_ int out = opened(O_CREAT | O_WRONLY | O_APPEND);
	_cleanup_(cleanup_journal_reader) struct journal_reader *reader =
		journal_reader_create(opened(O_RDONLY));
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *lines = open_memstream(&text, &size);

	(void)state;
	fprintf(lines, "{\"trial\":%*d}\n", LONG, 1);
	for (int i = 0; i < SHORT; i++)
		fprintf(lines, "{\"trial\": %d}\n", i);
	fclose(lines);
	append(out, text);
	assert_int_equal(next(reader), 1);
	for (int i = 0; i < SHORT; i++)
		assert_int_equal(next(reader), i);
	assert_int_equal(next(reader), -1);
}

/* Another host's journal is as large as it likes. */
static void what_is_too_large_is_not_read(void **state)
{
	_cleanup_close_ int out = opened(O_CREAT | O_WRONLY);
	_cleanup_(cleanup_journal_reader) struct journal_reader *reader =
		journal_reader_create(opened(O_RDONLY));
	size_t before = bytes_read();
	json_t *line;

	(void)state;
	assert_int_equal(ftruncate(out, JOURNAL_FOLLOWED_BYTES + 1), 0);
	assert_fails(journal_reader_next(reader, &line), ERROR_USAGE, "too large to be followed");
	assert_true(bytes_read() < before + ((size_t)1 << 20));
}

static void a_line_that_is_too_long_is_told(void **state)
{
	_cleanup_close_ int out = opened(O_CREAT | O_WRONLY);
	_cleanup_(cleanup_journal_reader) struct journal_reader *reader =
		journal_reader_create(opened(O_RDONLY));
	json_t *line;

	(void)state;
	append(out, "{\"trial\": 1}\n");
	assert_int_equal(next(reader), 1);
	assert_int_equal(ftruncate(out, JOURNAL_LINE_BYTES + ((size_t)1 << 20)), 0);
	assert_fails(journal_reader_next(reader, &line), ERROR_USAGE, "line 2");
}

/* Three bytes of text for each empty list, and more than a hundred of memory. */
static void a_line_of_small_values_is_not_parsed(void **state)
{
	enum { VALUES = 1 << 20 };
	_cleanup_close_ int out = opened(O_CREAT | O_WRONLY);
	_cleanup_(cleanup_journal_reader) struct journal_reader *reader =
		journal_reader_create(opened(O_RDONLY));
	_cleanup_free_ char *values = calloc(3, VALUES + 1);
	json_t *line;

	(void)state;
	for (size_t i = 0; i < VALUES; i++)
		memcpy(values + 3 * i, "[],", 3); /* NOLINT: no text yet */
	append(out, "{\"trial\": [");
	append(out, values);
	append(out, "1]}\n");
	assert_fails(journal_reader_next(reader, &line), ERROR_USAGE, "MiB of memory");
	assert_null(line);
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
		scratch_test(half_a_line_is_read_once),
		scratch_test(many_short_lines_after_a_long_one),
		scratch_test(what_is_too_large_is_not_read),
		scratch_test(a_line_that_is_too_long_is_told),
		scratch_test(a_line_of_small_values_is_not_parsed),
		scratch_test(damage_is_told_and_nothing_after_it),
		scratch_test(who_writes_is_seen_and_not_disturbed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
