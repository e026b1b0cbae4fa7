/* Trials of the null mechanism in real labs: every outcome, and that it costs one trial only. Needs
 * root, no guests. */
#include "harness/base/test/support.h"
#include "harness/base/process.h"
#include "harness/engine/interrupt.h"
#include "harness/engine/plan.h"
#include "harness/engine/trial.h"
#include "harness/record/schema.h"

#include <signal.h>
#include <sys/wait.h>

/* The null mechanism crashes by a real signal, which the sanitizer must not make an exit of. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "handle_segv=0";
}

static struct resources *resources;

static int open_resources(void **state)
{
	(void)state;
	resources = resources_create("tcg");
	return resources ? 0 : -1;
}

static int close_resources(void **state)
{
	(void)state;
	resources_destroy(resources);
	return 0;
}

#define skip_without_root()                                                                        \
	do {                                                                                       \
		if (geteuid() != 0) {                                                              \
			print_message("skipped: a lab needs root\n");                              \
			skip();                                                                    \
		}                                                                                  \
	} while (0)

/* The first planned trial of this variant, its parameters as `overrides` (taken over) say: also
 * those that a user cannot set, since they tell variants apart. */
static json_t *plan_one(
	const char *mechanism, const char *experiment, const char *variant, json_t *overrides)
{
	_cleanup_json_ json_t *owned = overrides;
	_cleanup_json_ json_t *plan = NULL;
	const struct mechanism *m = mechanism_find(mechanism);
	struct plan_options options = {
		.mechanisms = &m,
		.mechanism_count = 1,
		.profile = PROFILE_SMOKE,
		.only_experiment = experiment,
		.only_variant = variant,
	};

	assert_ok(plan_create(&options, &plan));
	json_t *planned = json_array_get(json_object_get(plan, "trials"), 0);

	json_object_update(json_object_get(planned, "parameters"), owned);
	return json_incref(planned);
}

static json_t *run(const char *experiment, const char *variant, json_t *overrides)
{
	_cleanup_json_ json_t *planned = plan_one("null", experiment, variant, overrides);
	json_t *result = NULL;

	assert_ok(trial_run(planned, resources, scratch, &result));
	assert_non_null(result);
	assert_ok(schema_check_part("run", "trial", result)); /* or no record could hold it */
	return result;
}

static json_t *run_behaving(const char *variant, const char *behaviour)
{
	return run("effect", variant, json_pack("{s:s}", "behaviour", behaviour));
}

static const char *text(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));

	assert_non_null(value);
	return value;
}

static void assert_outcome(const json_t *result, const char *outcome, const char *reason)
{
	assert_string_equal(text(result, "outcome"), outcome);
	if (!strstr(text(result, "reason"), reason))
		fail_msg("no '%s' in '%s'", reason, text(result, "reason"));
}

/* The values of the one sample of this metric. */
static const json_t *values_of(const json_t *result, const char *metric)
{
	const json_t *values = NULL;
	json_t *sample;
	size_t i;

	json_array_foreach (json_object_get(result, "samples"), i, sample) {
		if (strcmp(text(sample, "metric"), metric) != 0)
			continue;
		assert_null(values); /* readings of one metric are one sample */
		values = json_object_get(sample, "values");
		assert_null(json_object_get(sample, "value"));
	}
	assert_non_null(values);
	return values;
}

static void a_good_trial_is_ok_with_all_its_readings(void **state)
{
	skip_without_root();
	(void)state;
	_cleanup_json_ json_t *result = run("effect", "delay", NULL);
	const json_t *evidence = json_object_get(result, "evidence");

	assert_outcome(result, "ok", "");
	assert_string_equal(text(result, "reason"), "");
	assert_int_equal(json_array_size(values_of(result, "time")), 5);
	assert_string_equal(
		text(json_array_get(json_object_get(result, "samples"), 0), "unit"), "us");
	assert_int_equal(json_array_size(evidence), 1);
	assert_string_equal(text(json_array_get(evidence, 0), "name"), "clock");
	assert_string_equal(text(result, "role"), "subject");
	assert_string_equal(text(result, "boot"), "none");
	const json_t *parameters = json_object_get(result, "parameters");

	assert_true(json_real_value(json_object_get(parameters, "effect")) == 1.5);
	assert_int_equal(json_integer_value(json_object_get(parameters, "readings")), 5);
	assert_string_equal(text(parameters, "behaviour"), "plain");
	assert_true(json_real_value(json_object_get(result, "wall_s")) > 0);
}

static void a_crash_names_signal_and_phase(void **state)
{
	skip_without_root();
	(void)state;
	signal(SIGSEGV, SIG_DFL); /* cmocka's handler would go on testing inside the lab */
	_cleanup_json_ json_t *result = run("failure", "crash", NULL);
	_cleanup_json_ json_t *next = run("effect", "none", NULL);

	assert_outcome(result, "failed", "SIGSEGV in phase 'measure'");
	assert_int_equal(json_array_size(json_object_get(result, "samples")), 0);
	assert_outcome(next, "ok", ""); /* and harms nobody else */
}

static void a_hang_ends_at_the_deadline(void **state)
{
	skip_without_root();
	(void)state;
	_cleanup_json_ json_t *result = run("failure", "hang", NULL);

	assert_outcome(result, "failed", "hung: the deadline passed in phase 'measure'");
}

static void without_proof_a_trial_is_invalid(void **state)
{
	skip_without_root();
	(void)state;
	_cleanup_json_ json_t *none = run("evidence", "no-evidence", NULL);
	_cleanup_json_ json_t *against = run("evidence", "false-evidence", NULL);

	assert_outcome(none, "invalid", "no evidence");
	assert_int_equal(json_array_size(json_object_get(none, "evidence")), 0);
	assert_outcome(against, "invalid", "did not act");
	assert_int_equal(json_array_size(json_object_get(against, "evidence")), 1);
	/* What was read stays in the record, for people to see. */
	assert_int_equal(json_array_size(values_of(none, "time")), 5);
	assert_int_equal(json_array_size(values_of(against, "time")), 5);
}

/* As of a guest that says anything: that costs its trial, and no other's record. */
static void what_no_record_can_hold_fails_its_trial(void **state)
{
	skip_without_root();
	(void)state;
	_cleanup_json_ json_t *result = run_behaving("delay", "unfit");
	const json_t *parameters = json_object_get(result, "parameters");

	assert_outcome(result, "failed", "its result cannot be recorded: parameters.effect is {}");
	assert_int_equal(json_array_size(json_object_get(result, "samples")), 0);
	assert_true(json_real_value(json_object_get(parameters, "effect")) == 1.5);
	assert_true(json_real_value(json_object_get(result, "wall_s")) > 0);
}

static void a_long_reason_is_cut(void **state)
{
	skip_without_root();
	(void)state;
	_cleanup_json_ json_t *result = run_behaving("delay", "verbose");
	const char *reason = text(result, "reason");

	assert_outcome(result, "failed", "a guest said 000");
	assert_in_range(strlen(reason), 1000, 16384);
	assert_string_equal(reason + strlen(reason) - strlen("…"), "…");
}

/* A baseline does nothing that could be proven; but proof against it counts. */
static void a_baseline_needs_no_proof(void **state)
{
	skip_without_root();
	(void)state;
	_cleanup_json_ json_t *none = run_behaving("none", "no-evidence");
	_cleanup_json_ json_t *against = run_behaving("none", "false-evidence");

	assert_string_equal(text(none, "role"), "baseline");
	assert_outcome(none, "ok", "");
	assert_outcome(against, "invalid", "did not act");
}

static void assert_all_at_least(const json_t *values, double least)
{
	json_t *value;
	size_t i;

	json_array_foreach (values, i, value)
		assert_true(json_real_value(value) >= least);
	assert_true(i > 0);
}

/* ---- every parameter, flipped, changes what happens ---- */

static void check_base_us(void)
{
	_cleanup_json_ json_t *result =
		run("effect", "none", json_pack("{s:s, s:s}", "base_us", "20000", "noise", "0"));

	assert_all_at_least(values_of(result, "time"), 20000);
}

static void check_effect(void)
{
	_cleanup_json_ json_t *result =
		run("effect", "none", json_pack("{s:s, s:s}", "effect", "10", "noise", "0"));

	assert_all_at_least(values_of(result, "time"), 20000);
}

/* Half of the waits are drawn below the plain one; all of 24 above is one in 16 million. */
static void check_noise(void)
{
	_cleanup_json_ json_t *result = run("effect", "none",
		json_pack("{s:s, s:s, s:s}", "base_us", "20000", "noise", "1", "readings", "24"));
	size_t below = 0, i;
	json_t *value;

	json_array_foreach (values_of(result, "time"), i, value)
		below += json_real_value(value) < 20000;
	assert_true(below > 0);
}

static void check_readings(void)
{
	_cleanup_json_ json_t *result = run("effect", "none", json_pack("{s:s}", "readings", "7"));

	assert_int_equal(json_array_size(values_of(result, "time")), 7);
}

static void check_behaviour(void)
{
	_cleanup_json_ json_t *result = run_behaving("delay", "false-evidence");

	assert_outcome(result, "invalid", "did not act");
}

/* What needs guests shows in the fleet that would be booted. */
static void check_fleet(void)
{
	_cleanup_json_ json_t *planned = plan_one("null", "effect", "none",
		json_pack("{s:s, s:s, s:s}", "guests", "3", "memory_mib", "200", "start", "cold"));
	_cleanup_json_ json_t *plain = plan_one("null", "effect", "none", NULL);
	_cleanup_(cleanup_trial) struct trial *trial = NULL;
	_cleanup_(cleanup_trial) struct trial *plain_trial = NULL;
	struct fleet_spec spec;

	assert_ok(trial_fleet_spec(planned, &trial, &spec));
	assert_int_equal(spec.count, 3);
	assert_int_equal(spec.memory_bytes, 200 << 20);
	assert_int_equal(spec.start, FLEET_COLD);
	assert_ok(trial_fleet_spec(plain, &plain_trial, &spec));
	assert_int_equal(spec.count, 0);
	assert_int_equal(spec.start, FLEET_TEMPLATE);
}

static void every_parameter_has_its_effect(void **state)
{
	skip_without_root();
	(void)state;
	static const struct {
		const char *param;
		void (*check)(void);
	} checks[] = {{"base_us", check_base_us}, {"effect", check_effect}, {"noise", check_noise},
		{"readings", check_readings}, {"behaviour", check_behaviour},
		{"guests", check_fleet}, {"memory_mib", check_fleet}, {"start", check_fleet}};
	const struct mechanism *null = mechanism_find("null");

	for (const struct param *param = null->params; param->name; param++) {
		bool checked = false;

		for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
			if (strcmp(checks[i].param, param->name) != 0)
				continue;
			checks[i].check();
			checked = true;
		}
		if (!checked)
			fail_msg("nothing shows the effect of null's parameter %s", param->name);
	}
}

/* ---- what stops the run, or does not ---- */

static void a_plan_of_another_build_is_refused(void **state)
{
	(void)state;
	_cleanup_json_ json_t *planned = plan_one("null", "effect", "none", NULL);
	json_t *result = NULL;

	json_object_set_new(planned, "variant", json_string("of-tomorrow"));
	assert_fails(trial_run(planned, resources, scratch, &result), ERROR_SETUP,
		"null/effect/of-tomorrow, which this build does not have");
	assert_null(result);
}

static int run_interrupted(json_t *planned)
{
	json_t *result = NULL;

	interrupt_catch();
	raise(SIGTERM);
	struct error *err = trial_run(planned, resources, scratch, &result);

	return err && error_kind(err) == ERROR_INTERRUPTED && !result ? 0 : 1;
}

static void an_interrupt_ends_the_trial_without_a_result(void **state)
{
	skip_without_root();
	(void)state;
	_cleanup_json_ json_t *planned = plan_one("null", "failure", "hang", NULL);
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(run_interrupted(planned));
	assert_true(process_wait(pid, deadline_after_ms(TEST_TIMEOUT_MS), &status));
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(a_good_trial_is_ok_with_all_its_readings),
		scratch_test(a_crash_names_signal_and_phase),
		scratch_test(a_hang_ends_at_the_deadline),
		scratch_test(without_proof_a_trial_is_invalid),
		scratch_test(what_no_record_can_hold_fails_its_trial),
		scratch_test(a_long_reason_is_cut),
		scratch_test(a_baseline_needs_no_proof),
		scratch_test(every_parameter_has_its_effect),
		scratch_test(a_plan_of_another_build_is_refused),
		scratch_test(an_interrupt_ends_the_trial_without_a_result),
	};

	return cmocka_run_group_tests(tests, open_resources, close_resources);
}
