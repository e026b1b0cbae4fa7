/* Requests that are refused, images from files, and the tiny image itself: built once in the user's
 * own cache (the only part that may need a network), then built again without apt. */
#include "harness/base/process.h"
#include "harness/image/image.h"
#include "harness/base/test/scratch_cache.h"
#include "harness/image/test/refusal.h"

#include <sys/stat.h>

static struct error *open_image(const struct image_request *request)
{
	_cleanup_image_ struct image *image = NULL;

	return image_open(request, &image);
}

static void test_bad_requests(void **state)
{
	const char *const packages[] = {"iperf3", "-oX"};
	_cleanup_free_ char *text = format_string("%s/text", scratch);

	(void)state;
	struct error *err = open_image(&(struct image_request){.kind = "debain"});

	assert_non_null(err);
	assert_string_equal(error_message(err), "there is no image kind 'debain'");
	assert_string_equal(error_remedy(err), "the kind 'debian'");
	error_destroy(err);
	assert_error(open_image(&(struct image_request){
			     .kind = "tiny", .packages = packages, .package_count = 2}),
		"'-oX' cannot be");
	assert_error(open_image(&(struct image_request){.kind = "tiny", .from = "x"}), "neither");
	assert_error(open_image(&(struct image_request){.from = "/nonexistent/x"}), "No such file");
	assert_error(open_image(&(struct image_request){.from = "/"}), "not a regular file");
	assert_ok(fs_write_atomic(text, "hello", 5));
	assert_error(open_image(&(struct image_request){.from = text}), "neither a qcow2");
}

static void test_own_disk(void **state)
{
	_cleanup_free_ char *path = format_string("%s/my disk.img", scratch);
	const char *const create[] = {"qemu-img", "create", "-q", "-f", "qcow2", path, "1M", NULL};
	const struct image_request request = {.from = path};
	_cleanup_image_ struct image *image = NULL;
	_cleanup_image_ struct image *again = NULL;
	_cleanup_image_ struct image *changed = NULL;
	_cleanup_(image_list_deinit) struct image_list list = {0};

	(void)state;
	assert_ok(process_check(create, NULL, deadline_after_ms(20000), NULL));
	assert_ok(image_open(&request, &image));
	assert_null(image->kernel);
	assert_null(image->command_line);
	assert_false(image->own_program);
	assert_string_equal(image->disk, path);
	assert_string_equal(image->disk_format, "qcow2");
	assert_string_equal(image->name, "user:my disk.img");
	assert_ok(image_open(&request, &again));
	assert_string_equal(again->hash, image->hash);
	assert_int_equal(truncate(path, 300000), 0);
	assert_ok(image_open(&request, &changed));
	assert_string_not_equal(changed->hash, image->hash);
	assert_ok(image_list(&list));
	assert_int_equal(list.count, 2);
}

static void test_remove(void **state)
{
	_cleanup_free_ char *path = format_string("%s/disk", scratch);
	const struct image_request request = {.from = path};
	_cleanup_image_ struct image *image = NULL;
	size_t removed = 0;
	bool cached = true;

	(void)state;
	assert_ok(fs_write_atomic(path, "QFI\xfb", 4));
	assert_ok(image_is_cached(&request, &cached));
	assert_false(cached);
	assert_error(image_remove("user:disk", &removed), "there is no image");
	assert_ok(image_open(&request, &image));
	assert_ok(image_is_cached(&request, &cached));
	assert_true(cached);
	assert_error(image_remove("", &removed), "there is no image");
	assert_ok(image_remove("user:disk", &removed));
	assert_int_equal(removed, 1);
	assert_int_not_equal(access(image->directory, F_OK), 0);
	assert_ok(image_is_cached(&request, &cached));
	assert_false(cached);
}

/* ---- with the user's own cache ---- */

static bool lists(const char *initrd, const char *name)
{
	const char *const argv[] = {"cpio", "-it", "--quiet", "-F", initrd, NULL};
	_cleanup_free_ char *listing = NULL;
	_cleanup_free_ char *line = format_string("\n%s\n", name);

	assert_ok(process_check(argv, NULL, deadline_after_ms(20000), &listing));
	return strstr(listing, line) != NULL;
}

static void test_tiny(void **state)
{
	_cleanup_image_ struct image *image = NULL;
	const struct image_request request = {.kind = "tiny"};
	json_t *package;
	bool agent = false;
	size_t i;

	(void)state;
	assert_ok(image_open(&request, &image));
	assert_null(image->disk);
	assert_true(image->own_program);
	assert_true(image->memory_min_bytes <= 128 << 20);
	assert_true(lists(image->initrd, "init"));
	assert_true(lists(image->initrd, "usr/sbin/qemu-ga"));
	assert_true(lists(image->initrd, "usr/sbin/fleetlab-guest"));
	assert_true(lists(image->initrd, "usr/lib/x86_64-linux-gnu/libglib-2.0.so.0"));
	json_array_foreach (json_object_get(image->manifest, "packages"), i, package) {
		const char *name = json_string_value(json_object_get(package, "name"));

		agent |= strcmp(name, "qemu-guest-agent") == 0;
		assert_non_null(json_string_value(json_object_get(package, "version")));
	}
	assert_true(agent);
}

/* Another guest program is another image, packed from the packages kept: apt would fail here. */
static void test_rebuild_is_offline(void **state)
{
	_cleanup_image_ struct image *image = NULL;
	_cleanup_free_ char *directory = format_string("%s/bin", scratch);
	_cleanup_free_ char *apt = format_string("%s/apt-get", directory);
	_cleanup_free_ char *program = format_string("%s/program", scratch);
	_cleanup_free_ char *old_path = format_string("%s", getenv("PATH"));
	_cleanup_free_ char *path = format_string("%s:%s", directory, old_path);
	size_t removed;

	(void)state;
	assert_ok(fs_make_dirs(directory));
	assert_ok(fs_write_atomic(apt, "#!/bin/sh\nexit 1\n", 17));
	assert_int_equal(chmod(apt, 0755), 0);
	assert_ok(fs_write_atomic(program, scratch, strlen(scratch)));
	const struct image_request request = {.kind = "tiny", .guest_program = program};

	setenv("PATH", path, 1);
	struct error *err = image_open(&request, &image);

	setenv("PATH", old_path, 1);
	assert_ok(err);
	assert_ok(image_remove(image->hash, &removed));
	assert_int_equal(removed, 1);
}

static char *user_cache;

/* Only the scratch directory changes; the cache stays the user's. */
static int setup_with_user_cache(void **state)
{
	int result = scratch_make_cache(state);

	if (user_cache)
		setenv("FLEETLAB_CACHE", user_cache, 1);
	else
		unsetenv("FLEETLAB_CACHE");
	return result;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_make_cache, scratch_remove)
#define CACHE_TEST(name)                                                                           \
	cmocka_unit_test_setup_teardown(name, setup_with_user_cache, scratch_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_bad_requests),
		TEST(test_own_disk),
		TEST(test_remove),
		CACHE_TEST(test_tiny),
		CACHE_TEST(test_rebuild_is_offline),
	};
	const char *cache = getenv("FLEETLAB_CACHE");

	user_cache = cache ? strdup(cache) : NULL;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	free(user_cache);
	return failed;
}
