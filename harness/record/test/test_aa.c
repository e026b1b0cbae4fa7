/* A/A runs: what is equal is found equal, what is not is told, and no claim is graded from them. */
#include "harness/base/test/support.h"
#include "harness/base/cleanup.h"
#include "harness/record/aa.h"
#include "harness/record/record.h"
#include "harness/record/samples.h"
#include "harness/record/test/synthetic.h"

/* `pairs` pairs of arms; B reads `ratio` times as much, both with noise. */
static json_t *aa_record(int pairs, double ratio, double noise)
{
	json_t *record = synthetic_record("null", "tcg");
	uint64_t state = 2024;

	json_object_set_new(json_object_get(record, "plan"), "aa", json_true());
	for (int i = 0; i < 2 * pairs; i++) {
		json_t *trial = synthetic_trial(
			record, "null", "effect", "none", "baseline", i / 4, i / 2 % 2);

		json_object_set_new(trial, "arm", json_string(i % 2 ? "B" : "A"));
		synthetic_sample(trial, "time", "us", 0,
			100 * (i % 2 ? ratio : 1) * synthetic_noise(&state, noise));
		synthetic_sample(trial, "ready", "s", 512, 3 * synthetic_noise(&state, noise));
		synthetic_sample(trial, "lost", "pages", 0, 0);
	}
	return record;
}

static void equal_arms_do_not_differ(void **state)
{
	_cleanup_json_ json_t *record = aa_record(12, 1, 0.05);
	_cleanup_json_ json_t *rows = aa_compare(record);
	const json_t *row;
	size_t i;

	(void)state;
	assert_true(aa_is(record));
	assert_int_equal(json_array_size(rows), 2); /* "lost" is 0: no ratio */
	json_array_foreach (rows, i, row) {
		assert_int_equal(json_number(row, "pairs", 0), 12);
		assert_true(json_number(row, "low", NAN) < 1 && json_number(row, "high", NAN) > 1);
		assert_true(json_is_false(json_object_get(row, "differs")));
	}
	assert_int_equal(
		json_number(json_object_get(json_array_get(rows, 1), "at"), "ints", 0), 512);
}

static void unequal_arms_are_told(void **state)
{
	_cleanup_json_ json_t *record = aa_record(12, 1.3, 0.05);
	_cleanup_json_ json_t *rows = aa_compare(record);
	const json_t *time = json_array_get(rows, 0), *ready = json_array_get(rows, 1);

	(void)state;
	assert_true(json_is_true(json_object_get(time, "differs")));
	assert_true(fabs(json_number(time, "median", 0) - 1.3) < 0.1);
	assert_true(json_is_false(json_object_get(ready, "differs")));
}

static void few_pairs_have_no_interval(void **state)
{
	_cleanup_json_ json_t *record = aa_record(4, 1.3, 0.05);
	_cleanup_json_ json_t *rows = aa_compare(record);
	const json_t *row = json_array_get(rows, 0);

	(void)state;
	assert_int_equal(json_number(row, "pairs", 0), 4);
	assert_null(json_object_get(row, "low"));
	assert_true(json_is_false(json_object_get(row, "differs")));
}

/* Its trials have the variant's name, and are still nobody's baseline. */
static void no_claim_is_graded_from_arms(void **state)
{
	_cleanup_json_ json_t *record = aa_record(12, 1, 0.05);
	_cleanup_json_ json_t *claims = NULL;
	const json_t *claim;
	size_t i;

	(void)state;
	for (i = 0; i < 12; i++)
		synthetic_sample(synthetic_trial(record, "null", "effect", "none-again", "baseline",
					 (int)i / 2, (int)i % 2),
			"time", "us", 0, 100);
	assert_ok(record_grade(record, &claims));
	json_array_foreach (claims, i, claim)
		assert_string_equal(json_text(claim, "verdict"), "not-run");
	assert_int_equal(json_array_size(claims), 4);
}

static void other_records_have_no_arms(void **state)
{
	_cleanup_json_ json_t *record = synthetic_record("null", "tcg");
	_cleanup_json_ json_t *empty = json_object();

	(void)state;
	synthetic_pairs(record, "null", "effect", "delay", "none", "time", "us", 0, 8, 1.5, 0.02);
	_cleanup_json_ json_t *rows = aa_compare(record);
	_cleanup_json_ json_t *none = aa_compare(empty);

	assert_false(aa_is(record));
	assert_int_equal(json_array_size(rows), 0);
	assert_int_equal(json_array_size(none), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_arms_do_not_differ),
		cmocka_unit_test(unequal_arms_are_told),
		cmocka_unit_test(few_pairs_have_no_interval),
		cmocka_unit_test(no_claim_is_graded_from_arms),
		cmocka_unit_test(other_records_have_no_arms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
