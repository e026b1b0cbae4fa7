/* Installed packages: those that matter by name, and a hash of all. */
#include "harness/base/test/support.h"

#include "harness/host/installed.h"

static const char list[] = "bash:amd64 5.2\nqemu-system-x86:amd64 1:7.2\nlibc6:amd64 2.36-9\n"
			   "linux-image-amd64:amd64 6.1\nbroken\n also broken\n";

static const char *text(const json_t *found, const char *name)
{
	const char *value = json_string_value(json_object_get(found, name));

	return value ? value : "";
}

static void what_matters_is_named(void **state)
{
	_cleanup_json_ json_t *found = installed_parse(list);

	(void)state;
	assert_string_equal(text(found, "qemu-system-x86:amd64"), "1:7.2");
	assert_string_equal(text(found, "libc6:amd64"), "2.36-9");
	assert_null(json_object_get(found, "bash:amd64"));
	assert_int_equal(json_object_size(found), 4);
}

static void any_package_changes_the_hash(void **state)
{
	_cleanup_json_ json_t *one = installed_parse(list);
	_cleanup_json_ json_t *same =
		installed_parse("libc6:amd64 2.36-9\nlinux-image-amd64:amd64 6.1\nbash:amd64 5.2\n"
				"qemu-system-x86:amd64 1:7.2\n");
	_cleanup_json_ json_t *other =
		installed_parse("libc6:amd64 2.36-9\nlinux-image-amd64:amd64 6.1\nbash:amd64 5.3\n"
				"qemu-system-x86:amd64 1:7.2\n");

	(void)state;
	assert_string_equal(text(one, "all"), text(same, "all"));
	assert_string_not_equal(text(one, "all"), text(other, "all"));
}

static void nothing_installed_is_nothing_known(void **state)
{
	_cleanup_json_ json_t *none = installed_parse("");

	(void)state;
	assert_int_equal(json_object_size(none), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_matters_is_named),
		cmocka_unit_test(any_package_changes_the_hash),
		cmocka_unit_test(nothing_installed_is_nothing_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
