/* The store behind the dashboard when something happens to it: another directory in its place, an
 * index that is damaged. */
#include "harness/base/test/child.h"

#include "dashboard/server/test/http.h"
#include "dashboard/server/test/replaced.h"
#include "harness/host/file_lock.h"
#include "harness/record/index.h"

#include <fcntl.h>
#include <sqlite3.h>

static void test_the_directory_is_replaced(void **state)
{
	(void)state;
	another_store_comes();
}

/* Before the index knows. */
static void test_a_record_that_was_removed_is_not_there(void **state)
{
	const struct synthetic_options options = {.seed = 5, .count = 3};
	_cleanup_json_ json_t *list = NULL;
	const json_t *runs, *run;
	size_t i;

	(void)state;
	assert_ok(synthetic_store(&options, scratch, NULL));
	start();
	wait_for_runs(3);
	list = get_json("runs", 200);
	runs = json_object_get(list, "runs");
	json_array_foreach (runs, i, run) {
		_cleanup_free_ char *file = format_string("%s/%s", scratch, json_text(run, "path"));
		_cleanup_free_ char *page = format_string("runs/%s", json_text(run, "id"));
		_cleanup_free_ char *record = format_string("%s/record.json", page);

		assert_int_equal(unlink(file), 0);
		json_decref(get_json(record, 404));
		json_decref(get_json(page, 404));
	}
	wait_for_runs(0);
	stop();
}

enum { PAGE = 4096, GARBAGE = 0xa5 };

/* Which pages, 0 the first, which is needed to be a database at all; at most to the last. */
static off_t damage_from, damage_to;

/* A process apart: closing the file here would end SQLite's locks on it. */
static int damage_the_index(void)
{
	_cleanup_free_ char *path = scratch_path("index.sqlite");
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
	unsigned char garbage[PAGE];
	struct stat status;

	memset(garbage, GARBAGE, sizeof(garbage));
	if (fstat(fd, &status) < 0 || status.st_size < 10 * PAGE)
		return __LINE__;
	for (off_t at = damage_from * PAGE; at < status.st_size && at <= damage_to * PAGE;
		at += PAGE) {
		if (pwrite(fd, garbage, sizeof(garbage), at) != PAGE)
			return __LINE__;
	}
	return 0;
}

/* With a whole index in one file: what is in its log is not in its pages yet. */
static void make_indexed_store(void)
{
	const struct synthetic_options options = {.seed = 5, .count = 3};
	const struct index_update_options update = {.deadline = deadline_after_ms(TEST_TIMEOUT_MS)};
	struct index_changes changes;
	struct index *index;

	assert_ok(synthetic_store(&options, scratch, NULL));
	assert_ok(index_open(scratch, INDEX_WRITE, &index));
	assert_ok(index_update(index, &update, &changes));
	index_close(index);
}

static off_t root_page(const char *table)
{
	_cleanup_free_ char *path = scratch_path("index.sqlite");
	_cleanup_free_ char *sql =
		format_string("SELECT rootpage FROM sqlite_schema WHERE name = '%s'", table);
	sqlite3_stmt *statement;
	sqlite3 *db;
	off_t page;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	page = (off_t)sqlite3_column_int64(statement, 0) - 1;
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return page;
}

/* Whether the second page is garbage still; by a process apart, too. */
static bool is_damaged(void)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		_cleanup_free_ char *path = scratch_path("index.sqlite");
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		unsigned char byte = 0;

		_exit(fd >= 0 && pread(fd, &byte, 1, PAGE) == 1 && byte == GARBAGE);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status != 0;
}

/* What reads pages that nothing else does. */
static const char trend[] = "trends?mechanism=shmipc&experiment=roundtrip&"
			    "variant=tcp-naive&metric=roundtrip&at=%7B%22ints%22%3A8192%7D";

static void test_an_index_that_was_damaged_before(void **state)
{
	_cleanup_json_ json_t *before = NULL;
	_cleanup_json_ json_t *after = NULL;

	(void)state;
	make_indexed_store();
	start();
	wait_for_runs(3);
	before = get_json(trend, 200);
	stop();
	damage_from = damage_to = root_page("metrics"); /* where no update looks */
	in_a_child(damage_the_index);
	start();
	wait_for_runs(3);
	assert_runs_are_whole(3);
	after = get_json(trend, 200);
	assert_true(json_equal(before, after));
	stop();
}

/* Seen by whoever asks, while no file changes. */
static void test_an_index_that_is_damaged_meanwhile(void **state)
{
	struct deadline deadline = deadline_after_ms(TEST_TIMEOUT_MS / 2);
	bool mended = false;

	(void)state;
	make_indexed_store();
	start();
	wait_for_runs(3);
	damage_from = 1;
	damage_to = INT32_MAX;
	in_a_child(damage_the_index);
	for (int limit = 1; !mended; limit = limit % 900 + 1) {
		/* each is asked anew, none is kept; nobody has read these pages before */
		_cleanup_free_ char *target = format_string("/api/v1/%s&limit=%d", trend, limit);
		bool damaged = is_damaged();
		_cleanup_reply_ struct reply reply = get(target);
		_cleanup_json_ json_t *points = json_loads(reply.body, 0, NULL);

		mended = !damaged && reply.status == 200 &&
			 json_integer_value(json_object_get(points, "total")) == 3;
		if (deadline_passed(deadline))
			fail_msg("not mended: %d %.200s", reply.status, reply.body);
		poll(NULL, 0, 10);
	}
	assert_runs_are_whole(3);
	stop();
}

/* ---- the end of a run, told and shown ---- */

/* A connection that follows a run. */
static int follow(const char *id)
{
	_cleanup_free_ char *request = format_string(
		"GET /api/v1/runs/%s/events HTTP/1.1\r\nHost: localhost:%u\r\nConnection: close\r\n"
		"\r\n",
		id, port);
	int fd = connect_to_it();

	send_text(fd, request);
	return fd;
}

static char *take_a_record_away(const char *to)
{
	char **paths, *id;
	size_t count;

	assert_ok(record_list(scratch, &paths, &count));
	assert_int_equal(rename(paths[0], to), 0);
	id = record_id_of_path(paths[0]);
	record_list_destroy(paths, count);
	return id;
}

/* While the index cannot be updated, a run ends whose record everybody can see. */
static void test_the_end_is_told_when_the_run_is_shown(void **state)
{
	_cleanup_free_ char *lock = scratch_path(".index.lock");
	_cleanup_free_ char *away = scratch_path("away");
	_cleanup_free_ char *id = NULL;
	_cleanup_free_ char *shown = NULL;
	char **paths;
	size_t count;
	int held;

	(void)state;
	make_indexed_store();
	id = take_a_record_away(away);
	start();
	wait_for_runs(2);
	assert_ok(record_list(scratch, &paths, &count));
	shown = record_id_of_path(paths[0]);
	record_list_destroy(paths, count);
	assert_ok(file_lock_at(AT_FDCWD, lock, lock, deadline_after_ms(TEST_TIMEOUT_MS), &held));
	_cleanup_free_ char *path = format_string("%s/runs/%s.json", scratch, id);

	assert_int_equal(rename(away, path), 0);
	int waiting = follow(id);

	/* those who follow later are looked at later: ours was looked at when these have ended */
	for (int i = 0; i < 3; i++) {
		int fd = follow(shown);
		_cleanup_free_ char *text = read_all(fd);

		assert_non_null(strstr(text, "event: end"));
		close(fd);
	}
	char bytes[4096] = {0};
	ssize_t n = recv(waiting, bytes, sizeof(bytes) - 1, MSG_DONTWAIT | MSG_PEEK);

	if (n > 0 && strstr(bytes, "event: end"))
		fail_msg("the end was told before the run was indexed");
	close(held);
	_cleanup_free_ char *text = read_all(waiting);
	_cleanup_free_ char *run = format_string("runs/%s", id);

	close(waiting);
	assert_non_null(strstr(text, "event: end"));
	json_decref(get_json(run, 200));
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(test_the_directory_is_replaced),
		scratch_test(test_a_record_that_was_removed_is_not_there),
		scratch_test(test_an_index_that_was_damaged_before),
		scratch_test(test_an_index_that_is_damaged_meanwhile),
		scratch_test(test_the_end_is_told_when_the_run_is_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
