/* Each check of `fleetlab doctor` on this machine, and on one that was made to lack things. */
#include "harness/base/test/scratch_cache.h"
#include "harness/cmd/doctor_checks.h"

#include <unistd.h>

static struct check_result outcome(const char *name, const char *qemu)
{
	const struct check_context context = {.qemu = qemu, .deadline = deadline_after_ms(60000)};
	struct check_result result = {0};

	for (size_t i = 0; i < doctor_check_count; i++) {
		if (strcmp(doctor_checks[i].name, name) == 0) {
			doctor_checks[i].run(&context, &result);
			assert_non_null(result.value);
			return result;
		}
	}
	fail_msg("there is no check '%s'", name);
	return result;
}

static void result_deinit(struct check_result *result)
{
	free(result->value);
	free(result->remedy);
}

/* Whatever this machine is like, each check says something, and a remedy where it is not ok. */
static void every_check_has_an_answer(void **state)
{
	(void)state;
	for (size_t i = 0; i < doctor_check_count; i++) {
		_cleanup_(result_deinit) struct check_result result =
			outcome(doctor_checks[i].name, "qemu-system-x86_64");

		assert_true(result.value[0]);
		assert_null(strchr(result.value, '\n'));
		if (result.status != CHECK_OK)
			assert_non_null(result.remedy);
	}
}

static void assert_check_fails(const char *check, const char *qemu, const char *says)
{
	_cleanup_(result_deinit) struct check_result result = outcome(check, qemu);

	assert_int_equal(result.status, CHECK_FAIL);
	assert_non_null(strstr(result.value, says));
	assert_true(result.remedy && result.remedy[0]);
}

static void missing_qemu(void **state)
{
	(void)state;
	assert_check_fails("qemu", "no-such-qemu", "no-such-qemu");
	assert_check_fails("accelerator", "no-such-qemu", "no-such-qemu");
	assert_check_fails("qemu features", "no-such-qemu", "no-such-qemu");
}

/* Captured: what `--version` and QMP of a QEMU print that is too old and lacks devices. */
static void poor_qemu(void **state)
{
	_cleanup_free_ char *qemu = scratch_path("old-qemu");

	(void)state;
	scratch_write("old-qemu",
		"#!/bin/sh\n"
		"if [ \"$1\" = --version ]; then\n"
		"  echo 'QEMU emulator version 5.2.0 (Debian 1:5.2+dfsg-11+deb11u3)'; exit\n"
		"fi\n"
		"echo '{\"id\":1,\"return\":{\"qemu\":{\"micro\":0,\"minor\":2,\"major\":5}}}'\n"
		"echo '{\"id\":2,\"return\":[{\"name\":\"virtio-net-pci\"}]}'\n"
		"echo '{\"id\":3,\"return\":[{\"name\":\"memory-backend-file\"}]}'\n"
		"echo '{\"id\":4,\"return\":[{\"capability\":\"xbzrle\",\"state\":false}]}'\n"
		"echo '{\"id\":5,\"return\":[{\"name\":\"pc-i440fx-5.2\",\"alias\":\"pc\"}]}'\n",
		0755);
	assert_check_fails("qemu", qemu, "5.2.0");
	assert_check_fails("qemu features", qemu, "x-ignore-shared");
	assert_check_fails("qemu features", qemu, "ivshmem-plain");
}

static void missing_tools(void **state)
{
	const char *path = getenv("PATH");
	_cleanup_free_ char *saved = format_string("%s", path ? path : "");

	(void)state;
	setenv("PATH", scratch, 1);
	_cleanup_(result_deinit) struct check_result tools = outcome("tools", "qemu");
	_cleanup_(result_deinit) struct check_result network = outcome("network", "qemu");

	setenv("PATH", saved, 1);
	assert_int_equal(tools.status, CHECK_FAIL);
	assert_non_null(strstr(tools.value, "mmdebstrap"));
	assert_non_null(strstr(tools.value, "cpio"));
	assert_int_equal(network.status, CHECK_FAIL);
}

static void places(void **state)
{
	_cleanup_free_ char *file = scratch_path("file/below");

	(void)state;
	scratch_write("file", "", 0644);
	setenv("FLEETLAB_RESULTS", file, 1);
	_cleanup_(result_deinit) struct check_result below_file = outcome("results", "qemu");

	assert_int_equal(below_file.status, CHECK_FAIL);
	setenv("FLEETLAB_RESULTS", "/proc/fleetlab", 1);
	_cleanup_(result_deinit) struct check_result on_proc = outcome("results", "qemu");

	assert_int_equal(on_proc.status, CHECK_FAIL);
	setenv("FLEETLAB_RESULTS", scratch, 1);
	_cleanup_(result_deinit) struct check_result fine = outcome("results", "qemu");

	assert_int_not_equal(fine.status, CHECK_FAIL);
	unsetenv("FLEETLAB_RESULTS");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_make_cache, scratch_remove)
	const struct CMUnitTest tests[] = {
		TEST(every_check_has_an_answer),
		TEST(missing_qemu),
		TEST(poor_qemu),
		TEST(missing_tools),
		TEST(places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
