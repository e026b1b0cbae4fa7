/* Every verdict and every way in which a record can be poor, wrong or hostile. */
#include "harness/record/claims.h"
#include "harness/record/paper.h"
#include "harness/record/record.h"
#include "harness/record/summary.h"
#include "harness/record/test/synthetic.h"
#include "harness/stats/pairs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* Grades `record` (taken over) and returns the claim; the whole is kept in *claims. */
static const json_t *graded(json_t *record, const char *id, json_t **claims)
{
	struct error *err = record_grade(record, claims);
	const json_t *claim, *found = NULL;
	size_t i;

	if (err)
		print_error("%s\n", error_message(err));
	assert_null(err);
	json_array_foreach (*claims, i, claim) {
		if (strcmp(json_string_value(json_object_get(claim, "id")), id) == 0)
			found = claim;
	}
	json_decref(record);
	assert_non_null(found);
	return found;
}

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

static double number(const json_t *object, const char *key)
{
	assert_true(json_is_number(json_object_get(object, key)));
	return json_number_value(json_object_get(object, key));
}

static const json_t *first_test(const json_t *claim)
{
	return json_array_get(json_object_get(claim, "tests"), 0);
}

static void assert_verdict(json_t *record, const char *id, const char *verdict)
{
	_cleanup_json_ json_t *claims = NULL;
	const json_t *claim = graded(record, id, &claims);

	if (strcmp(text(claim, "verdict"), verdict) != 0)
		print_error("%s\n", text(claim, "reason"));
	assert_string_equal(text(claim, "verdict"), verdict);
}

static json_t *effect(int pairs, double ratio, double noise)
{
	json_t *record = synthetic_record("null", "tcg");

	synthetic_pairs(
		record, "null", "effect", "delay", "none", "time", "us", 0, pairs, ratio, noise);
	return record;
}

static void test_ratio_near_the_published_one_is_reproduced(void **state)
{
	_cleanup_json_ json_t *claims = NULL;
	const json_t *claim = graded(effect(8, 1.5, 0.02), "N1", &claims);
	const json_t *test = first_test(claim);

	(void)state;
	assert_string_equal(text(claim, "verdict"), "reproduced");
	assert_true(number(test, "low") < 1.5 && number(test, "high") > 1.5);
	assert_float_equal(number(test, "measured"), 1.5, 0.05);
	assert_float_equal(number(test, "ratio_to_published"), 1.0, 0.05);
	assert_int_equal(number(test, "pairs"), 8);
	assert_true(number(test, "p_value") < 0.05);
	assert_float_equal(number(claim, "wall_s"), 8 * 2 * 3.0, 1e-9);
	assert_float_equal(number(claim, "disk_bytes"), 8 * 2 * 1000.0, 1e-9);
}

static void test_size_far_from_published_is_direction_only(void **state)
{
	_cleanup_json_ json_t *strong = NULL;
	_cleanup_json_ json_t *weak = NULL;
	const json_t *claim;

	(void)state;
	claim = graded(effect(8, 5, 0.02), "N1", &strong);
	assert_string_equal(text(claim, "verdict"), "direction-only");
	assert_string_equal(text(first_test(claim), "word"), "stronger");
	claim = graded(effect(8, 1.1, 0.01), "N1", &weak);
	assert_string_equal(text(claim, "verdict"), "direction-only");
	assert_string_equal(text(first_test(claim), "word"), "weaker");
}

static void test_opposite_direction_is_contradicted(void **state)
{
	(void)state;
	assert_verdict(effect(8, 0.5, 0.02), "N1", "contradicted");
}

static void test_open_interval_is_inconclusive_with_forecast(void **state)
{
	_cleanup_json_ json_t *claims = NULL;
	const json_t *claim = graded(effect(8, 1.05, 0.3), "N1", &claims);
	const json_t *forecast = json_object_get(claim, "forecast");

	(void)state;
	assert_string_equal(text(claim, "verdict"), "inconclusive");
	if (forecast)
		assert_float_equal(
			number(forecast, "seconds"), number(forecast, "boots") * 3, 1e-6);
	else
		assert_non_null(strstr(text(claim, "reason"), "unlikely"));
}

static void test_too_few_pairs_say_what_is_missing(void **state)
{
	_cleanup_json_ json_t *claims = NULL;
	const json_t *claim = graded(effect(4, 1.5, 0.02), "N1", &claims);
	const json_t *forecast = json_object_get(claim, "forecast");

	(void)state;
	assert_string_equal(text(claim, "verdict"), "inconclusive");
	assert_int_equal(number(forecast, "pairs"), 2);
	assert_int_equal(number(forecast, "boots"), 4);
	assert_float_equal(number(forecast, "seconds"), 12, 1e-9);
	assert_null(json_object_get(first_test(claim), "low"));
}

static void test_equal_variants_are_found_equal(void **state)
{
	json_t *same = synthetic_record("null", "tcg");
	json_t *other = synthetic_record("null", "tcg");

	(void)state;
	synthetic_pairs(same, "null", "effect", "none", "none-again", "time", "us", 0, 8, 1, 0.02);
	assert_verdict(same, "N2", "reproduced");
	synthetic_pairs(other, "null", "effect", "none", "none-again", "time", "us", 0, 8, 2, 0.02);
	assert_verdict(other, "N2", "contradicted");
}

static void test_nothing_run_is_not_run(void **state)
{
	(void)state;
	assert_verdict(effect(0, 1, 0), "N1", "not-run");
	assert_verdict(effect(8, 1.5, 0.02), "N2", "not-run");
}

/* The subject's evidence is damaged in each trial in another way; none may count. */
static void test_trials_without_evidence_never_count(void **state)
{
	json_t *record = effect(9, 1.5, 0.02);
	_cleanup_json_ json_t *claims = NULL;
	json_t *trial;
	size_t i;

	(void)state;
	json_array_foreach (json_object_get(record, "trials"), i, trial) {
		if (strcmp(text(trial, "variant"), "delay") != 0)
			continue;
		if (i % 3 == 0)
			json_object_set_new(trial, "outcome", json_string("invalid"));
		else if (i % 3 == 1)
			json_array_clear(json_object_get(trial, "evidence"));
		else
			json_object_set_new(json_array_get(json_object_get(trial, "evidence"), 0),
				"ok", json_false());
		assert_false(trial_counts(trial, NULL));
	}
	const json_t *claim = graded(record, "N1", &claims);

	assert_string_equal(text(claim, "verdict"), "inconclusive");
	assert_non_null(strstr(text(claim, "reason"), "none of 9 trials"));
}

static void test_a_lost_trial_costs_its_pair_only(void **state)
{
	json_t *record = effect(8, 1.5, 0.02);
	_cleanup_json_ json_t *claims = NULL;

	(void)state;
	json_object_set_new(json_array_get(json_object_get(record, "trials"), 4), "outcome",
		json_string("failed"));
	json_array_remove(json_object_get(record, "trials"), 1);
	const json_t *claim = graded(record, "N1", &claims);

	assert_int_equal(number(first_test(claim), "pairs"), 6);
	assert_string_equal(text(claim, "verdict"), "reproduced");
}

static void test_blocks_that_never_meet_make_no_pair(void **state)
{
	json_t *record = effect(8, 1.5, 0.02);
	json_t *trial;
	size_t i;

	(void)state;
	json_array_foreach (json_object_get(record, "trials"), i, trial) {
		if (strcmp(text(trial, "variant"), "none") == 0)
			json_object_set_new(trial, "block", json_integer(1000));
	}
	assert_verdict(record, "N1", "inconclusive");
}

/* A trial entered twice (a copied block) must not pass for more evidence. */
static void test_duplicated_trials_count_for_nothing(void **state)
{
	json_t *record = effect(6, 1.5, 0.02);
	json_t *copy = json_deep_copy(json_array_get(json_object_get(record, "trials"), 0));
	_cleanup_json_ json_t *claims = NULL;

	(void)state;
	json_object_set_new(copy, "index", json_integer(99));
	json_array_append_new(json_object_get(record, "trials"), copy);
	const json_t *claim = graded(record, "N1", &claims);

	assert_int_equal(number(first_test(claim), "pairs"), 5);
	assert_string_equal(text(claim, "verdict"), "inconclusive");
}

/* More pairs than are looked at are no reason to look at none. */
static void test_pairs_beyond_the_most_are_left_out(void **state)
{
	_cleanup_json_ json_t *record = effect(PAIRS_MAX + 2, 1.5, 0.02);
	_cleanup_json_ json_t *of = json_pack("{s:s, s:s}", "variant", "delay", "metric", "time");
	_cleanup_json_ json_t *to = json_pack("{s:s, s:s}", "variant", "none", "metric", "time");
	_cleanup_json_ json_t *claims = NULL;
	struct reading ratio;

	(void)state;
	assert_true(record_ratio(record, "null", "effect", of, to, &ratio, NULL));
	assert_int_equal(ratio.trials, PAIRS_MAX);
	const json_t *test = first_test(graded(json_incref(record), "N1", &claims));

	assert_string_equal(text(test, "verdict"), "reproduced");
	assert_int_equal(number(test, "pairs"), PAIRS_MAX);
	assert_int_equal(number(test, "left_out"), 2);
	assert_non_null(strstr(text(test, "reason"), "; the last 2 pairs left out"));
	assert_null(strstr(text(test, "reason"), "negative"));
}

static void test_absurd_samples_never_crash_or_pass(void **state)
{
	static const double absurd[] = {0, -5, 1e308, 5e-324};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(absurd); i++) {
		json_t *record = effect(8, 1.5, 0.02);
		_cleanup_json_ json_t *claims = NULL;
		json_t *trial;
		size_t t;

		json_array_foreach (json_object_get(record, "trials"), t, trial) {
			json_t *sample = json_array_get(json_object_get(trial, "samples"), 0);

			if (strcmp(text(trial, "variant"), "delay") == 0)
				json_object_set_new(sample, "values", json_pack("[f]", absurd[i]));
		}
		const char *verdict = text(graded(record, "N1", &claims), "verdict");

		assert_string_not_equal(verdict, "reproduced");
	}
}

static void test_empty_and_ambiguous_samples_give_no_value(void **state)
{
	_cleanup_json_ json_t *record = synthetic_record("null", "tcg");
	json_t *trial = synthetic_trial(record, "null", "effect", "none", "baseline", 0, 0);
	_cleanup_json_ json_t *at = json_pack("{s:f}", "ints", 8192.0);
	double value = -1;

	(void)state;
	assert_false(trial_value(trial, "time", NULL, &value));
	synthetic_sample(trial, "time", "us", 1, 3);
	assert_true(trial_value(trial, "time", NULL, &value));
	synthetic_sample(trial, "time", "us", 8192, 4);
	assert_false(trial_value(trial, "time", NULL, &value));
	assert_true(trial_value(trial, "time", at, &value));
	assert_float_equal(value, 4, 1e-9);
	json_array_clear(
		json_object_get(json_array_get(json_object_get(trial, "samples"), 1), "values"));
	assert_false(trial_value(trial, "time", at, &value));
	assert_float_equal(value, 4, 1e-9); /* untouched on failure */
}

static void test_paper_c_grades_as_meant(void **state)
{
	_cleanup_json_ json_t *claims = NULL;
	const json_t *claim = graded(synthetic_shmipc(8, 150), "C1", &claims);
	const json_t *tests = json_object_get(claim, "tests");

	(void)state;
	assert_string_equal(text(claim, "verdict"), "reproduced");
	assert_float_equal(number(first_test(claim), "published"), 14978.0 / 116, 1e-6);
	assert_string_equal(text(json_array_get(tests, 1), "best"), "udp");
	assert_float_equal(number(json_array_get(tests, 1), "measured"), 25, 2);
	assert_string_equal(text(json_array_get(tests, 2), "verdict"), "not-comparable");
	assert_non_null(strstr(text(json_array_get(tests, 2), "reason"), "tcg"));
	assert_false(json_is_true(json_object_get(json_object_get(claim, "comparable"), "ok")));
	assert_verdict(synthetic_shmipc(8, 150), "C2", "reproduced");
	assert_verdict(synthetic_shmipc(8, 150), "C3", "reproduced");
	assert_verdict(synthetic_shmipc(8, 150), "C4", "not-run");
	assert_verdict(synthetic_shmipc(8, 20), "C1", "direction-only");
	assert_verdict(synthetic_shmipc(8, 0.5), "C1", "contradicted");
}

static void test_one_false_is_enough_to_contradict_holds(void **state)
{
	json_t *record = synthetic_shmipc(1, 100);

	(void)state;
	synthetic_sample(
		synthetic_trial(record, "shmipc", "pointers", "shm-doorbell", "subject", 0, 0),
		"pointers_shared", "", 0, 0);
	assert_verdict(record, "C3", "contradicted");
}

static void test_absolute_values_need_the_papers_host(void **state)
{
	json_t *record = synthetic_shmipc(8, 150);
	json_t *host = json_object_get(record, "host");
	_cleanup_json_ json_t *claims = NULL;
	const json_t *test;

	(void)state;
	json_object_set_new(json_object_get(host, "accelerator"), "name", json_string("kvm"));
	json_object_set_new(host, "cpu", json_pack("{s:s}", "model", "Intel Core i7-3770"));
	test = json_array_get(json_object_get(graded(record, "C1", &claims), "tests"), 2);
	assert_string_equal(text(test, "verdict"), "reproduced");
}

/* Downtime of a guest of each size: `growth` of it from the smallest to the largest. */
static json_t *downtimes(double growth)
{
	json_t *record = synthetic_record("zerocopy", "tcg");
	uint64_t state = 3;

	for (int i = 0; i < 12; i++) {
		int memory_mib = 128 << (i % 6);
		json_t *trial =
			synthetic_trial(record, "zerocopy", "dirty", "vmbeam", "subject", i / 6, 0);

		json_object_set_new(trial, "parameters",
			json_pack(
				"{s:i, s:i}", "memory_mib", 2048, "dirty_pages_per_s", memory_mib));
		synthetic_sample(trial, "migration_time", "s", 0,
			(1 + growth * (memory_mib - 128) / 3968.0) * synthetic_noise(&state, 0.02));
		synthetic_sample(trial, "downtime", "s", 0, synthetic_noise(&state, 0.02));
	}
	return record;
}

static void test_slopes(void **state)
{
	(void)state;
	assert_verdict(downtimes(0), "D4a", "reproduced");
	assert_verdict(downtimes(3), "D4a", "contradicted");
}

/* Trials of D4a, each at six rates: flat to the eye. */
static json_t *flat_trials(int trials)
{
	json_t *record = synthetic_record("zerocopy", "tcg");
	uint64_t state = 3;

	for (int i = 0; i < trials; i++) {
		json_t *trial = synthetic_trial(
			record, "zerocopy", "dirty", "vmbeam", "subject", i / 2, i % 2);

		for (int rate = 1000; rate <= 32000; rate *= 2) {
			json_t *samples = json_object_get(trial, "samples");
			double value = synthetic_noise(&state, 0.02);

			json_array_append_new(
				samples, json_pack("{s:s, s:s, s:{s:i}, s:[f]}", "metric",
						 "migration_time", "unit", "s", "at",
						 "dirty_pages_per_s", rate, "values", value));
			json_array_append_new(
				samples, json_pack("{s:s, s:s, s:{s:i}, s:[f]}", "metric",
						 "downtime", "unit", "s", "at", "dirty_pages_per_s",
						 rate, "values", value));
		}
	}
	return record;
}

/* Two trials are two, however many points they have. */
static void test_slopes_need_as_many_trials_as_others(void **state)
{
	_cleanup_json_ json_t *claims = NULL;
	const json_t *test;

	(void)state;
	test = first_test(graded(flat_trials(2), "D4a", &claims));
	assert_string_equal(text(test, "verdict"), "inconclusive");
	assert_non_null(strstr(text(test, "reason"), "2 of 6 trials"));
	assert_int_equal(number(test, "pairs"), 2);
	assert_int_equal(number(json_object_get(test, "forecast"), "boots"), 4);
	assert_verdict(flat_trials(5), "D4a", "inconclusive");
	assert_verdict(flat_trials(6), "D4a", "reproduced");
}

/* 333 trials of six points each are all that is looked at. */
static void test_slopes_say_what_is_left_out(void **state)
{
	_cleanup_json_ json_t *claims = NULL;
	const json_t *test = first_test(graded(flat_trials(340), "D4a", &claims));

	(void)state;
	assert_string_equal(text(test, "verdict"), "reproduced");
	assert_int_equal(number(test, "pairs"), 333);
	assert_int_equal(number(test, "left_out"), 7);
	assert_non_null(strstr(text(test, "reason"), "; the last 7 trials left out"));
}

static void test_outcomes_expected_of_the_harness(void **state)
{
	json_t *record = synthetic_record("null", "tcg");
	json_t *trial = synthetic_trial(record, "null", "evidence", "no-evidence", "subject", 0, 0);

	(void)state;
	json_object_set_new(trial, "outcome", json_string("invalid"));
	json_incref(record);
	assert_verdict(record, "N3", "reproduced");
	json_object_set_new(trial, "outcome", json_string("ok"));
	assert_verdict(record, "N3", "contradicted");
}

/* A part that contradicts outweighs parts that hold; one that is missing leaves the whole open. */
static void test_claims_of_several_parts(void **state)
{
	json_t *record = synthetic_record("libdedup", "tcg");

	(void)state;
	for (int i = 0; i < 2; i++) {
		json_t *trial =
			synthetic_trial(record, "libdedup", "census", "debian", "subject", i, 0);

		synthetic_sample(trial, "processes_match", "", 0, 1);
	}
	json_incref(record);
	assert_verdict(record, "A6", "inconclusive");
	synthetic_sample(
		json_array_get(json_object_get(record, "trials"), 0), "modules_match", "", 0, 0);
	assert_verdict(record, "A6", "contradicted");
}

/* Which test decided is settled once, with the verdict, and the reason is that test's. */
static void test_a_claim_names_the_test_that_decided(void **state)
{
	_cleanup_json_ json_t *claims = NULL;
	_cleanup_json_ json_t *both = NULL;
	_cleanup_json_ json_t *first_only = NULL;
	const json_t *claim = graded(synthetic_downtimes(1), "D3b", &claims);
	const json_t *tests = json_object_get(claim, "tests");

	(void)state;
	assert_string_equal(text(first_test(claim), "verdict"), "reproduced");
	assert_string_equal(text(claim, "verdict"), "inconclusive");
	assert_int_equal(number(claim, "decided_by"), 1);
	assert_ptr_equal(claim_deciding_test(claim), json_array_get(tests, 1));
	assert_string_equal(text(claim_deciding_test(claim), "reason"), text(claim, "reason"));
	assert_int_equal(claim_test_at(claim, 0), 1);
	assert_int_equal(claim_test_at(claim, 1), 0);
	assert_int_equal(claim_test_at(claim, 2), 2);
	claim = graded(synthetic_downtimes(1.5), "D3b", &both);
	assert_string_equal(text(claim, "verdict"), "reproduced");
	assert_int_equal(number(claim, "decided_by"), 0);
	/* C1's other tests stand beside it, whatever they say. */
	claim = graded(synthetic_shmipc(8, 20), "C1", &first_only);
	assert_int_equal(number(claim, "decided_by"), 0);
}

/* What the index keeps of a claim is of that test too, if it has figures or not. */
static void test_the_index_has_the_figures_of_that_test(void **state)
{
	json_t *dedup = synthetic_record("libdedup", "tcg"), *claim, *row;

	(void)state;
	for (int i = 0; i < 2; i++)
		synthetic_sample(
			synthetic_trial(dedup, "libdedup", "census", "debian", "subject", i, 0),
			"processes_match", "", 0, 1);
	json_t *const records[] = {synthetic_downtimes(1), dedup};
	static const char *const ids[] = {"D3b", "A6"};

	for (size_t r = 0; r < ARRAY_SIZE(records); r++) {
		_cleanup_record_ struct record *record = NULL;
		_cleanup_json_ json_t *summary = NULL;
		size_t i, found = 0;

		assert_null(record_from_json(records[r], &record));
		json_decref(records[r]);
		assert_null(summary_of_record(record, &summary));
		json_array_foreach (json_object_get(record->json, "claims"), i, claim) {
			const json_t *decided =
				json_object_get(claim_deciding_test(claim), "measured");

			if (strcmp(text(claim, "id"), ids[r]) != 0)
				continue;
			row = json_array_get(json_object_get(summary, "claims"), i);
			found++;
			assert_int_equal(number(claim, "decided_by"), 1);
			assert_string_equal(text(row, "verdict"), "inconclusive");
			assert_true((decided != NULL) == (r == 0));
			assert_true(decided == json_object_get(row, "measured") ||
				    json_equal(decided, json_object_get(row, "measured")));
		}
		assert_int_equal(found, 1);
	}
}

static void test_grading_twice_gives_the_same(void **state)
{
	_cleanup_json_ json_t *record = synthetic_shmipc(8, 150);
	_cleanup_json_ json_t *one = NULL;
	_cleanup_json_ json_t *two = NULL;

	(void)state;
	assert_null(record_grade(record, &one));
	assert_null(record_grade(record, &two));
	assert_true(json_equal(one, two));
	assert_int_equal(json_array_size(one), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ratio_near_the_published_one_is_reproduced),
		cmocka_unit_test(test_size_far_from_published_is_direction_only),
		cmocka_unit_test(test_opposite_direction_is_contradicted),
		cmocka_unit_test(test_open_interval_is_inconclusive_with_forecast),
		cmocka_unit_test(test_too_few_pairs_say_what_is_missing),
		cmocka_unit_test(test_equal_variants_are_found_equal),
		cmocka_unit_test(test_nothing_run_is_not_run),
		cmocka_unit_test(test_trials_without_evidence_never_count),
		cmocka_unit_test(test_a_lost_trial_costs_its_pair_only),
		cmocka_unit_test(test_blocks_that_never_meet_make_no_pair),
		cmocka_unit_test(test_duplicated_trials_count_for_nothing),
		cmocka_unit_test(test_pairs_beyond_the_most_are_left_out),
		cmocka_unit_test(test_absurd_samples_never_crash_or_pass),
		cmocka_unit_test(test_empty_and_ambiguous_samples_give_no_value),
		cmocka_unit_test(test_paper_c_grades_as_meant),
		cmocka_unit_test(test_one_false_is_enough_to_contradict_holds),
		cmocka_unit_test(test_absolute_values_need_the_papers_host),
		cmocka_unit_test(test_slopes),
		cmocka_unit_test(test_slopes_need_as_many_trials_as_others),
		cmocka_unit_test(test_slopes_say_what_is_left_out),
		cmocka_unit_test(test_outcomes_expected_of_the_harness),
		cmocka_unit_test(test_claims_of_several_parts),
		cmocka_unit_test(test_a_claim_names_the_test_that_decided),
		cmocka_unit_test(test_the_index_has_the_figures_of_that_test),
		cmocka_unit_test(test_grading_twice_gives_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
