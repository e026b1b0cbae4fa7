/* Importing: what is whole comes in once, whatever is hostile stays out and leaves nothing behind,
 * and nothing that is in the store is ever changed. Archives: what goes in comes out, and nothing
 * else. */
#include "harness/base/test/support.h"
#include "harness/record/archive.h"
#include "harness/record/import.h"
#include "harness/record/record.h"
#include "harness/record/samples.h"
#include "harness/record/synthetic.h"
#include "harness/record/test/synthetic.h"

#include "harness/base/test/child.h"
#include "harness/host/file_lock.h"

#include <archive.h>
#include <archive_entry.h>
#include <dlfcn.h>
#include <glob.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define ID "20260131T201512Z-3f9a1c"

/* A record that was measured, as far as it says, saved in a store; path owned by the caller. */
static char *save(const char *store, double ratio)
{
	_cleanup_json_ json_t *json = synthetic_shmipc(6, ratio);
	_cleanup_free_ char *results = scratch_path(store);
	char *path;

	json_object_set_new(json, "synthetic", json_false());
	assert_ok(record_save(json, results, &path));
	return path;
}

static void write_text(const char *name, const char *text)
{
	_cleanup_free_ char *path = scratch_path(name);
	_cleanup_free_ char *parent = format_string("%s", path);

	*strrchr(parent, '/') = '\0';
	assert_ok(fs_make_dirs(parent));
	assert_ok(fs_write_atomic(path, text, strlen(text)));
}

static bool exists(const char *name)
{
	_cleanup_free_ char *path = scratch_path(name);
	struct stat status;

	return lstat(path, &status) == 0;
}

static json_t *import(const char *source)
{
	_cleanup_free_ char *from = scratch_path(source);
	_cleanup_free_ char *to = scratch_path("to");
	json_t *report = NULL;

	assert_ok(import_records(to, from, &report));
	return report;
}

static void assert_report(const json_t *report, size_t imported, size_t same, size_t refused)
{
	_cleanup_free_ char *text = json_dumps(report, JSON_INDENT(1));

	if (json_array_size(json_object_get(report, "imported")) != imported ||
		json_array_size(json_object_get(report, "same")) != same ||
		json_array_size(json_object_get(report, "refused")) != refused)
		fail_msg("expected %zu, %zu, %zu: %s", imported, same, refused, text);
}

static void assert_reason(const json_t *report, const char *words)
{
	const char *reason =
		json_text(json_array_get(json_object_get(report, "refused"), 0), "reason");

	if (!strstr(reason, words))
		fail_msg("no '%s' in '%s'", words, reason);
}

static size_t leftovers(void)
{
	_cleanup_free_ char *pattern = scratch_path("to/runs/.import*");
	glob_t found = {0};
	size_t count;

	glob(pattern, GLOB_PERIOD, NULL, &found);
	count = found.gl_pathc;
	globfree(&found);
	return count;
}

static void assert_no_leftovers(void)
{
	assert_int_equal(leftovers(), 0);
}

static void test_a_store_is_merged_once(void **state)
{
	_cleanup_free_ char *path = save("from", 150);
	_cleanup_free_ char *arrived = scratch_path("to/runs/" ID ".json");
	_cleanup_record_ struct record *record = NULL;
	_cleanup_json_ json_t *first = NULL;
	_cleanup_json_ json_t *second = NULL;

	(void)state;
	write_text("from/runs/" ID "/journal.jsonl", "{}\n");
	write_text("from/runs/" ID "/trial-0000/g0.log", "console\n");
	first = import("from");
	assert_report(first, 1, 0, 0);
	assert_int_equal(
		json_number(json_array_get(json_object_get(first, "imported"), 0), "files", 0), 2);
	assert_ok(record_load(arrived, &record));
	assert_false(record->altered);
	assert_true(exists("to/runs/" ID "/journal.jsonl"));
	assert_true(exists("to/runs/" ID "/trial-0000/g0.log"));
	assert_true(exists("to/runs/" ID "/complete")); /* nobody is told to resume it */
	second = import("from");
	assert_report(second, 0, 1, 0);
	assert_no_leftovers();
}

static void test_another_record_of_the_same_id_is_refused(void **state)
{
	_cleanup_free_ char *ours = save("to", 150);
	_cleanup_free_ char *theirs = save("from", 3);
	_cleanup_free_ char *before = NULL;
	_cleanup_free_ char *after = NULL;
	_cleanup_json_ json_t *report = NULL;

	(void)state;
	assert_ok(fs_read(ours, RECORD_MAX_BYTES, &before, NULL));
	report = import("from");
	assert_report(report, 0, 0, 1);
	assert_reason(report, "another record with this id");
	assert_ok(fs_read(ours, RECORD_MAX_BYTES, &after, NULL));
	assert_string_equal(before, after);
}

static void test_what_was_changed_is_refused(void **state)
{
	_cleanup_free_ char *path = save("from", 150);
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ json_t *changed = NULL;
	_cleanup_json_ json_t *cut = NULL;
	size_t size;

	(void)state;
	assert_ok(fs_read(path, RECORD_MAX_BYTES, &text, &size));
	*strchr(strstr(text, "\"wall_s\": 3.0"), '3') = '4';
	assert_ok(fs_write_atomic(path, text, size));
	changed = import("from");
	assert_report(changed, 0, 0, 1);
	assert_reason(changed, "changed after it was written");
	assert_ok(fs_write_atomic(path, text, size / 2));
	cut = import("from");
	assert_report(cut, 0, 0, 1);
	assert_false(exists("to/runs/" ID ".json"));
	assert_no_leftovers();
}

static void test_synthetic_records_stay_apart(void **state)
{
	const struct synthetic_options options = {.seed = 1, .count = 2};
	_cleanup_free_ char *from = scratch_path("from");
	_cleanup_json_ json_t *report = NULL;

	(void)state;
	assert_ok(synthetic_store(&options, from, NULL));
	report = import("from");
	assert_report(report, 0, 0, 2);
	assert_reason(report, "synthetic");
}

/* What another host's directory may hold besides records. */
static void test_hostile_directories(void **state)
{
	_cleanup_free_ char *path = save("from", 150);
	_cleanup_free_ char *link = scratch_path("from/runs/link.json");
	_cleanup_free_ char *fifo = scratch_path("from/runs/fifo.json");
	_cleanup_free_ char *inner = scratch_path("from/runs/" ID "/passwd");
	_cleanup_free_ char *loop = scratch_path("from/runs/" ID "/trial-0001");
	_cleanup_free_ char *pipe = scratch_path("from/runs/" ID "/pipe");
	_cleanup_free_ char *deep = malloc(100001);
	_cleanup_json_ json_t *report = NULL;

	(void)state;
	write_text("from/runs/" ID "/trial-0000/ok.log", "x");
	write_text("from/runs/" ID "/trial-0000/.hidden", "x");
	write_text("from/runs/" ID "/a/b/c/too-deep", "x");
	write_text("from/runs/" ID "/odd name;", "x");
	memset(deep, '[', 100000);
	deep[100000] = '\0';
	write_text("from/runs/deep.json", deep);
	assert_int_equal(symlink(path, link), 0);
	assert_int_equal(mkfifo(fifo, 0644), 0);
	assert_int_equal(symlink("/etc/passwd", inner), 0);
	assert_int_equal(symlink("/etc", loop), 0);
	assert_int_equal(mkfifo(pipe, 0644), 0);
	report = import("from");
	assert_report(report, 1, 0, 3);
	assert_true(exists("to/runs/" ID "/trial-0000/ok.log"));
	assert_false(exists("to/runs/" ID "/trial-0000/.hidden"));
	assert_false(exists("to/runs/" ID "/a/b"));
	assert_false(exists("to/runs/" ID "/odd name;"));
	assert_false(exists("to/runs/" ID "/passwd"));
	assert_false(exists("to/runs/" ID "/trial-0001"));
	assert_false(exists("to/runs/" ID "/pipe"));
	assert_no_leftovers();
}

/* A run of our own under the same id, its record lost: what is there stays. */
static void test_logs_of_our_own_stay(void **state)
{
	_cleanup_free_ char *path = save("from", 150);
	_cleanup_free_ char *ours = scratch_path("to/runs/" ID "/journal.jsonl");
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ json_t *report = NULL;

	(void)state;
	write_text("from/runs/" ID "/journal.jsonl", "theirs");
	write_text("to/runs/" ID "/journal.jsonl", "ours");
	report = import("from");
	assert_report(report, 1, 0, 0);
	assert_ok(fs_read(ours, 100, &text, NULL));
	assert_string_equal(text, "ours");
	assert_no_leftovers();
}

/* ---- another import that is faster ---- */

/* A record that appears at this path when our import has its place in the store. */
static struct {
	const char *from, *to;
} faster;

/* In place of the C library's. */
int mkdirat(int directory, const char *name, mode_t mode)
{
	static int (*next)(int, const char *, mode_t);

	if (!next)
		next = (int (*)(int, const char *, mode_t))dlsym(RTLD_NEXT, "mkdirat");
	if (faster.from && strncmp(name, ".import-", 8) == 0) {
		assert_int_equal(link(faster.from, faster.to), 0);
		faster.from = NULL;
	}
	return next(directory, name, mode);
}

/* What the store has is asked for when the other has ended, not before it is waited for. */
static void test_what_another_import_brings_meanwhile_is_there(void **state)
{
	_cleanup_free_ char *record = save("from", 150);
	_cleanup_free_ char *arrived = scratch_path("to/runs/" ID ".json");
	_cleanup_json_ json_t *report = NULL;

	(void)state;
	faster.from = record;
	faster.to = arrived;
	report = import("from");
	assert_null(faster.from);
	assert_report(report, 0, 1, 0);
	assert_no_leftovers();
}

/* ---- somebody who swaps what is being copied ---- */

/* When this name is looked at, this path becomes a link to that one. */
static struct {
	const char *when, *path, *target;
} swap;

static void swap_now(const char *name)
{
	const char *slash = strrchr(name, '/');
	_cleanup_free_ char *away = NULL;

	if (!swap.when || strcmp(slash ? slash + 1 : name, swap.when) != 0)
		return;
	swap.when = NULL;
	away = format_string("%s.away", swap.path);
	assert_int_equal(rename(swap.path, away), 0);
	assert_int_equal(symlink(swap.target, swap.path), 0);
}

/* In place of the C library's. */
int fstatat(int directory, const char *name, struct stat *status, int flags)
{
	static int (*next)(int, const char *, struct stat *, int);

	if (!next)
		next = (int (*)(int, const char *, struct stat *, int))dlsym(RTLD_NEXT, "fstatat");
	swap_now(name);
	return next(directory, name, status, flags);
}

int lstat(const char *path, struct stat *status)
{
	return fstatat(AT_FDCWD, path, status, AT_SYMLINK_NOFOLLOW);
}

static void test_a_directory_that_is_swapped_is_not_left(void **state)
{
	_cleanup_free_ char *record = save("from", 150);
	_cleanup_free_ char *beside = scratch_path("from/runs/" ID);
	_cleanup_free_ char *secrets = scratch_path("secrets");
	_cleanup_free_ char *arrived = scratch_path("to/runs/" ID "/g0.log");
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ json_t *report = NULL;

	(void)state;
	write_text("from/runs/" ID "/g0.log", "console\n");
	write_text("secrets/g0.log", "secret\n");
	swap.path = beside;
	swap.target = secrets;
	swap.when = "g0.log";
	report = import("from");
	assert_null(swap.when);
	assert_report(report, 1, 0, 0);
	assert_ok(fs_read(arrived, 100, &text, NULL));
	assert_string_equal(text, "console\n");
}

static void test_links_in_place_of_directories(void **state)
{
	_cleanup_free_ char *record = save("real", 150);
	_cleanup_free_ char *real = scratch_path("real/runs");
	_cleanup_free_ char *from = scratch_path("from");
	_cleanup_free_ char *from_runs = scratch_path("from/runs");
	_cleanup_free_ char *to = scratch_path("to");
	_cleanup_free_ char *to_runs = scratch_path("to/runs");
	_cleanup_free_ char *elsewhere = scratch_path("elsewhere");
	json_t *report = NULL;

	(void)state;
	assert_ok(fs_make_dirs(from));
	assert_ok(fs_make_dirs(to));
	assert_ok(fs_make_dirs(elsewhere));
	assert_int_equal(symlink(real, from_runs), 0);
	assert_fails(import_records(to, from, &report), ERROR_USAGE, "no records");
	assert_int_equal(rmdir(to_runs), 0);
	assert_int_equal(symlink(elsewhere, to_runs), 0);
	assert_fails(import_records(to, record, &report), ERROR_SETUP, "no link");
	assert_int_equal(rmdir(elsewhere), 0); /* it is empty */
}

static void test_nothing_to_import(void **state)
{
	_cleanup_free_ char *empty = scratch_path("empty");
	_cleanup_free_ char *missing = scratch_path("missing");
	_cleanup_free_ char *to = scratch_path("to");
	json_t *report = NULL;

	(void)state;
	assert_ok(fs_make_dirs(empty));
	assert_fails(import_records(to, empty, &report), ERROR_USAGE, "no records");
	assert_fails(import_records(to, missing, &report), ERROR_SETUP, "missing");
	assert_fails(import_records(to, "/dev/null", &report), ERROR_USAGE, "neither");
}

/* ---- archives ---- */

static void make_archive(const char *name, const char *record_path_in)
{
	_cleanup_free_ char *path = scratch_path(name);
	_cleanup_free_ char *text = NULL;
	struct archive_writer *writer = NULL;
	size_t size;

	assert_ok(fs_read(record_path_in, RECORD_MAX_BYTES, &text, &size));
	assert_ok(archive_create(path, &writer));
	assert_ok(archive_add(writer, ID "/README.md", "# read me\n", 10, 1));
	assert_ok(archive_add(writer, ID "/record.json", text, size, 1));
	assert_ok(archive_add(writer, ID "/trial-0000/g0.log", "console\n", 8, 1));
	assert_ok(archive_finish(writer));
	archive_writer_destroy(writer);
}

static void test_an_archive_is_imported(void **state)
{
	static const char *const names[] = {"run.tar.zst", "run.tar.gz", "run.tgz"};
	_cleanup_free_ char *path = save("from", 150);
	_cleanup_free_ char *to = scratch_path("to");
	_cleanup_free_ char *log = scratch_path("to/runs/" ID "/trial-0000/g0.log");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_json_ json_t *first = NULL;
		_cleanup_json_ json_t *second = NULL;
		_cleanup_free_ char *text = NULL;

		make_archive(names[i], path);
		assert_ok(fs_remove_tree(to));
		first = import(names[i]);
		assert_report(first, 1, 0, 0);
		assert_ok(fs_read(log, 100, &text, NULL));
		assert_string_equal(text, "console\n");
		assert_false(exists("to/runs/" ID "/record.json"));
		second = import(names[i]);
		assert_report(second, 0, 1, 0);
		assert_no_leftovers();
	}
}

static void test_equal_input_gives_equal_archives(void **state)
{
	_cleanup_free_ char *path = save("from", 150);
	static const char *const ends[] = {".tar.zst", ".tar.gz"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		_cleanup_free_ char *a = format_string("a%s", ends[i]);
		_cleanup_free_ char *b = format_string("b%s", ends[i]);
		_cleanup_free_ char *a_path = scratch_path(a);
		_cleanup_free_ char *b_path = scratch_path(b);
		char a_hash[33], b_hash[33];

		make_archive(a, path);
		make_archive(b, path);
		assert_ok(fs_hash_file(a_path, a_hash));
		assert_ok(fs_hash_file(b_path, b_hash));
		assert_string_equal(a_hash, b_hash);
	}
}

static void test_writing_replaces_nothing(void **state)
{
	_cleanup_free_ char *there = scratch_path("there.tar.zst");
	_cleanup_free_ char *unknown = scratch_path("run.zip");
	_cleanup_free_ char *nowhere = scratch_path("no/such/run.tar.gz");
	struct archive_writer *writer = NULL;

	(void)state;
	write_text("there.tar.zst", "mine");
	assert_fails(archive_create(there, &writer), ERROR_USAGE, "exists");
	assert_fails(archive_create(unknown, &writer), ERROR_USAGE, ".tar.zst");
	assert_fails(archive_create(nowhere, &writer), ERROR_SETUP, "no/such");

	/* begun and given up: nothing stays */
	_cleanup_free_ char *given_up = scratch_path("given-up.tar.gz");
	_cleanup_free_ char *pattern = scratch_path("given-up*");
	glob_t found;

	assert_ok(archive_create(given_up, &writer));
	archive_writer_destroy(writer);
	assert_int_equal(glob(pattern, 0, NULL, &found), GLOB_NOMATCH);
}

/* Whoever may write to the directory has put links at names that could be guessed. */
static void test_writing_goes_through_no_link(void **state)
{
	_cleanup_free_ char *record = save("from", 150);
	_cleanup_free_ char *path = scratch_path("run.tar.gz");
	_cleanup_free_ char *guessed = format_string("%s.tmp-%d", path, (int)getpid());
	_cleanup_free_ char *precious = scratch_path("precious");
	_cleanup_free_ char *text = NULL;
	struct archive_writer *writer = NULL;
	struct stat status;
	mode_t before;

	(void)state;
	write_text("precious", "mine");
	assert_int_equal(symlink(precious, guessed), 0);
	before = umask(027);
	make_archive("run.tar.gz", record);
	umask(before);
	assert_ok(fs_read(precious, 100, &text, NULL));
	assert_string_equal(text, "mine");
	assert_int_equal(lstat(path, &status), 0);
	assert_true(S_ISREG(status.st_mode));
	assert_int_equal(status.st_mode & 0777, 0640);
	assert_int_equal(status.st_nlink, 1);

	/* to the archive's own name, where nothing is yet or where something comes in between */
	_cleanup_free_ char *dangling = scratch_path("dangling.tar.gz");
	_cleanup_free_ char *late = scratch_path("late.tar.gz");
	_cleanup_free_ char *pattern = scratch_path("late.tar.gz.tmp*");
	_cleanup_free_ char *nothing = scratch_path("nothing");
	glob_t found;

	assert_int_equal(symlink(nothing, dangling), 0);
	assert_fails(archive_create(dangling, &writer), ERROR_USAGE, "exists");
	assert_ok(archive_create(late, &writer));
	assert_int_equal(symlink(nothing, late), 0);
	assert_fails(archive_finish(writer), ERROR_USAGE, "exists");
	archive_writer_destroy(writer);
	assert_int_equal(glob(pattern, 0, NULL, &found), GLOB_NOMATCH);
	assert_false(exists("nothing"));
}

/* An archive with one entry, as somebody with other tools could make it. */
static char *hostile(const char *name, unsigned int type, const char *target)
{
	char *path = scratch_path("hostile.tar.gz");
	struct archive *archive = archive_write_new();
	struct archive_entry *entry = archive_entry_new();

	archive_write_add_filter_gzip(archive);
	archive_write_set_format_pax_restricted(archive);
	assert_int_equal(archive_write_open_filename(archive, path), ARCHIVE_OK);
	for (int i = 0; i < 2; i++) { /* the second time the same name */
		archive_entry_clear(entry);
		archive_entry_set_pathname(entry, name);
		archive_entry_set_perm(entry, 0644);
		archive_entry_set_filetype(entry, type);
		if (type == AE_IFLNK)
			archive_entry_set_symlink(entry, target);
		else if (target)
			archive_entry_set_hardlink(entry, target);
		archive_entry_set_size(entry, type == AE_IFREG && !target ? 3 : 0);
		assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
		if (type == AE_IFREG && !target)
			assert_int_equal(archive_write_data(archive, "bad", 3), 3);
	}
	archive_entry_free(entry);
	assert_int_equal(archive_write_free(archive), ARCHIVE_OK);
	return path;
}

static void test_hostile_archives(void **state)
{
	static const struct {
		const char *name;
		unsigned int type;
		const char *target, *reason;
	} cases[] = {
		{"../outside", AE_IFREG, NULL, "none that an exported run has"},
		{"run/../../outside", AE_IFREG, NULL, "none that an exported run has"},
		{"/tmp/fleetlab-outside", AE_IFREG, NULL, "none that an exported run has"},
		{"run/./x", AE_IFREG, NULL, "none that an exported run has"},
		{"run//x", AE_IFREG, NULL, "none that an exported run has"},
		{"run/a/b/c/d/e", AE_IFREG, NULL, "none that an exported run has"},
		{"run/new\nline", AE_IFREG, NULL, "none that an exported run has"},
		{"run/.bashrc", AE_IFREG, NULL, "none that an exported run has"},
		{"run/link", AE_IFLNK, "/etc/passwd", "no plain file"},
		{"run/hard", AE_IFREG, "/etc/passwd", "no plain file"},
		{"run/device", AE_IFCHR, NULL, "no plain file"},
		{"run/pipe", AE_IFIFO, NULL, "no plain file"},
		{"run", AE_IFREG, NULL, "not in one directory"},
		{"run/twice", AE_IFREG, NULL, "stands twice"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *path = hostile(cases[i].name, cases[i].type, cases[i].target);
		_cleanup_free_ char *to = scratch_path("to");
		json_t *report = NULL;

		assert_fails(import_records(to, path, &report), ERROR_USAGE, cases[i].reason);
		assert_no_leftovers();
		assert_false(exists("outside"));
		assert_false(exists("to/outside"));
		assert_false(exists("to/runs/outside"));
	}
	assert_int_equal(access("/tmp/fleetlab-outside", F_OK), -1);
}

/* ---- imports that die ---- */

static pid_t import_in_a_child(const char *source, const struct rlimit *file_size)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		_cleanup_free_ char *from = scratch_path(source);
		_cleanup_free_ char *to = scratch_path("to");
		json_t *report = NULL;

		setrlimit(RLIMIT_FSIZE, file_size);
		_exit(import_records(to, from, &report) ? 1 : 0);
	}
	return pid;
}

/* Kills itself while it unpacks: a write beyond the limit of a file's size is a deadly signal. */
static void die_importing(const char *source)
{
	const struct rlimit little = {4096, 4096};
	pid_t pid = import_in_a_child(source, &little);
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGXFSZ);
}

static struct error *hold_imports(const void *store)
{
	_cleanup_free_ char *path = format_string("%s/.import.lock", (const char *)store);
	int fd;

	return file_lock_at(AT_FDCWD, path, path, deadline_after_ms(TEST_TIMEOUT_MS), &fd);
}

static void test_what_dead_imports_left_is_removed(void **state)
{
	_cleanup_free_ char *record = save("from", 150);
	_cleanup_free_ char *to = scratch_path("to");
	_cleanup_json_ json_t *report = NULL;
	size_t removed = 99;
	pid_t holder;

	(void)state;
	assert_ok(import_sweep(to, &removed)); /* there is no store yet */
	assert_int_equal(removed, 0);
	make_archive("run.tar.gz", record);
	die_importing("run.tar.gz");
	die_importing("from");
	assert_int_equal(leftovers(), 1); /* the second removed the first's */
	write_text("to/runs/.import-" ID ".json", "{}");

	/* one that lives keeps what it has */
	holder = child_holding(hold_imports, to);
	assert_ok(import_sweep(to, &removed));
	assert_int_equal(removed, 0);
	assert_int_equal(leftovers(), 2);
	child_kill(holder);
	assert_ok(import_sweep(to, &removed));
	assert_int_equal(removed, 2);
	assert_no_leftovers();

	die_importing("run.tar.gz");
	report = import("run.tar.gz");
	assert_report(report, 1, 0, 0);
	assert_no_leftovers();
}

static int import_zeros(void)
{
	_cleanup_free_ char *zeros = scratch_path("zeros.tar.gz");
	_cleanup_free_ char *to = scratch_path("to");
	json_t *report = NULL;
	struct error *err;

	alarm(TEST_TIMEOUT_MS / 1000); /* deadly where it would take days */
	err = import_records(to, zeros, &report);
	return err && error_kind(err) == ERROR_USAGE && strstr(error_message(err), "zeros") ? 0 : 1;
}

/* A file with a size and nothing in it, as a copy that was cut short can be. */
static void test_an_archive_of_zeros(void **state)
{
	_cleanup_free_ char *path = scratch_path("zeros.tar.gz");
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	(void)state;
	assert_int_equal(ftruncate(fd, (off_t)1 << 40), 0);
	close(fd);
	in_a_child(import_zeros);
	assert_no_leftovers();
}

static void test_damaged_archives(void **state)
{
	_cleanup_free_ char *record = save("from", 150);
	_cleanup_free_ char *path = scratch_path("run.tar.zst");
	_cleanup_free_ char *to = scratch_path("to");
	_cleanup_free_ char *text = NULL;
	json_t *report = NULL;
	size_t size;

	(void)state;
	make_archive("run.tar.zst", record);
	assert_ok(fs_read(path, RECORD_MAX_BYTES, &text, &size));
	for (size_t part = 1; part < 8; part++) {
		assert_ok(fs_write_atomic(path, text, size * part / 8));
		assert_fails(import_records(to, path, &report), ERROR_USAGE, "run.tar.zst");
		assert_no_leftovers();
	}
	write_text("garbage.tar.zst", "no archive at all");
	_cleanup_free_ char *garbage = scratch_path("garbage.tar.zst");

	assert_fails(import_records(to, garbage, &report), ERROR_USAGE, "garbage.tar.zst");
	write_text("empty.tar.zst", "");
	_cleanup_free_ char *empty = scratch_path("empty.tar.zst");

	assert_fails(import_records(to, empty, &report), ERROR_USAGE, "empty");
	assert_false(exists("to/runs/" ID ".json"));
}

static void test_plain_names(void **state)
{
	static const char *const good[] = {"a", "trial-0000/lab.log", "images/0a.json", "a/b/c/d"};
	static const char *const bad[] = {
		"", "/", "/a", "a/", "a//b", ".", "..", "a/..", "a/.b", "a b", "a\\b", "\xc3\xa4"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(archive_name_is_plain(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(archive_name_is_plain(bad[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(test_a_store_is_merged_once),
		scratch_test(test_another_record_of_the_same_id_is_refused),
		scratch_test(test_what_another_import_brings_meanwhile_is_there),
		scratch_test(test_what_was_changed_is_refused),
		scratch_test(test_synthetic_records_stay_apart),
		scratch_test(test_hostile_directories),
		scratch_test(test_logs_of_our_own_stay),
		scratch_test(test_a_directory_that_is_swapped_is_not_left),
		scratch_test(test_links_in_place_of_directories),
		scratch_test(test_nothing_to_import),
		scratch_test(test_an_archive_is_imported),
		scratch_test(test_equal_input_gives_equal_archives),
		scratch_test(test_writing_replaces_nothing),
		scratch_test(test_writing_goes_through_no_link),
		scratch_test(test_hostile_archives),
		scratch_test(test_an_archive_of_zeros),
		scratch_test(test_what_dead_imports_left_is_removed),
		scratch_test(test_damaged_archives),
		cmocka_unit_test(test_plain_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
