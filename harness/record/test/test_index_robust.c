/* The index, whatever is among the records, whoever else is at it, and whatever happened to it. */
#include "harness/record/test/index_support.h"
#include "harness/record/test/synthetic.h"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
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
	assert_fails(index_open(scratch, INDEX_READ, &index), ERROR_SETUP, "--rebuild");
	update();
	assert_int_equal(runs_in_index(), 4);

	/* damaged behind its first page, which opening does not notice */
	int fd = open(path, O_WRONLY);

	for (off_t at = 4096; at < 40960; at += 512)
		assert_int_equal(pwrite(fd, "damaged", 7, at), 7);
	close(fd);
	assert_int_equal(update_with(true).indexed, 4);
	assert_int_equal(runs_in_index(), 4);
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
		scratch_test(test_a_foreign_database_is_left_alone),
		scratch_test(test_readers_and_writers_at_once),
		scratch_test(test_a_killed_update_is_continued),
		scratch_test(test_waiting_for_an_update_ends),
	};

	json_set_alloc_funcs(counted_malloc, counted_free);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
