/* A guest's root: links in it must not lead to the host, and packing is reproducible. */
#include "harness/base/process.h"
#include "harness/image/elf.h"
#include "harness/base/test/scratch_cache.h"
#include "harness/image/test/refusal.h"
#include "harness/image/tree.h"

#include <fcntl.h>
#include <sys/stat.h>

static struct tree tree;
static char *outside;

static int setup(void **state)
{
	if (scratch_make_cache(state) != 0)
		return -1;
	_cleanup_free_ char *root = format_string("%s/root", scratch);

	outside = format_string("%s/outside", scratch);
	assert_ok(fs_make_dirs(outside));
	assert_ok(tree_open(&tree, root));
	return 0;
}

static int teardown(void **state)
{
	tree_close(&tree);
	free(outside);
	return scratch_remove(state);
}

static void assert_outside_is_empty(void)
{
	assert_int_equal(rmdir(outside), 0); /* works only when nothing was put there */
	assert_int_equal(mkdir(outside, 0755), 0);
}

static void test_links_do_not_escape(void **state)
{
	_cleanup_free_ char *inside = format_string("%s%s/file", tree.path, outside);

	(void)state;
	assert_ok(tree_put_link(&tree, "absolute", outside));
	assert_ok(tree_put_link(&tree, "climbing", "../outside"));
	assert_ok(tree_mkdir(&tree, outside + 1, 0755));
	assert_ok(tree_put_bytes(&tree, "absolute/file", "x", 1, 0644));
	assert_int_equal(access(inside, F_OK), 0);
	assert_error(tree_put_bytes(&tree, "climbing/file", "x", 1, 0644), "climbing");
	assert_ok(tree_put_bytes(&tree, "../outside/file", "x", 1, 0644)); /* the root's own */
	assert_true(tree_has(&tree, "outside/file"));
	assert_outside_is_empty();
}

static void test_a_link_is_replaced_not_followed(void **state)
{
	_cleanup_free_ char *victim = format_string("%s/victim", scratch);
	_cleanup_free_ char *text = NULL;

	(void)state;
	assert_ok(fs_write_atomic(victim, "old", 3));
	assert_ok(tree_put_link(&tree, "file", victim));
	assert_ok(tree_put_bytes(&tree, "file", "new", 3, 0644));
	assert_ok(fs_read(victim, 10, &text, NULL));
	assert_string_equal(text, "old");
}

static void fill(void)
{
	assert_ok(tree_put_link(&tree, "lib", "usr/lib"));
	assert_ok(tree_mkdir(&tree, "usr/lib", 0755));
	assert_ok(tree_put_bytes(&tree, "lib/b", "22", 2, 0644));
	assert_ok(tree_put_bytes(&tree, "init", "#!/bin/sh\n", 10, 0755));
}

static void test_initramfs_is_reproducible(void **state)
{
	_cleanup_free_ char *archive = format_string("%s/initrd", scratch);
	const char *const list[] = {"cpio", "-itv", "--quiet", "-F", archive, NULL};
	_cleanup_free_ char *listing = NULL;
	char first[33], second[33];

	(void)state;
	fill();
	assert_ok(tree_pack_initramfs(&tree, archive, deadline_after_ms(20000)));
	assert_ok(fs_hash_file(archive, first));
	assert_ok(process_check(list, NULL, deadline_after_ms(20000), &listing));
	assert_non_null(strstr(listing, "usr/lib/b"));
	assert_non_null(strstr(listing, "lib -> usr/lib"));
	assert_non_null(strstr(listing, "-rwxr-xr-x   1 root     root           10"));
	fill(); /* new inodes, new times */
	assert_ok(tree_pack_initramfs(&tree, archive, deadline_after_ms(20000)));
	assert_ok(fs_hash_file(archive, second));
	assert_string_equal(first, second);
}

static void test_elf_of_this_program(void **state)
{
	_cleanup_(elf_needs_deinit) struct elf_needs needs = {0};
	_cleanup_close_ int fd = open("/proc/self/exe", O_RDONLY);
	bool libc = false;

	(void)state;
	assert_ok(elf_read_needs(fd, "self", &needs));
	assert_true(needs.is_elf);
	assert_non_null(strstr(needs.interpreter, "ld-linux"));
	for (size_t i = 0; i < needs.count; i++)
		libc |= strcmp(needs.libraries[i], "libc.so.6") == 0;
	assert_true(libc);
}

/* Truncated and bent in every place of its headers, a file is an answer or an error, not a crash.
 */
static void test_elf_hostile(void **state)
{
	_cleanup_free_ char *path = format_string("%s/elf", scratch);
	_cleanup_free_ char *data = NULL;
	size_t size, refused = 0;

	(void)state;
	assert_ok(fs_read("/proc/self/exe", 64 << 20, &data, &size));
	for (size_t i = 0; i < 64 + 56 * 13; i++) {
		_cleanup_(elf_needs_deinit) struct elf_needs needs = {0};
		_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
		char saved = data[i];

		data[i] = (char)(i % 2 ? 0xff : saved ^ 0x80);
		assert_ok(fs_write_all(fd, data, i % 3 ? size : i * 8, path));
		data[i] = saved;
		struct error *err = elf_read_needs(fd, path, &needs);

		refused += err != NULL;
		error_destroy(err);
	}
	assert_true(refused > 20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_links_do_not_escape),
		TEST(test_a_link_is_replaced_not_followed),
		TEST(test_initramfs_is_reproducible),
		TEST(test_elf_of_this_program),
		TEST(test_elf_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
