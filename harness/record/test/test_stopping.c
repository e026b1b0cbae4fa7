/* A run that goes on until its claims are decided looks at them after every block: how often is it
 * wrong where there is no effect, and what does one cost that there is? SYNTHETIC. */
#include "harness/base/test/support.h"
#include "harness/base/cleanup.h"
#include "harness/record/grade.h"
#include "harness/record/test/synthetic.h"

/* Two pairs a block, as far as a budget may go. */
enum { RUNS = 250, MOST_BLOCKS = 30 };

#define FASTER                                                                                     \
	"{\"kind\": \"ratio\", \"experiment\": \"effect\", \"direction\": \"greater\","            \
	" \"of\": {\"variant\": \"delay\", \"metric\": \"time\"},"                                 \
	" \"to\": {\"variant\": \"none\", \"metric\": \"time\"}}"

static void add_block(json_t *record, uint64_t *noise, int block, double ratio)
{
	for (int half = 0; half < 2; half++) {
		json_t *a =
			synthetic_trial(record, "null", "effect", "delay", "subject", block, half);
		json_t *b =
			synthetic_trial(record, "null", "effect", "none", "baseline", block, half);

		synthetic_sample(a, "time", "us", 0, 100 * ratio * synthetic_noise(noise, 0.1));
		synthetic_sample(b, "time", "us", 0, 100 * synthetic_noise(noise, 0.1));
	}
}

/* Adds blocks for as long as the claim is open and a forecast says that they would help; returns
 * the pairs that it was decided with, 0 if it was not. */
static int pairs_until_decided(
	const json_t *test, bool until_decided, double ratio, uint64_t seed, json_t **result)
{
	_cleanup_json_ json_t *record = synthetic_record("null", "tcg");
	const struct grading grading = {
		.record = record, .mechanism = "null", .seed = 1, .comparable = true};
	uint64_t noise = seed * 7919;

	if (until_decided)
		json_object_set_new(json_object_get(record, "plan"), "until_decided", json_true());
	for (int i = 0; i < 8; i++)
		synthetic_noise(&noise, 1); /* seeds near each other begin alike */
	*result = NULL;
	for (int block = 0; block < MOST_BLOCKS; block++) {
		add_block(record, &noise, block, ratio);
		json_decref(*result);
		*result = grade_test(&grading, test);
		if (strcmp(json_text(*result, "verdict"), "inconclusive") != 0)
			return 2 * (block + 1);
		if (!json_object_get(*result, "forecast"))
			return 0;
	}
	return 0;
}

struct outcome {
	int decided;
	double pairs; /* mean of the decided ones */
};

static struct outcome repeat(bool until_decided, double ratio)
{
	_cleanup_json_ json_t *test = json_loads(FASTER, 0, NULL);
	struct outcome outcome = {0};

	for (int i = 0; i < RUNS; i++) {
		_cleanup_json_ json_t *result = NULL;
		int pairs =
			pairs_until_decided(test, until_decided, ratio, (uint64_t)i + 1, &result);

		outcome.decided += pairs > 0;
		outcome.pairs += pairs;
	}
	outcome.pairs /= outcome.decided ? outcome.decided : 1;
	return outcome;
}

static void looking_often_is_paid_for(void **state)
{
	struct outcome plain = repeat(false, 1), corrected = repeat(true, 1);

	(void)state;
	print_message("SYNTHETIC, no effect, a look after each of up to %d blocks: decided in "
		      "%.1f %% at 95 %%, in %.1f %% at the level that is used\n",
		MOST_BLOCKS, 100.0 * plain.decided / RUNS, 100.0 * corrected.decided / RUNS);
	assert_true(corrected.decided * 20 <= RUNS);
	assert_true(plain.decided * 20 > 2 * RUNS);
}

static void an_effect_is_found_all_the_same(void **state)
{
	struct outcome plain = repeat(false, 1.1), corrected = repeat(true, 1.1);

	(void)state;
	print_message("SYNTHETIC, 10 %% of effect: decided in %.1f %%, with %.1f pairs (%.1f at 95 "
		      "%%)\n",
		100.0 * corrected.decided / RUNS, corrected.pairs, plain.pairs);
	assert_true(corrected.decided * 100 >= RUNS * 95);
	assert_true(corrected.pairs < 3 * plain.pairs);
}

static void the_level_is_told(void **state)
{
	_cleanup_json_ json_t *test = json_loads(FASTER, 0, NULL);
	_cleanup_json_ json_t *stopped = NULL;
	_cleanup_json_ json_t *planned = NULL;

	(void)state;
	assert_int_equal(pairs_until_decided(test, true, 2, 1, &stopped), 10);
	assert_float_equal(json_number(stopped, "level", 0), 0.995, 1e-9);
	assert_string_equal(json_text(stopped, "reason"),
		"the direction holds; interval 99.5 %: stopped when decided");
	assert_int_equal(pairs_until_decided(test, false, 2, 1, &planned), 6);
	assert_float_equal(json_number(planned, "level", 0), 0.95, 1e-9);
	assert_string_equal(json_text(planned, "reason"), "the direction holds");
}

#define TIME                                                                                       \
	"{\"kind\": \"absolute\", \"experiment\": \"effect\", \"published\": {\"value\": 100},"    \
	" \"of\": {\"variant\": \"delay\", \"metric\": \"time\"}}"

/* Absolute values are looked at as often as ratios are. */
static void absolute_values_pay_for_it_too(void **state)
{
	_cleanup_json_ json_t *test = json_loads(TIME, 0, NULL);
	_cleanup_json_ json_t *record = synthetic_record("null", "tcg");
	struct grading grading = {
		.record = record, .mechanism = "null", .seed = 1, .comparable = true};
	uint64_t noise = 7919;

	(void)state;
	for (int block = 0; block < 12; block++)
		add_block(record, &noise, block, 1);
	_cleanup_json_ json_t *planned = grade_test(&grading, test);

	json_object_set_new(json_object_get(record, "plan"), "until_decided", json_true());
	_cleanup_json_ json_t *stopped = grade_test(&grading, test);

	grading.comparable = false;
	grading.incomparable = "another host";
	_cleanup_json_ json_t *elsewhere = grade_test(&grading, test);

	assert_float_equal(json_number(planned, "level", 0), 0.95, 1e-9);
	assert_float_equal(json_number(stopped, "level", 0), 0.995, 1e-9);
	assert_true(json_number(stopped, "low", 0) < json_number(planned, "low", 0));
	assert_true(json_number(stopped, "high", 0) > json_number(planned, "high", 0));
	assert_string_equal(json_text(planned, "reason"), "within a factor of 2");
	assert_string_equal(json_text(stopped, "reason"),
		"within a factor of 2; interval 99.5 %: stopped when decided");
	/* Its interval decided nothing. */
	assert_string_equal(json_text(elsewhere, "reason"), "another host");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(looking_often_is_paid_for),
		cmocka_unit_test(an_effect_is_found_all_the_same),
		cmocka_unit_test(the_level_is_told),
		cmocka_unit_test(absolute_values_pay_for_it_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
