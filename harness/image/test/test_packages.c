/* Packages: names, and that what was downloaded once is used without apt. apt is a script here. */
#include "harness/image/packages.h"
#include "harness/base/test/scratch_cache.h"
#include "harness/image/test/refusal.h"

#include <sys/stat.h>

static char *old_path;

static void put_script(const char *name, const char *text)
{
	_cleanup_free_ char *path = format_string("%s/bin/%s", scratch, name);

	assert_ok(fs_write_atomic(path, text, strlen(text)));
	assert_int_equal(chmod(path, 0755), 0);
}

/* An apt-get that "downloads" one package into the current directory and counts its calls. */
static void put_fake_apt(const char *more)
{
	_cleanup_free_ char *script = format_string("#!/bin/sh\necho call >>%s/calls\n%s\n"
						    "echo content >zlib1g_1%%3a1.2-1_amd64.deb\n",
		scratch, more);

	put_script("apt-get", script);
}

static size_t calls(void)
{
	_cleanup_free_ char *path = format_string("%s/calls", scratch);
	_cleanup_free_ char *text = NULL;
	size_t size;
	_cleanup_error_ struct error *err = fs_read(path, 1000, &text, &size);

	return err ? 0 : size / strlen("call\n");
}

static int setup(void **state)
{
	if (scratch_make_cache(state) != 0)
		return -1;
	_cleanup_free_ char *bin = format_string("%s/bin", scratch);

	old_path = format_string("%s", getenv("PATH"));
	_cleanup_free_ char *path = format_string("%s:%s", bin, old_path);

	assert_ok(fs_make_dirs(bin));
	setenv("PATH", path, 1);
	put_fake_apt("");
	return 0;
}

static int teardown(void **state)
{
	setenv("PATH", old_path, 1);
	free(take_ptr(old_path));
	return scratch_remove(state);
}

static struct error *fetch(bool fresh)
{
	static const char *const names[] = {"zlib1g"};
	_cleanup_(cache_deinit) struct cache cache;
	_cleanup_(package_list_deinit) struct package_list list = {0};
	_cleanup_free_ char *work = format_string("%s/work", scratch);

	cache_init(&cache);
	cache.fresh = fresh;
	try_(packages_fetch(&cache, work, names, 1, PACKAGES_CLOSURE, &list));
	assert_int_equal(list.count, 1);
	assert_string_equal(list.items[0].name, "zlib1g");
	assert_string_equal(list.items[0].version, "1:1.2-1");
	assert_string_equal(list.items[0].architecture, "amd64");
	assert_int_equal(access(list.items[0].path, R_OK), 0);
	return NULL;
}

static void test_downloaded_once(void **state)
{
	(void)state;
	assert_ok(fetch(false));
	assert_ok(fetch(false));
	assert_int_equal(calls(), 1);
	assert_ok(fetch(true)); /* the lists, then the package */
	assert_int_equal(calls(), 3);
}

static void test_a_damaged_download_is_replaced(void **state)
{
	_cleanup_free_ char *deb =
		format_string("%s/packages/zlib1g_1%%3a1.2-1_amd64.deb", scratch);

	(void)state;
	assert_ok(fetch(false));
	assert_ok(fs_write_atomic(deb, "Content\n", 8));
	assert_ok(fetch(false));
	assert_int_equal(calls(), 2);
}

static void test_stale_lists_are_fetched_beside(void **state)
{
	(void)state;
	/* fails until it is told of lists other than the host's */
	put_fake_apt(
		"case \"$*\" in *Dir::State::lists=*) ;; *) echo E: gone >&2; exit 100 ;; esac");
	assert_ok(fetch(false));
	assert_int_equal(calls(), 3);
}

static void test_no_network(void **state)
{
	(void)state;
	put_fake_apt("echo 'E: Could not resolve the mirror' >&2; exit 100");
	struct error *err = fetch(false);

	assert_non_null(err);
	assert_non_null(strstr(error_message(err), "cannot download zlib1g"));
	assert_non_null(strstr(error_message(err), "Could not resolve the mirror"));
	assert_non_null(error_remedy(err));
	error_destroy(err);
}

static void test_names(void **state)
{
	static const char *const bad[] = {"", "x", "-oFoo", "a b", "Upper", "a_b", "../x", "a=1"};

	(void)state;
	assert_ok(package_name_check("libstdc++6"));
	assert_ok(package_name_check("g++"));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_error(package_name_check(bad[i]), "cannot be the name");
}

static void test_file_names(void **state)
{
	static const char *const bad[] = {
		"", "a.deb", "a_1.deb", "_1_amd64.deb", "a_1_amd64.deb.tmp", "a_1_amd64"};
	struct package package;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(package_parse_file_name(bad[i], &package));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_downloaded_once),
		TEST(test_a_damaged_download_is_replaced),
		TEST(test_stale_lists_are_fetched_beside),
		TEST(test_no_network),
		TEST(test_names),
		TEST(test_file_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
