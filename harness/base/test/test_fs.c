/* Files: reads are bounded, writes are whole or absent (also on a full disk), removal stays inside.
 */
#include "harness/base/test/child.h"
#include "harness/base/test/refused_call.h"

#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

static size_t entries_of(const char *path)
{
	DIR *dir = opendir(path);
	size_t count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 2; /* . and .. */
}

static void assert_content(const char *path, const char *wanted)
{
	_cleanup_free_ char *data = NULL;

	assert_ok(fs_read(path, 1 << 20, &data, NULL));
	assert_string_equal(data, wanted);
}

static void directories_are_made_with_their_parents(void **state)
{
	(void)state;
	_cleanup_free_ char *deep = scratch_path("a/b//c");
	_cleanup_free_ char *file = scratch_path("file");
	_cleanup_free_ char *below = scratch_path("file/x");
	struct stat st;

	assert_ok(fs_make_dirs(deep));
	assert_ok(fs_make_dirs(deep));
	assert_int_equal(stat(deep, &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_ok(fs_write_atomic(file, "", 0));
	assert_fails(fs_make_dirs(file), ERROR_SETUP, "Not a directory");
	assert_fails(fs_make_dirs(below), ERROR_SETUP, below);
	assert_fails(fs_make_dirs(""), ERROR_SETUP, "directory");
}

static void a_read_has_a_bound(void **state)
{
	(void)state;
	_cleanup_free_ char *path = scratch_path("ten");
	_cleanup_free_ char *data = NULL;
	char *untouched = scratch;
	size_t size = 99;

	assert_ok(fs_write_atomic(path,
		"0123\0"
		"6789",
		9));
	assert_ok(fs_read(path, 9, &data, &size));
	assert_int_equal(size, 9);
	assert_memory_equal(data,
		"0123\0"
		"6789",
		10); /* and a NUL after it */
	assert_fails(fs_read(path, 8, &untouched, &size), ERROR_SETUP, "larger than 8 bytes");
	assert_ptr_equal(untouched, scratch);
	assert_fails(fs_read("/dev/zero", 100000, &untouched, &size), ERROR_SETUP, "larger");
	assert_fails(fs_read(scratch, 9, &untouched, &size), ERROR_SETUP, scratch);
}

static void files_without_a_size_are_read_whole(void **state)
{
	(void)state;
	_cleanup_free_ char *data = NULL;
	_cleanup_free_ char *line = NULL;
	size_t size;

	assert_ok(fs_read("/proc/self/status", 1 << 16, &data, &size));
	assert_int_equal(size, strlen(data));
	assert_non_null(strstr(data, "\nUid:"));
	line = fs_read_line("/proc/sys/kernel/ostype");
	assert_string_equal(line, "Linux");
	assert_null(fs_read_line("/nonexistent"));
}

static void a_write_replaces_the_old_content(void **state)
{
	(void)state;
	_cleanup_free_ char *path = scratch_path("file");
	_cleanup_free_ char *nowhere = scratch_path("no/file");
	struct stat st;

	assert_ok(fs_write_atomic(path, "old", 3));
	assert_ok(fs_write_atomic(path, "newer", 5));
	assert_content(path, "newer");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_int_equal(entries_of(scratch), 1);
	assert_fails(fs_write_atomic(nowhere, "", 0), ERROR_SETUP, nowhere);
	assert_fails(fs_write_atomic(scratch, "", 0), ERROR_SETUP, "cannot rename");
}

/* In a mount namespace of its own: a tmpfs of 64 KiB on the scratch directory. */
static int write_to_a_full_disk(void)
{
	_cleanup_free_ char *path = scratch_path("file");
	_cleanup_free_ char *big = calloc(1, 1 << 20);
	_cleanup_free_ char *data = NULL;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("test", scratch, "tmpfs", 0, "size=64k") < 0)
		return CHILD_SKIPS;
	if (fs_write_atomic(path, "old", 3))
		return 1;
	struct error *err = fs_write_atomic(path, big, 1 << 20);

	if (!err || !strstr(error_message(err), "No space left"))
		return 2;
	error_destroy(err);
	if (entries_of(scratch) != 1)
		return 3;
	if (fs_read(path, 100, &data, NULL) || strcmp(data, "old") != 0)
		return 4;
	return fs_write_atomic(path, "new", 3) ? 5 : 0;
}

static void a_full_disk_leaves_the_old_content(void **state)
{
	(void)state;
	in_a_child(write_to_a_full_disk);
}

static void removal_does_not_follow_links(void **state)
{
	(void)state;
	_cleanup_free_ char *tree = scratch_path("tree");
	_cleanup_free_ char *sub = scratch_path("tree/sub");
	_cleanup_free_ char *outside = scratch_path("outside");
	_cleanup_free_ char *kept = scratch_path("outside/kept");
	_cleanup_free_ char *link = scratch_path("tree/sub/link");
	_cleanup_free_ char *itself = scratch_path("link");

	assert_ok(fs_make_dirs(sub));
	assert_ok(fs_make_dirs(outside));
	assert_ok(fs_write_atomic(kept, "kept", 4));
	assert_int_equal(symlink(outside, link), 0);
	assert_int_equal(symlink(outside, itself), 0);
	assert_ok(fs_remove_tree(tree));
	assert_int_equal(access(tree, F_OK), -1);
	assert_ok(fs_remove_tree(itself));
	assert_content(kept, "kept");
	assert_ok(fs_remove_tree(tree)); /* a missing one is fine */
}

/* Somebody else who removes the same tree: what another one takes away in the very moment in which
 * we come to it. */
static const char *snatched;

/* In place of libc's, for fs_remove_tree(). */
int remove(const char *path)
{
	if (snatched && strcmp(path, snatched) == 0) {
		snatched = NULL;
		assert_int_equal(remove(path), 0);
	}
	if (unlink(path) == 0)
		return 0;
	return errno == EISDIR ? rmdir(path) : -1;
}

static void removal_goes_on_when_others_remove_too(void **state)
{
	static const char *const names[] = {"tree/a", "tree/b/c", "tree/b", "tree"};
	_cleanup_free_ char *tree = scratch_path("tree");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *directory = scratch_path("tree/b");
		_cleanup_free_ char *one = scratch_path("tree/a");
		_cleanup_free_ char *two = scratch_path("tree/b/c");
		_cleanup_free_ char *theirs = scratch_path(names[i]);

		assert_ok(fs_make_dirs(directory));
		assert_ok(fs_write_atomic(one, "", 0));
		assert_ok(fs_write_atomic(two, "", 0));
		snatched = theirs;
		assert_ok(fs_remove_tree(tree));
		assert_null(snatched);
		assert_int_equal(access(tree, F_OK), -1);
	}
}

/* As many as there are: directories go between any two looks at them, too. */
static void many_remove_the_same_tree(void **state)
{
	enum { ROUNDS = 20, REMOVERS = 3, DIRECTORIES = 100 };
	_cleanup_free_ char *tree = scratch_path("tree");

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		pid_t removers[REMOVERS];
		int status;

		for (int i = 0; i < DIRECTORIES; i++) {
			_cleanup_free_ char *path = format_string("%s/%d/sub", tree, i);

			assert_ok(fs_make_dirs(path));
		}
		for (int i = 0; i < REMOVERS; i++) {
			removers[i] = fork();
			assert_true(removers[i] >= 0);
			if (removers[i] == 0)
				_exit(fs_remove_tree(tree) ? 1 : access(tree, F_OK) == 0 ? 2 : 0);
		}
		for (int i = 0; i < REMOVERS; i++) {
			assert_int_equal(waitpid(removers[i], &status, 0), removers[i]);
			assert_int_equal(status, 0);
		}
	}
}

static void a_hash_is_of_the_content(void **state)
{
	(void)state;
	_cleanup_free_ char *path = scratch_path("file");
	size_t size = (3 << 20) + 17; /* more than one buffer */
	_cleanup_free_ char *data = malloc(size);
	char of_file[33], of_bytes[33];

	memset(data, 'x', size);
	assert_ok(fs_write_atomic(path, data, size));
	assert_ok(fs_hash_file(path, of_file));
	fs_hash_bytes(data, size, of_bytes);
	assert_string_equal(of_file, of_bytes);
	data[size - 1] = 'y';
	fs_hash_bytes(data, size, of_bytes);
	assert_string_not_equal(of_file, of_bytes);
	/* XXH3-128 of nothing, as the algorithm's own sanity table has it. */
	fs_hash_bytes("", 0, of_bytes);
	assert_string_equal(of_bytes, "99aa06d3014798d86001c324468d497f");
	strcpy(of_file, "untouched");
	assert_fails(fs_hash_file("/nonexistent", of_file), ERROR_SETUP, "/nonexistent");
	assert_string_equal(of_file, "untouched");
}

static void a_value_goes_only_into_a_file_that_exists(void **state)
{
	(void)state;
	_cleanup_free_ char *path = scratch_path("knob");

	assert_fails(fs_write_value(path, "1"), ERROR_SETUP, path);
	assert_int_equal(access(path, F_OK), -1);
	assert_ok(fs_write_atomic(path, "0", 1));
	assert_ok(fs_write_value(path, "1"));
	assert_content(path, "1");
}

static void free_space_is_that_of_the_nearest_parent(void **state)
{
	(void)state;
	_cleanup_free_ char *missing = scratch_path("not/yet/made");
	_cleanup_free_ char *below_a_file = scratch_path("file/x");
	_cleanup_free_ char *file = scratch_path("file");
	uint64_t bytes = 0;

	assert_ok(fs_free_bytes(missing, &bytes));
	assert_true(bytes > 0);
	assert_ok(fs_write_atomic(file, "", 0));
	assert_fails(fs_free_bytes(below_a_file, &bytes), ERROR_SETUP, below_a_file);
}

static void the_environment_says_where_things_are(void **state)
{
	(void)state;
	_cleanup_free_ char *results = NULL;

	assert_int_equal(setenv("FLEETLAB_CACHE", "/chosen", 1), 0);
	_cleanup_free_ char *chosen = fs_cache_dir();

	assert_string_equal(chosen, "/chosen");
	setenv("FLEETLAB_CACHE", "", 1); /* empty is as good as unset */
	setenv("XDG_CACHE_HOME", "/xdg", 1);
	_cleanup_free_ char *xdg = fs_cache_dir();

	assert_string_equal(xdg, "/xdg/fleetlab");
	setenv("XDG_CACHE_HOME", "relative", 1); /* must be ignored, says the XDG standard */
	setenv("HOME", "/home/someone", 1);
	_cleanup_free_ char *home = fs_cache_dir();

	assert_string_equal(home, "/home/someone/.cache/fleetlab");
	setenv("FLEETLAB_RESULTS", "/there", 1);
	results = fs_results_dir();
	assert_string_equal(results, "/there");
}

/* What is to be typed so that another command finds the same records. */
static void what_is_typed_finds_the_same_records(void **state)
{
	static const struct {
		const char *dir, *words;
	} rows[] = {
		{"/there", ""},
		{"/else/where-1", " --results /else/where-1"},
		{"a b", " --results 'a b'"},
		{"it's", " --results 'it'\\''s'"},
	};

	(void)state;
	setenv("FLEETLAB_RESULTS", "/there", 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		_cleanup_free_ char *words = fs_results_words(rows[i].dir);

		assert_string_equal(words, rows[i].words);
	}
}

/* 0, or the line where it went wrong. */
static int rename_in_scratch(void)
{
	_cleanup_close_ int at = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ char *there = scratch_path("there");
	_cleanup_free_ char *new_file = scratch_path("new");
	_cleanup_free_ char *inner = scratch_path("full/x");
	struct stat status;

	/* files */
	if (fs_write_atomic(there, "there", 5) || symlinkat("nowhere", at, "dangling") < 0)
		return __LINE__;
	if (fs_rename_new(at, "there", at, "new") < 0 || access(there, F_OK) == 0 ||
		access(new_file, F_OK) < 0)
		return __LINE__;
	if (fs_write_atomic(there, "there", 5))
		return __LINE__;
	if (fs_rename_new(at, "there", at, "new") == 0 || errno != EEXIST)
		return __LINE__;
	if (fs_rename_new(at, "there", at, "dangling") == 0 || errno != EEXIST ||
		access(there, F_OK) < 0)
		return __LINE__;
	/* directories: an empty one is somebody's, too */
	if (mkdirat(at, "full", 0755) < 0 || mkdirat(at, "empty", 0755) < 0 ||
		fs_write_atomic(inner, "x", 1))
		return __LINE__;
	if (fs_rename_new(at, "full", at, "empty") == 0 || errno != EEXIST)
		return __LINE__;
	if (fs_rename_new(at, "empty", at, "full") == 0 || errno != EEXIST)
		return __LINE__;
	if (fs_rename_new(at, "full", at, "moved") < 0 || fstatat(at, "full", &status, 0) == 0 ||
		fstatat(at, "moved/x", &status, 0) < 0)
		return __LINE__;
	if (fs_rename_new(at, "missing", at, "nothing") == 0 || errno != ENOENT)
		return __LINE__;
	return fstatat(at, "nothing", &status, 0) == 0 ? __LINE__ : 0;
}

static int rename_as_on_nfs(void)
{
	return refuse_call(__NR_renameat2, EINVAL) ? rename_in_scratch() : __LINE__;
}

static void nothing_is_replaced(void **state)
{
	(void)state;
	assert_int_equal(rename_in_scratch(), 0);
}

static void nor_where_the_file_system_does_not_help(void **state)
{
	(void)state;
	in_a_child(rename_as_on_nfs);
}

static void below_a_directory_no_path_leads_out(void **state)
{
	static const char *const outside[] = {"../secret", "/etc/hostname", "in/../../secret",
		"link", "away/secret", "in", "fifo", "none"};
	_cleanup_free_ char *root_path = scratch_path("root");
	_cleanup_free_ char *in = scratch_path("root/in");
	_cleanup_free_ char *file = scratch_path("root/in/file");
	_cleanup_free_ char *secret = scratch_path("secret");
	_cleanup_free_ char *link = scratch_path("root/link");
	_cleanup_free_ char *away = scratch_path("root/away");
	_cleanup_free_ char *fifo = scratch_path("root/fifo");
	_cleanup_free_ char *text = NULL;
	_cleanup_close_ int root = -1;
	size_t size;

	(void)state;
	assert_ok(fs_make_dirs(in));
	assert_ok(fs_write_atomic(file, "abc", 3));
	assert_ok(fs_write_atomic(secret, "xyz", 3));
	assert_int_equal(symlink("in/file", link), 0);
	assert_int_equal(symlink("..", away), 0);
	assert_int_equal(mkfifo(fifo, 0644), 0);
	root = open(root_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_ok(fs_read_beneath(root, "in/file", 3, &text, &size, NULL));
	assert_string_equal(text, "abc");
	for (size_t i = 0; i < ARRAY_SIZE(outside); i++) {
		struct error *err = fs_read_beneath(root, outside[i], 100, &text, &size, NULL);

		if (!err)
			fail_msg("'%s' was read", outside[i]);
		error_destroy(err);
	}
	assert_fails(
		fs_read_beneath(root, "in/file", 2, &text, &size, NULL), ERROR_USAGE, "larger");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(directories_are_made_with_their_parents),
		scratch_test(a_read_has_a_bound),
		scratch_test(files_without_a_size_are_read_whole),
		scratch_test(a_write_replaces_the_old_content),
		scratch_test(a_full_disk_leaves_the_old_content),
		scratch_test(removal_does_not_follow_links),
		scratch_test(removal_goes_on_when_others_remove_too),
		scratch_test(many_remove_the_same_tree),
		scratch_test(nothing_is_replaced),
		scratch_test(nor_where_the_file_system_does_not_help),
		scratch_test(below_a_directory_no_path_leads_out),
		scratch_test(a_hash_is_of_the_content),
		scratch_test(a_value_goes_only_into_a_file_that_exists),
		scratch_test(free_space_is_that_of_the_nearest_parent),
		scratch_test(the_environment_says_where_things_are),
		cmocka_unit_test(what_is_typed_finds_the_same_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
