/* The journal: what is in it happened, what is cut short did not, and one process writes it. */
#include "harness/base/test/child.h"
#include "harness/engine/journal.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

static json_t *header(void)
{
	return json_pack("{s:s, s:{s:[]}}", "id", "test", "plan", "trials");
}

/* Creates the journal in `scratch` with trials 0 … count-1 and closes it. */
static void write_journal(int count)
{
	_cleanup_(cleanup_journal) struct journal *journal = NULL;
	_cleanup_json_ json_t *head = header();

	assert_ok(journal_create(scratch, head, &journal));
	for (int i = 0; i < count; i++) {
		_cleanup_json_ json_t *trial = json_pack("{s:i, s:f}", "index", i, "x", 0.1 * i);

		assert_ok(journal_append(journal, "trial", trial));
	}
}

/* Trials in the journal; fails the test when they are not 0, 1, 2, … */
static size_t trials_in(const json_t *trials)
{
	json_t *trial;
	size_t i;

	json_array_foreach (trials, i, trial)
		assert_int_equal(json_integer_value(json_object_get(trial, "index")), i);
	return i;
}

static size_t read_trials(void)
{
	_cleanup_json_ json_t *head = NULL;
	_cleanup_json_ json_t *trials = NULL;

	assert_ok(journal_read(scratch, &head, &trials));
	assert_string_equal(json_string_value(json_object_get(head, "id")), "test");
	return trials_in(trials);
}

static off_t journal_size(void)
{
	_cleanup_free_ char *path = scratch_path("journal.jsonl");
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static void append_bytes(const char *bytes)
{
	_cleanup_free_ char *path = scratch_path("journal.jsonl");
	_cleanup_close_ int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

	assert_ok(fs_write_all(fd, bytes, strlen(bytes), path));
}

static void what_was_appended_is_read_again(void **state)
{
	(void)state;
	_cleanup_json_ json_t *head = NULL;
	_cleanup_json_ json_t *trials = NULL;

	write_journal(20);
	assert_ok(journal_read(scratch, &head, &trials));
	assert_int_equal(trials_in(trials), 20);
	/* Readings survive to the last bit. */
	assert_true(json_real_value(json_object_get(json_array_get(trials, 3), "x")) == 0.1 * 3);
}

static void a_half_line_is_dropped_and_cut_off(void **state)
{
	(void)state;
	_cleanup_(cleanup_journal) struct journal *journal = NULL;
	_cleanup_json_ json_t *head = NULL;
	_cleanup_json_ json_t *trials = NULL;
	_cleanup_json_ json_t *next = json_pack("{s:i}", "index", 2);
	off_t whole;

	write_journal(2);
	whole = journal_size();
	append_bytes("{\"trial\":{\"index\":2,\"outco");
	assert_int_equal(read_trials(), 2); /* a reader leaves it alone */
	assert_true(journal_size() > whole);
	assert_ok(journal_resume(scratch, &journal, &head, &trials));
	assert_int_equal(trials_in(trials), 2);
	assert_int_equal(journal_size(), whole);
	assert_ok(journal_append(journal, "trial", next));
	assert_int_equal(read_trials(), 3);
}

/* Even a line that would parse: without its end it was not wholly written. */
static void a_line_without_its_end_did_not_happen(void **state)
{
	(void)state;
	write_journal(1);
	append_bytes("{\"trial\":{\"index\":1}}");
	assert_int_equal(read_trials(), 1);
}

static void every_way_to_cut_a_journal_leaves_whole_trials(void **state)
{
	(void)state;
	_cleanup_free_ char *path = scratch_path("journal.jsonl");
	_cleanup_free_ char *text = NULL;
	size_t size, lines = 0;

	write_journal(3);
	assert_ok(fs_read(path, 1 << 20, &text, &size));
	for (size_t cut = 1; cut <= size; cut++) {
		_cleanup_json_ json_t *head = NULL;
		_cleanup_json_ json_t *trials = NULL;
		_cleanup_error_ struct error *err = NULL;

		lines += text[cut - 1] == '\n';
		assert_ok(fs_write_atomic(path, text, cut));
		err = journal_read(scratch, &head, &trials);
		if (lines == 0) {
			assert_non_null(err); /* not even the plan */
			continue;
		}
		assert_null(err);
		assert_int_equal(trials_in(trials), lines - 1);
	}
	assert_int_equal(lines, 4);
}

static void a_damaged_line_in_the_middle_is_refused(void **state)
{
	(void)state;
	_cleanup_(cleanup_journal) struct journal *journal = NULL;
	json_t *head = NULL, *trials = NULL;
	off_t before;

	write_journal(1);
	append_bytes("{\"trial\":{\"inde\n{\"trial\":{\"index\":1}}\n");
	before = journal_size();
	assert_fails(
		journal_read(scratch, &head, &trials), ERROR_SETUP, "journal.jsonl:3 is damaged");
	assert_fails(journal_resume(scratch, &journal, &head, &trials), ERROR_SETUP,
		"journal.jsonl:3 is damaged");
	assert_int_equal(journal_size(), before); /* and nothing was cut off */
	assert_null(journal);
	assert_null(head);
	assert_null(trials);
}

static void a_journal_without_a_plan_cannot_be_resumed(void **state)
{
	(void)state;
	_cleanup_free_ char *path = scratch_path("journal.jsonl");
	static const char *const texts[] = {"", "{\"run\":{}}\n", "{\"run\":7}\n",
		"{\"trial\":{}}\n", "{\"plan\":{}}\n", "{\"planned\":[{}]}\n",
		"{\"run\":{\"plan\":{"};
	json_t *head = NULL, *trials = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_ok(fs_write_atomic(path, texts[i], strlen(texts[i])));
		assert_fails(journal_read(scratch, &head, &trials), ERROR_SETUP, "has no plan");
	}
	assert_int_equal(unlink(path), 0);
	assert_fails(journal_read(scratch, &head, &trials), ERROR_SETUP, path);
}

static void a_changed_plan_replaces_the_first(void **state)
{
	(void)state;
	_cleanup_(cleanup_journal) struct journal *journal = NULL;
	_cleanup_json_ json_t *head = NULL;
	_cleanup_json_ json_t *trials = NULL;
	_cleanup_json_ json_t *plan = json_pack("{s:[i]}", "trials", 5);

	write_journal(1);
	assert_ok(journal_resume(scratch, &journal, &head, &trials));
	assert_ok(journal_append(journal, "plan", plan));
	journal_close(take_ptr(journal));
	json_decref(take_ptr(head));
	json_decref(take_ptr(trials));
	assert_ok(journal_read(scratch, &head, &trials));
	assert_true(json_equal(json_object_get(head, "plan"), plan));
	assert_int_equal(trials_in(trials), 1);
}

/* A budget may last for thousands of blocks: each has a line of its own. */
static void added_blocks_are_appended_to_the_plan(void **state)
{
	(void)state;
	_cleanup_(cleanup_journal) struct journal *journal = NULL;
	_cleanup_json_ json_t *head = NULL;
	_cleanup_json_ json_t *trials = NULL;
	off_t first = 0;

	write_journal(1);
	assert_ok(journal_resume(scratch, &journal, &head, &trials));
	for (int i = 0; i < 100; i += 2) {
		_cleanup_json_ json_t *block =
			json_pack("[{s:i}, {s:i}]", "index", 100 + i, "index", 101 + i);
		off_t before = journal_size();

		assert_ok(journal_append(journal, "planned", block));
		first = first ? first : journal_size() - before;
		assert_int_equal(journal_size() - before, first); /* none of those before it */
	}
	journal_close(take_ptr(journal));
	json_decref(take_ptr(head));
	json_decref(take_ptr(trials));
	assert_ok(journal_read(scratch, &head, &trials));
	const json_t *plan = json_object_get(head, "plan"), *trial;
	size_t i;

	json_array_foreach (json_object_get(plan, "trials"), i, trial)
		assert_int_equal(json_integer_value(json_object_get(trial, "index")), 100 + i);
	assert_int_equal(i, 100);
	assert_true(json_number_value(json_object_get(plan, "expected_s")) > 0);
	assert_int_equal(trials_in(trials), 1);
}

static void one_run_has_one_writer(void **state)
{
	(void)state;
	_cleanup_(cleanup_journal) struct journal *journal = NULL;
	_cleanup_(cleanup_journal) struct journal *second = NULL;
	_cleanup_json_ json_t *head = header();
	json_t *its_head = NULL, *its_trials = NULL;

	assert_ok(journal_create(scratch, head, &journal));
	assert_fails(journal_resume(scratch, &second, &its_head, &its_trials), ERROR_SETUP,
		"in progress");
	assert_int_equal(read_trials(), 0); /* reading is free */
	journal_close(take_ptr(journal));
	assert_fails(journal_create(scratch, head, &second), ERROR_SETUP, "exists");
	_cleanup_json_ json_t *found = NULL;
	_cleanup_json_ json_t *trials = NULL;

	assert_ok(journal_resume(scratch, &second, &found, &trials));
}

/* In a mount namespace of its own, on a tmpfs of 64 KiB. Each failure has a number. */
static int fill_the_disk(void)
{
	_cleanup_(cleanup_journal) struct journal *journal = NULL;
	_cleanup_json_ json_t *head = header();
	_cleanup_json_ json_t *found = NULL;
	_cleanup_json_ json_t *trials = NULL;
	_cleanup_free_ char *filler = scratch_path("filler");
	_cleanup_free_ char *bytes = malloc(30001);

	memset(bytes, 'x', 30000);
	bytes[30000] = '\0';
	_cleanup_json_ json_t *trial = json_pack("{s:i, s:s}", "index", 0, "x", bytes);

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("test", scratch, "tmpfs", 0, "size=64k") < 0)
		return CHILD_SKIPS;
	if (fs_write_atomic(filler, bytes, 30000) || journal_create(scratch, head, &journal) ||
		journal_append(journal, "trial", trial))
		return 1;
	off_t before = journal_size();

	json_object_set_new(trial, "index", json_integer(1));
	struct error *err = journal_append(journal, "trial", trial);

	if (!err || !strstr(error_message(err), "No space left"))
		return 2;
	error_destroy(err);
	if (journal_size() != before || read_trials() != 1)
		return 3;
	if (unlink(filler) < 0 || journal_append(journal, "trial", trial) || read_trials() != 2)
		return 4;
	journal_close(take_ptr(journal));
	if (journal_resume(scratch, &journal, &found, &trials) || trials_in(trials) != 2)
		return 5;
	return 0;
}

static void a_full_disk_loses_only_the_trial_that_did_not_fit(void **state)
{
	(void)state;
	in_a_child(fill_the_disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(what_was_appended_is_read_again),
		scratch_test(a_half_line_is_dropped_and_cut_off),
		scratch_test(a_line_without_its_end_did_not_happen),
		scratch_test(every_way_to_cut_a_journal_leaves_whole_trials),
		scratch_test(a_damaged_line_in_the_middle_is_refused),
		scratch_test(a_journal_without_a_plan_cannot_be_resumed),
		scratch_test(a_changed_plan_replaces_the_first),
		scratch_test(added_blocks_are_appended_to_the_plan),
		scratch_test(one_run_has_one_writer),
		scratch_test(a_full_disk_loses_only_the_trial_that_did_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
