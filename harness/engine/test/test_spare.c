/* Spare time goes to the claim that is least decided, among those that the plan can serve. */
#include "harness/base/test/support.h"
#include "harness/engine/plan.h"
#include "harness/engine/spare.h"
#include "harness/record/test/synthetic.h"

static const char *chosen_if(json_t *record, bool undecided_only, const char **mechanism)
{
	const char *experiment = NULL;

	*mechanism = NULL;
	if (!spare_choose(record, json_object_get(record, "trials"), undecided_only, mechanism,
		    &experiment)) {
		assert_null(*mechanism);
		assert_null(experiment);
		return NULL;
	}
	return experiment;
}

static const char *chosen(json_t *record, const char **mechanism)
{
	return chosen_if(record, false, mechanism);
}

static json_t *null_record(int pairs, double noise)
{
	json_t *record = synthetic_record("null", "tcg");

	synthetic_pairs(
		record, "null", "effect", "delay", "none", "time", "us", 0, pairs, 1.5, noise);
	return record;
}

static void an_undecided_claim_gets_the_time(void **state)
{
	(void)state;
	_cleanup_json_ json_t *record = null_record(2, 0.3);
	const char *mechanism;

	assert_string_equal(chosen(record, &mechanism), "effect");
	assert_string_equal(mechanism, "null");
}

static void a_wide_interval_gets_the_time(void **state)
{
	(void)state;
	_cleanup_json_ json_t *record = null_record(12, 0.1);
	const char *mechanism;

	assert_string_equal(chosen(record, &mechanism), "effect");
}

static void a_decided_claim_gets_nothing(void **state)
{
	(void)state;
	_cleanup_json_ json_t *record = null_record(40, 0.0001);
	const char *mechanism;

	assert_null(chosen(record, &mechanism));
}

/* A decided claim may have a wide interval: until-decided leaves it alone. */
static void only_undecided_claims_when_asked(void **state)
{
	(void)state;
	_cleanup_json_ json_t *wide = null_record(12, 0.1);
	_cleanup_json_ json_t *open = null_record(4, 0.01);
	const char *mechanism;

	assert_null(chosen_if(wide, true, &mechanism));
	assert_string_equal(chosen_if(open, true, &mechanism), "effect");
}

/* Where no number of boots would help, none is spent: asked or not. */
static void a_hopeless_claim_gets_nothing(void **state)
{
	(void)state;
	_cleanup_json_ json_t *record = synthetic_record("null", "tcg");
	const char *mechanism;

	/* Both sides ran, so it is not for want of a variant; nothing of either counts. */
	for (int i = 0; i < 8; i++) {
		json_t *trial = synthetic_trial(record, "null", "effect", i < 4 ? "delay" : "none",
			i < 4 ? "subject" : "baseline", i % 4 / 2, i % 2);

		json_object_set_new(trial, "outcome", json_string("failed"));
	}
	assert_null(chosen_if(record, false, &mechanism));
	assert_null(chosen_if(record, true, &mechanism));
}

/* Both sides counted, but never in one block: there is no interval, and pairs would give one. */
static void a_claim_that_lacks_pairs_gets_the_time(void **state)
{
	(void)state;
	_cleanup_json_ json_t *record = null_record(4, 0.01);
	const char *mechanism;
	json_t *trial;
	size_t i;

	json_array_foreach (json_object_get(record, "trials"), i, trial) {
		bool subject =
			strcmp(json_string_value(json_object_get(trial, "role")), "subject") == 0;

		if (subject != (json_integer_value(json_object_get(trial, "block")) == 0))
			json_object_set_new(trial, "outcome", json_string("failed"));
	}
	assert_string_equal(chosen_if(record, false, &mechanism), "effect");
	assert_string_equal(chosen_if(record, true, &mechanism), "effect");
}

/* The direction of the claim holds, whether the size is the published one is open. */
static void an_open_size_gets_the_time(void **state)
{
	static const double ratios[] = {1.02, 1.05, 1.08, 1.12, 1.18, 1.24, 1.30, 1.36};
	(void)state;
	_cleanup_json_ json_t *record = synthetic_record("null", "tcg");
	const char *mechanism;

	synthetic_ratios(record, "effect", "delay", "none", "time", ratios, ARRAY_SIZE(ratios));
	assert_string_equal(chosen_if(record, true, &mechanism), "effect");
}

static void what_is_not_planned_gets_nothing(void **state)
{
	(void)state;
	_cleanup_json_ json_t *record = null_record(2, 0.3);
	const char *mechanism;

	json_array_clear(json_object_get(json_object_get(record, "plan"), "trials"));
	assert_null(chosen(record, &mechanism));
}

static void damaged_input_chooses_nothing(void **state)
{
	(void)state;
	_cleanup_json_ json_t *empty = json_object();
	_cleanup_json_ json_t *none = json_array();
	const char *mechanism = NULL, *experiment = NULL;

	assert_false(spare_choose(empty, none, false, &mechanism, &experiment));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_undecided_claim_gets_the_time),
		cmocka_unit_test(a_wide_interval_gets_the_time),
		cmocka_unit_test(a_decided_claim_gets_nothing),
		cmocka_unit_test(only_undecided_claims_when_asked),
		cmocka_unit_test(a_hopeless_claim_gets_nothing),
		cmocka_unit_test(a_claim_that_lacks_pairs_gets_the_time),
		cmocka_unit_test(an_open_size_gets_the_time),
		cmocka_unit_test(what_is_not_planned_gets_nothing),
		cmocka_unit_test(damaged_input_chooses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
