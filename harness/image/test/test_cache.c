/* The cache: keys, damage, two builders at once, a killed builder, a full disk. */
#include "harness/image/cache.h"
#include "harness/base/test/child.h"
#include "harness/base/test/scratch_cache.h"
#include "harness/image/image.h"
#include "harness/image/test/refusal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

static int builds;

static struct error *build_payload(struct cache *cache, const char *entry, const char *work,
	json_t *manifest, const void *data)
{
	_cleanup_free_ char *path = format_string("%s/payload", entry);
	_cleanup_free_ char *between = format_string("%s/between", work);

	(void)cache;
	builds++;
	try_(fs_write_atomic(between, "x", 1));
	json_object_set_new(manifest, "note", json_string("made by a test"));
	return fs_write_atomic(path, data, strlen(data));
}

static json_t *specification(const char *kind)
{
	return json_pack("{s:s, s:i, s:[s,s]}", "kind", kind, "recipe", 1, "packages", "a", "b");
}

static struct error *obtain_by(
	struct cache *cache, const char *kind, cache_build build, struct cache_entry *entry)
{
	_cleanup_json_ json_t *spec = specification(kind);

	return cache_obtain(cache, kind, spec, build, "the payload of an image", entry);
}

/* Obtains with a cache of its own; returns the entry's directory. */
static char *obtain(const char *kind)
{
	_cleanup_(cache_deinit) struct cache cache;
	struct cache_entry entry;

	cache_init(&cache);
	assert_ok(obtain_by(&cache, kind, build_payload, &entry));
	char *directory = take_ptr(entry.directory);

	cache_entry_deinit(&entry);
	return directory;
}

static size_t count_staging(void)
{
	_cleanup_free_ char *path = format_string("%s/images", scratch);
	DIR *dir = opendir(path);
	struct dirent *item;
	size_t count = 0;

	while (dir && (item = readdir(dir)))
		count += strncmp(item->d_name, "staging-", 8) == 0;
	if (dir)
		closedir(dir);
	return count;
}

static int setup(void **state)
{
	builds = 0;
	return scratch_make_cache(state);
}

static void test_key_is_stable(void **state)
{
	_cleanup_json_ json_t *a = specification("tiny");
	_cleanup_json_ json_t *b =
		json_pack("{s:[s,s], s:s, s:i}", "packages", "a", "b", "kind", "tiny", "recipe", 1);
	_cleanup_json_ json_t *c = specification("tinx");
	char key[33], other[33];

	(void)state;
	cache_key(a, key);
	/* Caches of users hold keys: another value here means that all are built again. */
	assert_string_equal(key, "684c0954e8685b5cb2f901accd0037d3");
	cache_key(b, other);
	assert_string_equal(key, other);
	cache_key(c, other);
	assert_string_not_equal(key, other);
}

static void test_built_once(void **state)
{
	_cleanup_free_ char *first = obtain("tiny");
	_cleanup_free_ char *second = obtain("tiny");

	(void)state;
	assert_string_equal(first, second);
	assert_int_equal(builds, 1);
	assert_int_equal(count_staging(), 0);
}

static void test_same_content_is_shared(void **state)
{
	_cleanup_free_ char *first = obtain("one");
	_cleanup_free_ char *second = obtain("two");

	(void)state;
	assert_string_equal(first, second);
	assert_int_equal(builds, 2);
	free(obtain("one"));
	free(obtain("two"));
	assert_int_equal(builds, 2);
}

static void damage(const char *path, off_t at, bool truncate_it)
{
	_cleanup_close_ int fd = -1;
	char byte;

	assert_int_equal(chmod(path, 0644), 0);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	if (truncate_it) {
		assert_int_equal(ftruncate(fd, at), 0);
		return;
	}
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

static char *only_manifest(void)
{
	_cleanup_free_ char *path = format_string("%s/images/manifests", scratch);
	DIR *dir = opendir(path);
	struct dirent *item;
	char *found = NULL;

	assert_non_null(dir);
	while ((item = readdir(dir))) {
		if (item->d_name[0] != '.' && !found)
			found = format_string("%s/%s", path, item->d_name);
	}
	closedir(dir);
	assert_non_null(found);
	return found;
}

static void test_damage_is_found_and_repaired(void **state)
{
	_cleanup_free_ char *directory = obtain("tiny");
	_cleanup_free_ char *payload = format_string("%s/payload", directory);
	_cleanup_free_ char *manifest = only_manifest();
	_cleanup_free_ char *text = NULL;

	(void)state;
	damage(payload, 3, false);
	free(obtain("tiny"));
	assert_int_equal(builds, 2);
	assert_ok(fs_read(payload, 100, &text, NULL));
	assert_string_equal(text, "the payload of an image");
	damage(payload, 5, true);
	free(obtain("tiny"));
	assert_int_equal(builds, 3);
	assert_int_equal(unlink(payload), 0);
	free(obtain("tiny"));
	assert_int_equal(builds, 4);
	damage(manifest, 100, false);
	free(obtain("tiny"));
	assert_int_equal(builds, 5);
	damage(manifest, 0, true);
	free(obtain("tiny"));
	assert_int_equal(builds, 6);
	free(obtain("tiny"));
	assert_int_equal(builds, 6);
}

static struct error *build_badly(struct cache *cache, const char *entry, const char *work,
	json_t *manifest, const void *data)
{
	assert_ok(build_payload(cache, entry, work, manifest, data));
	return error_new(ERROR_SETUP, "no luck");
}

static void test_failure_leaves_nothing(void **state)
{
	_cleanup_(cache_deinit) struct cache cache;
	struct cache_entry entry;

	(void)state;
	cache_init(&cache);
	assert_error(obtain_by(&cache, "tiny", build_badly, &entry), "image tiny: no luck");
	assert_int_equal(count_staging(), 0);
	assert_int_equal(cache.lock_fd, -1);
	free(obtain("tiny"));
	assert_int_equal(builds, 2);
}

static char *obtain_payload(const char *kind, const char *payload, bool fresh)
{
	_cleanup_(cache_deinit) struct cache cache;
	_cleanup_(cache_entry_deinit) struct cache_entry entry = {0};
	_cleanup_json_ json_t *spec = specification(kind);

	cache_init(&cache);
	cache.fresh = fresh;
	assert_ok(cache_obtain(&cache, kind, spec, build_payload, payload, &entry));
	return take_ptr(entry.directory);
}

static bool is_there(const char *path)
{
	return access(path, F_OK) == 0;
}

/* Guests may run on what was built anew; what nothing names goes when something is removed. */
static void test_removal_takes_what_no_manifest_names(void **state)
{
	static const char left[] = "images/0123456789abcdef0123456789abcdef/payload";
	_cleanup_free_ char *old = obtain_payload("tiny", "old", false);
	_cleanup_free_ char *new = obtain_payload("tiny", "new", true);
	_cleanup_free_ char *other = obtain_payload("other", "other", false);
	_cleanup_free_ char *killed = scratch_path(left);
	_cleanup_free_ char *lock = scratch_path("images/lock");
	size_t removed;

	(void)state;
	scratch_write(left, "of a builder that was killed", 0444);
	assert_error(image_remove("none", &removed), "there is no image");
	assert_true(is_there(old) && is_there(new) && is_there(killed));
	assert_ok(image_remove("tiny", &removed));
	assert_int_equal(removed, 1);
	assert_false(is_there(old) || is_there(new) || is_there(killed));
	assert_true(is_there(other) && is_there(lock));
	scratch_write(left, "again", 0444);
	assert_ok(image_remove_all(false, &removed));
	assert_int_equal(removed, 1);
	assert_false(is_there(other) || is_there(killed));
	assert_true(is_there(lock));
}

/* ---- more than one process ---- */

static int told[2], go[2];

/* Tells the parent that it is half done, then waits to be let go on (or killed). */
static struct error *build_slowly(struct cache *cache, const char *entry, const char *work,
	json_t *manifest, const void *data)
{
	char byte;

	try_(build_payload(cache, entry, work, manifest, data));
	if (write(told[1], "b", 1) != 1 || read(go[0], &byte, 1) != 1)
		return error_new(ERROR_INTERNAL, "the test's pipes broke");
	return NULL;
}

static pid_t start_slow_builder(void)
{
	pid_t pid;
	char byte;

	assert_int_equal(pipe2(told, O_CLOEXEC), 0);
	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		struct cache cache;
		struct cache_entry entry;

		cache_init(&cache);
		_exit(obtain_by(&cache, "tiny", build_slowly, &entry) ? 1 : 0);
	}
	assert_int_equal(read(told[0], &byte, 1), 1);
	return pid;
}

static void close_pipes(void)
{
	for (int i = 0; i < 2; i++) {
		close(told[i]);
		close(go[i]);
	}
}

/* The waiter's message is the moment to let the builder finish. */
static void let_go_when_waiting(void *data, const char *text)
{
	if (strstr(text, "waiting")) {
		++*(int *)data;
		assert_int_equal(write(go[1], "g", 1), 1);
	}
}

static void test_second_builder_waits(void **state)
{
	_cleanup_(cache_deinit) struct cache cache;
	_cleanup_(cache_entry_deinit) struct cache_entry entry = {0};
	pid_t pid = start_slow_builder();
	int waited = 0, status;

	(void)state;
	cache_init(&cache);
	cache.message = let_go_when_waiting;
	cache.message_data = &waited;
	assert_ok(obtain_by(&cache, "tiny", build_payload, &entry));
	assert_int_equal(waited, 1);
	assert_int_equal(builds, 0); /* the other one's result was taken */
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close_pipes();
}

static void test_waiting_has_a_deadline(void **state)
{
	_cleanup_(cache_deinit) struct cache cache;
	pid_t pid = start_slow_builder();
	struct cache_entry entry;

	(void)state;
	cache_init(&cache);
	cache.deadline = deadline_after_ms(50);
	assert_error(obtain_by(&cache, "tiny", build_payload, &entry), "for too long");
	assert_int_equal(builds, 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close_pipes();
}

static void test_killed_builder_is_swept(void **state)
{
	pid_t pid = start_slow_builder();

	(void)state;
	assert_int_equal(count_staging(), 1);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(count_staging(), 1);
	free(obtain("tiny"));
	assert_int_equal(builds, 1);
	assert_int_equal(count_staging(), 0);
	close_pipes();
}

static struct error *build_too_much(struct cache *cache, const char *entry, const char *work,
	json_t *manifest, const void *data)
{
	_cleanup_free_ char *path = format_string("%s/payload", entry);
	_cleanup_free_ char *bulk = calloc(1, 8 << 20);

	(void)cache;
	(void)work;
	(void)manifest;
	(void)data;
	return fs_write_atomic(path, bulk, 8 << 20);
}

/* In a mount namespace with a small file system; its exit status is the verdict. */
static int on_a_full_disk(void)
{
	struct cache cache;
	struct cache_entry entry;

	if (unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("tmpfs", scratch, "tmpfs", 0, "size=4m") < 0)
		return CHILD_SKIPS;
	cache_init(&cache);
	struct error *err = obtain_by(&cache, "tiny", build_too_much, &entry);

	if (!err || !strstr(error_message(err), strerror(ENOSPC)) || count_staging() != 0)
		return 1;
	error_destroy(err);
	return obtain_by(&cache, "tiny", build_payload, &entry) ? 2 : 0;
}

static void test_full_disk(void **state)
{
	(void)state;
	in_a_child(on_a_full_disk);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, scratch_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_key_is_stable),
		TEST(test_built_once),
		TEST(test_same_content_is_shared),
		TEST(test_damage_is_found_and_repaired),
		TEST(test_failure_leaves_nothing),
		TEST(test_removal_takes_what_no_manifest_names),
		TEST(test_second_builder_waits),
		TEST(test_waiting_has_a_deadline),
		TEST(test_killed_builder_is_swept),
		TEST(test_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
