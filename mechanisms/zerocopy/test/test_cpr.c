/* The variant cpr-transfer where QEMU has no such thing: left out and told, and no lab is opened.
 */
#include "harness/base/test/support.h"
#include "harness/engine/plan.h"
#include "harness/engine/trial.h"

#include <sys/stat.h>

/* The only QEMU in PATH answers QMP's questions with these lines. */
static void provide_qemu(const char *answers)
{
	_cleanup_free_ char *path = format_string("%s/qemu-system-x86_64", scratch);
	_cleanup_free_ char *script =
		format_string("#!/bin/sh\nwhile read -r line; do :; done\necho '%s'\n", answers);

	assert_ok(fs_write_atomic(path, script, strlen(script)));
	assert_int_equal(chmod(path, 0755), 0);
	setenv("PATH", scratch, 1);
}

static json_t *first_trial(void)
{
	const struct mechanism *mechanism = mechanism_find("zerocopy");
	const struct plan_options options = {.mechanisms = &mechanism,
		.mechanism_count = 1,
		.profile = PROFILE_NIGHTLY,
		.only_experiment = "cpr",
		.only_variant = "cpr-transfer"};
	_cleanup_json_ json_t *plan = NULL;

	assert_ok(plan_create(&options, &plan));
	return json_incref(json_array_get(json_object_get(plan, "trials"), 0));
}

static void assert_skipped(const char *why)
{
	_cleanup_json_ json_t *planned = first_trial();
	struct resources *resources = resources_create("tcg");
	_cleanup_json_ json_t *result = NULL;

	assert_ok(trial_run(planned, resources, "/nonexistent", &result));
	assert_string_equal(json_string_value(json_object_get(result, "outcome")), "skipped");
	assert_non_null(strstr(json_string_value(json_object_get(result, "reason")), why));
	assert_int_equal(json_array_size(json_object_get(result, "samples")), 0);
	resources_destroy(resources);
}

static void a_qemu_without_it_is_no_failure(void **state)
{
	(void)state;
	provide_qemu("{\"id\":1,\"return\":{\"qemu\":{\"major\":99,\"minor\":0,\"micro\":0}}}\n"
		     "{\"id\":6,\"error\":{\"desc\":\"Parameter is unexpected\"}}\n"
		     "{\"id\":5,\"return\":[]}");
	assert_skipped("no migration mode cpr-transfer");
	provide_qemu("no QMP");
	assert_skipped("does not tell");
}

/* What it takes to be tried: a QEMU that takes the mode, of whatever version. */
static void a_qemu_with_it_is_tried(void **state)
{
	const struct mechanism *mechanism = mechanism_find("zerocopy");

	(void)state;
	provide_qemu("{\"id\":1,\"return\":{\"qemu\":{\"major\":1,\"minor\":0,\"micro\":0}}}\n"
		     "{\"id\":6,\"return\":{}}\n"
		     "{\"id\":5,\"return\":[]}");
	assert_null(mechanism->probe_variant(mechanism_variant(mechanism, "cpr-transfer")));
	provide_qemu("no QMP");
	assert_null(mechanism->probe_variant(mechanism_variant(mechanism, "flat-zerocopy")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_qemu_without_it_is_no_failure, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(
			a_qemu_with_it_is_tried, scratch_make, scratch_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
