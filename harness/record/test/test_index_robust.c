/* The index, whatever is among the records, whoever else is at it, and whatever happened to it. */
#include "harness/host/file_lock.h"
#include "harness/record/test/index_support.h"
#include "harness/record/test/synthetic.h"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/inotify.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const json_t *refused_file(const json_t *answer, const char *path)
{
	const json_t *file;
	size_t i;

	json_array_foreach (json_object_get(answer, "files"), i, file) {
		if (strcmp(json_text(file, "path"), path) == 0)
			return file;
	}
	fail_msg("%s is not listed", path);
	return NULL;
}

static void assert_refused(
	const json_t *answer, const char *path, const char *status, const char *reason)
{
	const json_t *file = refused_file(answer, path);

	assert_string_equal(json_text(file, "status"), status);
	if (!strstr(json_text(file, "reason"), reason))
		fail_msg("%s: no '%s' in '%s'", path, reason, json_text(file, "reason"));
}

static void make_large(const char *name)
{
	_cleanup_free_ char *path = scratch_path(name);
	int fd = open(path, O_WRONLY | O_CREAT, 0644);

	assert_int_equal(ftruncate(fd, (off_t)RECORD_MAX_BYTES + 1), 0);
	close(fd);
}

static void make_deep(const char *name)
{
	_cleanup_free_ char *text = malloc(200001);

	memset(text, '[', 200000);
	text[200000] = '\0';
	write_text(name, text);
}

/* A document of small lists that take about so much memory: 136 bytes for three. */
static void make_wide(const char *name, size_t memory)
{
	size_t count = memory / 136, size = 3 * count + 2;
	_cleanup_free_ char *text = malloc(size + 1);

	for (size_t i = 0; i < count; i++)
		memcpy(text + 1 + 3 * i, "[],", 3); /* NOLINT: no text yet */
	text[0] = '[';
	text[size - 2] = ']'; /* in place of the last comma */
	text[size - 1] = '\n';
	text[size] = '\0';
	write_text(name, text);
}

static atomic_size_t live_bytes, peak_bytes; /* of JSON in memory */

static void *counted_malloc(size_t size)
{
	void *memory = malloc(size);
	size_t now = atomic_fetch_add(&live_bytes, memory ? malloc_usable_size(memory) : 0);
	size_t peak = peak_bytes;

	while (now > peak && !atomic_compare_exchange_weak(&peak_bytes, &peak, now))
		;
	return memory;
}

static void counted_free(void *memory)
{
	atomic_fetch_sub(&live_bytes, memory ? malloc_usable_size(memory) : 0);
	free(memory);
}

/* However many threads there are: each of these alone is within bounds. */
static void test_large_files_are_read_one_at_a_time(void **state)
{
	enum { FILES = 6, MEMORY = 100 << 20 };

	(void)state;
	make_store(3);
	for (int i = 0; i < FILES; i++) {
		_cleanup_free_ char *name = format_string("runs/wide-%d.json", i);

		make_wide(name, MEMORY);
	}
	peak_bytes = 0;
	update();
	assert_in_range(peak_bytes, MEMORY * 3 / 4, MEMORY * 3 / 2);
}

struct steps {
	size_t before, longest;
};

static void note_step(size_t done, size_t total, void *context)
{
	struct steps *steps = context;

	(void)total;
	if (done - steps->before > steps->longest)
		steps->longest = done - steps->before;
	steps->before = done;
}

/* What was read of large files is written before more is read. */
static void test_batches_are_bounded_by_bytes(void **state)
{
	enum { FILES = 12, SIZE = 4 << 20, MOST = 3 };
	_cleanup_free_ char *text = malloc(SIZE + 1);
	_cleanup_index_ struct index *index = NULL;
	struct steps steps = {0};
	const struct index_update_options options = {.progress = note_step,
		.context = &steps,
		.deadline = deadline_after_ms(TEST_TIMEOUT_MS)};
	struct index_changes changes;

	(void)state;
	memset(text, ' ', SIZE);
	text[SIZE] = '\0';
	make_store(1);
	for (int i = 0; i < FILES; i++) {
		_cleanup_free_ char *name = format_string("runs/blank-%02d.json", i);

		write_text(name, text);
	}
	assert_ok(index_open(scratch, INDEX_WRITE, &index));
	assert_ok(index_update(index, &options, &changes));
	assert_int_equal(changes.refused, FILES);
	assert_in_range(steps.longest, 1, MOST);
}

static void test_whatever_else_is_there_is_listed(void **state)
{
	_cleanup_json_ json_t *measured = synthetic_shmipc(2, 150);
	_cleanup_json_ json_t *refused = NULL;
	_cleanup_json_ json_t *timeless = NULL;
	_cleanup_free_ char *good = NULL;
	_cleanup_free_ char *text = NULL;
	_cleanup_free_ char *fifo = scratch_path("runs/fifo.json");
	_cleanup_free_ char *directory = scratch_path("runs/dir.json");
	_cleanup_free_ char *link = scratch_path("runs/link.json");
	struct index_changes changes;
	size_t size;

	(void)state;
	make_store(3);
	good = record_path(0);
	assert_ok(fs_read(good, RECORD_MAX_BYTES, &text, &size));
	write_text("runs/empty.json", "");
	write_text("runs/garbage.json", "\x01\x02\xff garbage");
	write_text("runs/array.json", "[1, 2]");
	write_text("runs/other-name.json", text);
	write_text("runs/notes.txt", "hello");
	write_text("runs/x.json.tmp-AbCdEf", "{");
	write_text("runs/not-\xff-utf8.json", "{}");
	make_large("runs/large.json");
	make_deep("runs/deep.json");
	make_wide("runs/wide.json", RECORD_MAX_MEMORY + ((size_t)1 << 20));
	assert_int_equal(mkfifo(fifo, 0644), 0);
	assert_int_equal(mkdir(directory, 0755), 0);
	assert_int_equal(symlink("/etc/passwd", link), 0);
	json_object_set_new(measured, "synthetic", json_false());
	assert_ok(record_save(measured, scratch, NULL));
	timeless = synthetic_shmipc(1, 150);
	json_object_set_new(timeless, "id", json_string("timeless"));
	json_object_set_new(timeless, "started", json_string("yesterday"));
	assert_ok(record_save(timeless, scratch, NULL));

	changes = update();
	assert_int_equal(changes.indexed, 3);
	assert_int_equal(changes.refused, 15);
	assert_int_equal(runs_in_index(), 3);
	_cleanup_index_ struct index *index = open_index();

	assert_ok(index_refused(index, all, &refused));
	assert_int_equal(total(refused), 15);
	assert_refused(refused, "runs/empty.json", "damaged", "end of file");
	assert_refused(refused, "runs/garbage.json", "damaged", "line 1");
	assert_refused(refused, "runs/array.json", "damaged", "expected \"object\"");
	assert_refused(refused, "runs/other-name.json", "foreign", "its name has to be");
	assert_refused(refused, "runs/notes.txt", "foreign", "does not end in .json");
	assert_refused(refused, "runs/x.json.tmp-AbCdEf", "foreign", "cut short");
	assert_refused(refused, "runs/not-\\xff-utf8.json", "damaged", "");
	assert_refused(refused, "runs/large.json", "damaged", "larger than");
	assert_refused(refused, "runs/deep.json", "damaged", "depth");
	assert_refused(refused, "runs/wide.json", "damaged", "more than 512 MiB of memory");
	assert_refused(refused, "runs/fifo.json", "foreign", "no regular file");
	assert_refused(refused, "runs/dir.json", "foreign", "a directory");
	assert_refused(refused, "runs/link.json", "foreign", "symbolic link");
	assert_refused(refused, "runs/timeless.json", "damaged", "yesterday");
	assert_refused(refused, "runs/20260131T201512Z-3f9a1c.json", "foreign", "measured");

	changes = update();
	assert_int_equal(changes.unchanged, 18);
	assert_int_equal(changes.refused + changes.removed, 0);
}

static void test_synthetic_records_stay_apart(void **state)
{
	const struct synthetic_options options = {.seed = 1, .count = 2};
	_cleanup_json_ json_t *measured = synthetic_shmipc(2, 150);
	_cleanup_json_ json_t *made = NULL;
	_cleanup_json_ json_t *refused = NULL;
	_cleanup_free_ char *file = NULL;

	(void)state;
	json_object_set_new(measured, "synthetic", json_false());
	assert_ok(record_save(measured, scratch, NULL));
	assert_fails(synthetic_store(&options, scratch, NULL), ERROR_USAGE, "measured");
	assert_ok(synthetic_night(&options, 0, &made));
	assert_true(json_is_true(json_object_get(made, "synthetic")));
	assert_ok(record_save(made, scratch, NULL));
	update();
	assert_int_equal(runs_in_index(), 1);
	_cleanup_index_ struct index *index = open_index();

	assert_ok(index_refused(index, all, &refused));
	file = format_string("runs/%s.json", json_text(made, "id"));
	assert_refused(refused, file, "foreign", "synthetic");
}

static void test_of_copies_one_counts(void **state)
{
	_cleanup_free_ char *reference = scratch_path("reference");
	_cleanup_free_ char *original = NULL;
	_cleanup_free_ char *text = NULL;
	_cleanup_free_ char *copy = NULL;
	_cleanup_free_ char *name = NULL;
	_cleanup_json_ json_t *refused = NULL;
	size_t size;

	(void)state;
	make_store(2);
	original = record_path(0);
	name = format_string("reference/%s", strrchr(original, '/') + 1);
	copy = scratch_path(name);
	update();
	assert_ok(fs_make_dirs(reference));
	assert_ok(fs_read(original, RECORD_MAX_BYTES, &text, &size));
	assert_ok(fs_write_atomic(copy, text, size));
	update();
	assert_int_equal(runs_in_index(), 2);
	_cleanup_index_ struct index *index = open_index();

	assert_ok(index_refused(index, all, &refused));
	assert_refused(refused, name, "duplicate", "a copy of runs/");
	assert_int_equal(unlink(original), 0);
	update();
	assert_int_equal(runs_in_index(), 2);
	assert_int_equal(update().refused, 0);
}

static void test_a_damaged_index_is_made_anew(void **state)
{
	_cleanup_free_ char *path = scratch_path("index.sqlite");
	struct index *index = NULL;

	(void)state;
	make_store(4);
	assert_fails(index_open(scratch, INDEX_READ, &index), ERROR_USAGE, "fleetlab index");
	write_text("index.sqlite",
		"this is no database, and long enough to be looked at as one: "
		"it needs more than a hundred bytes, or SQLite takes it for new");
	assert_fails(index_open(scratch, INDEX_READ, &index), ERROR_SETUP, "damaged");
	assert_true(update().recreated);
	assert_int_equal(runs_in_index(), 4);

	/* damaged behind its first page, which opening does not notice */
	int fd = open(path, O_WRONLY);

	for (off_t at = 4096; at < 40960; at += 512)
		assert_int_equal(pwrite(fd, "damaged", 7, at), 7);
	close(fd);
	assert_int_equal(rebuild().indexed, 4);
	assert_int_equal(runs_in_index(), 4);
}

/* What the index answers, as text; caller frees. NULL when it cannot. */
static char *answers(void)
{
	const struct index_series_name name = {
		"shmipc", "roundtrip", "shm-polling", "roundtrip", "{\"ints\":8192}", "us"};
	_cleanup_index_ struct index *index = NULL;
	_cleanup_json_ json_t *everything = json_array();
	_cleanup_error_ struct error *err = index_open(scratch, INDEX_READ, &index);
	json_t *got[7] = {NULL};

	if (!err)
		err = index_totals(index, &got[0]);
	if (!err)
		err = index_runs(index, NULL, all, &got[1]);
	if (!err)
		err = index_overview(index, NULL, &got[2]);
	if (!err)
		err = index_claim_history(index, "C1", NULL, all, &got[3]);
	if (!err)
		err = index_trend(index, &name, NULL, all, &got[4]);
	if (!err)
		err = index_hosts(index, &got[5]);
	if (!err)
		err = index_series(index, NULL, &got[6]);
	for (size_t i = 0; i < ARRAY_SIZE(got); i++)
		json_array_append_new(everything, got[i]);
	return err ? NULL : json_dumps(everything, JSON_SORT_KEYS);
}

/* Garbage in the place of this page; the first is 0. False when the file ends before. */
static bool damage_page(off_t page, unsigned char with)
{
	enum { PAGE = 4096 };
	_cleanup_free_ char *path = scratch_path("index.sqlite");
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
	unsigned char garbage[PAGE];
	struct stat status;

	memset(garbage, with, sizeof(garbage));
	assert_int_equal(fstat(fd, &status), 0);
	if ((page + 1) * PAGE > status.st_size)
		return false;
	assert_int_equal(pwrite(fd, garbage, PAGE, page * PAGE), PAGE);
	return true;
}

/* Wherever it is damaged: an update that looks answers right, one that does not look mends what it
 * stumbles over, and neither fails. */
static void test_a_damaged_page_is_made_good(void **state)
{
	_cleanup_free_ char *right = NULL;
	size_t healed = 0, pages = 0, stumbled = 0;

	(void)state;
	make_store(3);
	update();
	right = answers();
	assert_non_null(right);
	for (off_t page = 1; damage_page(page, 0xa5); page++) {
		_cleanup_free_ char *after = NULL;

		stumbled += update().recreated;
		healed += update_and_check().recreated;
		after = answers();
		assert_non_null(after);
		assert_string_equal(after, right);
		pages++;
	}
	assert_true(pages > 10);
	assert_true(stumbled > 0);
	assert_true(healed > 0);
	assert_false(update_and_check().recreated); /* once */
}

/* Of this thread's own: it waits for the lock that the test holds. */
static void *open_damaged(void *context)
{
	struct error **err = context;
	struct index *index = NULL;

	*err = index_open(scratch, INDEX_WRITE, &index);
	index_close(index);
	return NULL;
}

/* Two processes find it damaged; what the first has made while the second waited stays. */
static void test_a_new_index_is_not_thrown_away(void **state)
{
	_cleanup_free_ char *path = scratch_path("index.sqlite");
	_cleanup_free_ char *good = scratch_path("good");
	_cleanup_free_ char *lock = scratch_path(".index.lock");
	_cleanup_close_ int notify = inotify_init1(IN_CLOEXEC);
	struct pollfd opened = {.fd = notify, .events = POLLIN};
	struct error *err = NULL;
	struct stat before, after;
	pthread_t thread;
	int fd;

	(void)state;
	make_store(4);
	update();
	assert_int_equal(rename(path, good), 0);
	write_text("index.sqlite", "this is no database, and long enough to be looked at as one: "
				   "it needs more than a hundred bytes, or SQLite takes it for "
				   "new");
	assert_ok(file_lock_at(AT_FDCWD, lock, lock, deadline_after_ms(TEST_TIMEOUT_MS), &fd));
	assert_true(inotify_add_watch(notify, lock, IN_OPEN) >= 0);
	assert_int_equal(pthread_create(&thread, NULL, open_damaged, &err), 0);
	assert_int_equal(poll(&opened, 1, TEST_TIMEOUT_MS), 1); /* it has seen the damage */
	assert_int_equal(rename(good, path), 0);
	assert_int_equal(stat(path, &before), 0);
	close(fd);
	pthread_join(thread, NULL);
	assert_ok(err);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(after.st_ino, before.st_ino);
	assert_int_equal(runs_in_index(), 4);
}

/* Whoever has the old file open does not go on writing to what has no name any more. */
static void test_an_update_goes_to_the_file_that_is_there(void **state)
{
	const struct index_update_options options = {
		.deadline = deadline_after_ms(TEST_TIMEOUT_MS)};
	_cleanup_free_ char *path = scratch_path("index.sqlite");
	_cleanup_index_ struct index *first = NULL;
	_cleanup_index_ struct index *second = NULL;
	struct index_changes changes;

	(void)state;
	make_store(4);
	assert_ok(index_open(scratch, INDEX_WRITE, &first));
	assert_int_equal(unlink(path), 0);
	assert_ok(index_open(scratch, INDEX_WRITE, &second));
	assert_ok(index_update(first, &options, &changes));
	assert_int_equal(changes.indexed, 4);
	assert_int_equal(runs_in_index(), 4);
}

/* As another process leaves it for a moment, before it has made the tables. */
static void test_a_new_index_is_not_there_yet(void **state)
{
	_cleanup_free_ char *path = scratch_path("index.sqlite");
	struct index *index = NULL;
	sqlite3 *db;

	(void)state;
	make_store(2);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(
		sqlite3_exec(db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL), SQLITE_OK);
	assert_fails(index_open(scratch, INDEX_READ, &index), ERROR_USAGE, "no index");
	assert_int_equal(update().indexed, 2);
	sqlite3_close(db);
	assert_int_equal(runs_in_index(), 2);
}

/* ---- links ---- */

static void test_the_index_is_no_link(void **state)
{
	_cleanup_free_ char *path = scratch_path("index.sqlite");
	_cleanup_free_ char *target = scratch_path("elsewhere");
	struct index *index = NULL;

	(void)state;
	make_store(2);
	update();
	assert_int_equal(rename(path, target), 0);
	assert_int_equal(symlink(target, path), 0);
	assert_fails(index_open(scratch, INDEX_READ, &index), ERROR_SETUP, "symbolic link");
	assert_fails(index_open(scratch, INDEX_WRITE, &index), ERROR_SETUP, "remove it");
	assert_int_equal(unlink(target), 0);
	assert_fails(index_open(scratch, INDEX_WRITE, &index), ERROR_SETUP, "symbolic link");
	assert_int_equal(access(target, F_OK), -1);
}

/* The store's directories may not be links, and are listed then; the store itself may be one. */
static void test_records_are_not_behind_links(void **state)
{
	_cleanup_free_ char *runs = scratch_path("runs");
	_cleanup_free_ char *elsewhere = scratch_path("elsewhere");
	_cleanup_free_ char *link = scratch_path("link");
	_cleanup_json_ json_t *refused = NULL;
	struct index *through = NULL;
	char **paths;
	size_t count;

	(void)state;
	make_store(2);
	update();
	assert_int_equal(symlink(scratch, link), 0);
	assert_ok(index_open(link, INDEX_READ, &through));
	index_close(through);
	assert_int_equal(rename(runs, elsewhere), 0);
	assert_int_equal(symlink(elsewhere, runs), 0);
	assert_int_equal(update().removed, 2);
	assert_int_equal(runs_in_index(), 0);
	_cleanup_index_ struct index *index = open_index();

	assert_ok(index_refused(index, all, &refused));
	assert_refused(refused, "runs", "foreign", "symbolic link");
	assert_ok(record_list(scratch, &paths, &count));
	record_list_destroy(paths, count);
	assert_int_equal(count, 0);
}

static void test_a_foreign_database_is_left_alone(void **state)
{
	_cleanup_free_ char *path = scratch_path("index.sqlite");
	_cleanup_free_ char *command =
		format_string("sqlite3 %s 'create table precious (x)' 2>/dev/null", path);
	struct index *index = NULL;
	struct stat before, after;

	(void)state;
	if (system(command) != 0) // NOLINT(cert-env33-c): a fixed command
		skip();
	assert_int_equal(stat(path, &before), 0);
	assert_fails(index_open(scratch, INDEX_WRITE, &index), ERROR_SETUP, "move it away");
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(before.st_size, after.st_size);
}

/* Reads until `over` is closed: what it sees never shrinks, never is half a run, and in the end is
 * all. */
static int read_until(int over, json_int_t enough)
{
	const struct index_series_name name = {
		"shmipc", "roundtrip", "shm-polling", "roundtrip", "{\"ints\":8192}", "us"};
	const struct index_page few = {.limit = 10}; /* the writers want a processor, too */
	struct pollfd end = {.fd = over, .events = POLLIN};
	struct index *index;
	json_int_t seen = 0;
	bool ended = false;

	if (index_open(scratch, INDEX_READ, &index))
		return 2;
	while (!ended) {
		_cleanup_json_ json_t *runs = NULL;
		_cleanup_json_ json_t *trend = NULL;

		ended = poll(&end, 1, 0) > 0; /* before the last look */
		if (index_runs(index, NULL, few, &runs) ||
			index_trend(index, &name, NULL, few, &trend))
			return 3;
		if (total(runs) < seen || total(trend) < total(runs))
			return 4;
		seen = total(runs);
	}
	index_close(index);
	return seen == enough ? 0 : 5;
}

static int exit_status_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void test_readers_and_writers_at_once(void **state)
{
	enum { RUNS = 300, READERS = 2, WRITERS = 2 };
	const struct index_update_options options = {
		.deadline = deadline_after_ms(4 * TEST_TIMEOUT_MS)};
	pid_t children[READERS + WRITERS];
	struct index *index;
	int over[2];

	(void)state;
	make_store(RUNS);
	assert_ok(index_open(scratch, INDEX_WRITE, &index));
	index_close(index);
	assert_int_equal(pipe(over), 0);
	for (int i = 0; i < READERS + WRITERS; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			struct index_changes changes;

			close(over[1]);
			if (i < READERS)
				_exit(read_until(over[0], RUNS));
			_exit(index_open(scratch, INDEX_WRITE, &index) ||
				index_update(index, &options, &changes));
		}
	}
	for (int i = READERS; i < READERS + WRITERS; i++)
		assert_int_equal(exit_status_of(children[i]), 0);
	close(over[1]);
	for (int i = 0; i < READERS; i++)
		assert_int_equal(exit_status_of(children[i]), 0);
	close(over[0]);
	assert_int_equal(runs_in_index(), RUNS);
}

static void kill_self(size_t done, size_t total_files, void *context)
{
	(void)done;
	(void)total_files;
	(void)context;
	raise(SIGKILL);
}

static void test_a_killed_update_is_continued(void **state)
{
	const struct index_update_options options = {
		.deadline = deadline_after_ms(TEST_TIMEOUT_MS), .progress = kill_self};
	struct index_changes changes;
	pid_t child;

	(void)state;
	make_store(300);
	child = fork();
	if (child == 0) {
		struct index *index;

		_exit(index_open(scratch, INDEX_WRITE, &index) ||
			index_update(index, &options, &changes));
	}
	assert_int_equal(exit_status_of(child), 128 + SIGKILL);
	assert_int_equal(runs_in_index(), 256);
	changes = update();
	assert_int_equal(changes.indexed, 44);
	assert_int_equal(runs_in_index(), 300);
}

static void test_waiting_for_an_update_ends(void **state)
{
	_cleanup_free_ char *lock = scratch_path(".index.lock");
	const struct index_update_options options = {.deadline = deadline_after_ms(50)};
	_cleanup_index_ struct index *index = NULL;
	struct flock whole = {.l_type = F_WRLCK};
	struct index_changes changes;
	int fd = open(lock, O_RDWR | O_CREAT, 0644);

	(void)state;
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &whole), 0);
	assert_ok(index_open(scratch, INDEX_WRITE, &index));
	assert_fails(index_update(index, &options, &changes), ERROR_TIMEOUT, "another update");
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(test_large_files_are_read_one_at_a_time),
		scratch_test(test_batches_are_bounded_by_bytes),
		scratch_test(test_whatever_else_is_there_is_listed),
		scratch_test(test_synthetic_records_stay_apart),
		scratch_test(test_of_copies_one_counts),
		scratch_test(test_a_damaged_index_is_made_anew),
		scratch_test(test_a_damaged_page_is_made_good),
		scratch_test(test_a_new_index_is_not_thrown_away),
		scratch_test(test_an_update_goes_to_the_file_that_is_there),
		scratch_test(test_a_new_index_is_not_there_yet),
		scratch_test(test_the_index_is_no_link),
		scratch_test(test_records_are_not_behind_links),
		scratch_test(test_a_foreign_database_is_left_alone),
		scratch_test(test_readers_and_writers_at_once),
		scratch_test(test_a_killed_update_is_continued),
		scratch_test(test_waiting_for_an_update_ends),
	};

	json_set_alloc_funcs(counted_malloc, counted_free);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
