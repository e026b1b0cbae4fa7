/* Where what libvirt has learned is kept; the driver itself is tested by the fleets that use it. */
#include "harness/base/test/support.h"
#include "harness/fleet/libvirt_driver.h"

#include <sys/stat.h>

/* Puts a stand-in for QEMU into a directory of the test's and that directory first in PATH. */
static char *provide_qemu(const char *dir, const char *content)
{
	_cleanup_free_ char *bin = format_string("%s/%s", scratch, dir);
	_cleanup_free_ char *program = format_string("%s/qemu-system-x86_64", bin);
	_cleanup_free_ char *path = format_string("%s:%s", bin, getenv("PATH"));

	assert_ok(fs_make_dirs(bin));
	assert_ok(fs_write_atomic(program, content, strlen(content)));
	assert_int_equal(chmod(program, 0755), 0);
	setenv("PATH", path, 1);
	return libvirt_driver_cache_path("/cache");
}

static void each_qemu_has_a_place_of_its_own(void **state)
{
	(void)state;
	_cleanup_free_ char *first = provide_qemu("a", "#!/bin/sh\n");
	_cleanup_free_ char *again = libvirt_driver_cache_path("/cache");
	_cleanup_free_ char *second = provide_qemu("b", "#!/bin/sh\n");
	_cleanup_free_ char *replaced = provide_qemu("b", "#!/bin/sh\nexit 1\n");

	assert_string_equal(first, again);
	assert_string_not_equal(first, second);
	assert_string_not_equal(second, replaced);
	assert_ptr_equal(strstr(first, "/cache/libvirt-capabilities-"), first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			each_qemu_has_a_place_of_its_own, scratch_make, scratch_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
