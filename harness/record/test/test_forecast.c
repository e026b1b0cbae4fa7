/* Every kind of test that can be left open says what would probably decide it. */
#include "harness/base/test/support.h"
#include "harness/base/cleanup.h"
#include "harness/record/grade.h"
#include "harness/record/test/synthetic.h"

static json_t *grade(const json_t *record, const char *test_text)
{
	const struct grading grading = {.record = record,
		.paper = NULL,
		.mechanism = "null",
		.seed = 1,
		.comparable = true};
	_cleanup_json_ json_t *test = json_loads(test_text, 0, NULL);

	assert_non_null(test);
	return grade_test(&grading, test);
}

/* Open, with a forecast of at least `pairs` and `boots_each` boots for each; 3 s a boot. */
static void assert_forecast(const json_t *result, double pairs, double boots_each)
{
	const json_t *forecast = json_object_get(result, "forecast");

	assert_string_equal(json_text(result, "verdict"), "inconclusive");
	if (!forecast)
		fail_msg("no forecast: %s", json_text(result, "reason"));
	assert_true(json_number(forecast, "pairs", 0) >= pairs);
	assert_true(json_number(forecast, "boots", 0) ==
		    json_number(forecast, "pairs", 0) * boots_each);
	assert_true(fabs(json_number(forecast, "seconds", 0) -
			    3 * json_number(forecast, "boots", 0)) < 1e-9);
}

#define BOUND                                                                                      \
	"{\"kind\": \"bound\", \"experiment\": \"effect\", \"at_most\": 1.5,"                      \
	" \"of\": {\"variant\": \"delay\", \"metric\": \"time\"},"                                 \
	" \"to\": {\"variant\": \"none\", \"metric\": \"time\"}}"

static void a_ratio_that_holds_its_limit(void **state)
{
	_cleanup_json_ json_t *record = synthetic_record("null", "tcg");

	(void)state;
	synthetic_pairs(record, "null", "effect", "delay", "none", "time", "us", 0, 8, 1.4, 0.15);
	_cleanup_json_ json_t *open = grade(record, BOUND);

	assert_forecast(open, 1, 2);
	_cleanup_json_ json_t *far = synthetic_record("null", "tcg");

	synthetic_pairs(far, "null", "effect", "delay", "none", "time", "us", 0, 8, 1.1, 0.05);
	_cleanup_json_ json_t *decided = grade(far, BOUND);

	assert_string_equal(json_text(decided, "verdict"), "reproduced");
	assert_null(json_object_get(decided, "forecast"));
}

#define ORDER                                                                                      \
	"{\"kind\": \"order\", \"experiment\": \"effect\", \"ascending\": ["                       \
	"{\"variant\": \"none\", \"metric\": \"time\"},"                                           \
	"{\"variant\": \"delay\", \"metric\": \"time\"}]}"

static void an_order_with_an_open_place(void **state)
{
	_cleanup_json_ json_t *few = synthetic_record("null", "tcg");
	_cleanup_json_ json_t *noisy = synthetic_record("null", "tcg");
	_cleanup_json_ json_t *clear = synthetic_record("null", "tcg");

	(void)state;
	synthetic_pairs(few, "null", "effect", "delay", "none", "time", "us", 0, 2, 1.5, 0.02);
	_cleanup_json_ json_t *missing = grade(few, ORDER);

	assert_forecast(missing, 4, 2);
	assert_int_equal(json_number(json_object_get(missing, "forecast"), "pairs", 0), 4);
	synthetic_pairs(noisy, "null", "effect", "delay", "none", "time", "us", 0, 8, 1.1, 0.25);
	_cleanup_json_ json_t *open = grade(noisy, ORDER);

	assert_forecast(open, 1, 2);
	synthetic_pairs(clear, "null", "effect", "delay", "none", "time", "us", 0, 8, 1.5, 0.02);
	_cleanup_json_ json_t *decided = grade(clear, ORDER);

	assert_string_equal(json_text(decided, "verdict"), "reproduced");
}

/* Trials at one size each, over `sizes` sizes. */
static void add_sizes(json_t *record, int trials, int sizes, double growth, double noise)
{
	uint64_t state = 3;

	for (int i = 0; i < trials; i++) {
		json_t *trial =
			synthetic_trial(record, "null", "effect", "delay", "subject", i / 2, i % 2);
		double share = (double)(i % sizes) / (sizes - 1);

		synthetic_sample(trial, "time", "us", 100 * (1 + i % sizes),
			(1 + growth * share) * synthetic_noise(&state, noise));
	}
}

#define SLOPE(expect)                                                                              \
	"{\"kind\": \"slope\", \"experiment\": \"effect\", \"over\": \"ints\", \"expect\": "       \
	"\"" expect                                                                                \
	"\", \"tolerance\": 0.1, \"of\": {\"variant\": \"delay\", \"metric\": \"time\"}}"

static void a_slope_that_is_open(void **state)
{
	_cleanup_json_ json_t *noisy = synthetic_record("null", "tcg");
	_cleanup_json_ json_t *few = synthetic_record("null", "tcg");

	(void)state;
	add_sizes(noisy, 12, 4, 0.4, 0.8);
	_cleanup_json_ json_t *open = grade(noisy, SLOPE("grows"));

	assert_forecast(open, 1, 1);
	/* Three trials give no bounds: as many again is the least. */
	add_sizes(few, 3, 3, 0.5, 0.01);
	_cleanup_json_ json_t *unbounded = grade(few, SLOPE("grows"));

	assert_forecast(unbounded, 3, 1);
	assert_int_equal(json_number(json_object_get(unbounded, "forecast"), "pairs", 0), 3);
}

static void assert_shape(const json_t *record, const char *test, const char *verdict)
{
	_cleanup_json_ json_t *result = grade(record, test);

	assert_string_equal(json_text(result, "verdict"), verdict);
}

static void what_does_not_grow_may_shrink(void **state)
{
	_cleanup_json_ json_t *shrinks = synthetic_record("null", "tcg");
	_cleanup_json_ json_t *flat = synthetic_record("null", "tcg");
	_cleanup_json_ json_t *grows = synthetic_record("null", "tcg");
	_cleanup_json_ json_t *open = synthetic_record("null", "tcg");

	(void)state;
	add_sizes(shrinks, 24, 4, -0.5, 0.02);
	assert_shape(shrinks, SLOPE("does-not-grow"), "reproduced");
	assert_shape(shrinks, SLOPE("flat"), "contradicted");
	add_sizes(flat, 24, 4, 0, 0.02);
	assert_shape(flat, SLOPE("does-not-grow"), "reproduced");
	assert_shape(flat, SLOPE("flat"), "reproduced");
	assert_shape(flat, SLOPE("grows"), "contradicted");
	add_sizes(grows, 24, 4, 0.5, 0.02);
	assert_shape(grows, SLOPE("does-not-grow"), "contradicted");
	assert_shape(grows, SLOPE("grows"), "reproduced");
	add_sizes(open, 12, 4, 0, 0.8);
	assert_shape(open, SLOPE("does-not-grow"), "inconclusive");
}

/* Trials that have both ends each: how much each of them grows. */
static json_t *growing_trials(const double *growths, int trials)
{
	json_t *record = synthetic_record("null", "tcg");

	for (int i = 0; i < trials; i++) {
		json_t *trial =
			synthetic_trial(record, "null", "effect", "delay", "subject", i / 2, i % 2);

		synthetic_sample(trial, "time", "us", 100, 1);
		synthetic_sample(trial, "time", "us", 400, 1 + growths[i]);
	}
	return record;
}

/* What shrinks by the tolerance itself, give or take more than that, is hard to tell from what is
 * flat. Whether it grows is another question, and easy. */
static void what_does_not_grow_is_forecast_by_its_one_limit(void **state)
{
	static const double wide[] = {-0.35, -0.25, -0.2, -0.1, -0.1, 0.05, 0.15, 0.3};
	static const double below[] = {-0.35, -0.25, -0.2, -0.1, -0.1, -0.05, 0, 0.05};
	_cleanup_json_ json_t *record = growing_trials(wide, ARRAY_SIZE(wide));
	_cleanup_json_ json_t *lower = growing_trials(below, ARRAY_SIZE(below));
	_cleanup_json_ json_t *flat = grade(record, SLOPE("flat"));
	_cleanup_json_ json_t *at_most = grade(record, SLOPE("does-not-grow"));
	_cleanup_json_ json_t *grows = grade(record, SLOPE("grows"));

	(void)state;
	assert_string_equal(json_text(flat, "verdict"), "inconclusive");
	assert_non_null(strstr(json_text(flat, "reason"), "unlikely"));
	assert_forecast(at_most, 1, 1);
	assert_true(json_number(json_object_get(at_most, "forecast"), "pairs", 0) < 50);
	assert_forecast(grows, 1, 1);
	assert_shape(lower, SLOPE("does-not-grow"), "reproduced");
	assert_shape(lower, SLOPE("grows"), "contradicted");
	assert_shape(lower, SLOPE("flat"), "inconclusive");
}

#define SIZED(published)                                                                           \
	"{\"kind\": \"ratio\", \"experiment\": \"effect\", \"direction\": \"greater\","            \
	" \"published\": {\"value\": " published "}, \"tolerance\": 2,"                            \
	" \"of\": {\"variant\": \"delay\", \"metric\": \"time\"},"                                 \
	" \"to\": {\"variant\": \"none\", \"metric\": \"time\"}}"

/* The interval reaches into the range around the published value, the median lies beyond it: that
 * is neither near it nor surely far from it. */
static void a_size_that_is_open(void **state)
{
	static const double ratios[] = {1.3, 1.5, 1.9, 2.4, 2.7, 3.2, 4.1, 5.5};
	_cleanup_json_ json_t *record = synthetic_record("null", "tcg");

	(void)state;
	synthetic_ratios(record, "effect", "delay", "none", "time", ratios, ARRAY_SIZE(ratios));
	_cleanup_json_ json_t *above = grade(record, SIZED("8"));
	_cleanup_json_ json_t *below = grade(record, SIZED("1"));
	_cleanup_json_ json_t *near = grade(record, SIZED("3"));
	_cleanup_json_ json_t *far = grade(record, SIZED("50"));

	assert_true(json_number(above, "high", 0) > 4 && json_number(above, "measured", 0) < 4);
	assert_forecast(above, 1, 2);
	assert_string_equal(json_text(above, "reason"), "the direction holds, its size is open");
	assert_true(json_number(below, "low", 9) < 2 && json_number(below, "measured", 0) > 2);
	assert_forecast(below, 1, 2);
	assert_string_equal(json_text(near, "verdict"), "reproduced");
	assert_string_equal(json_text(far, "verdict"), "direction-only");
	assert_string_equal(json_text(far, "word"), "weaker");
}

#define ABSOLUTE(published)                                                                        \
	"{\"kind\": \"absolute\", \"experiment\": \"effect\","                                     \
	" \"published\": {\"value\": " published "}, \"tolerance\": 2,"                            \
	" \"of\": {\"variant\": \"delay\", \"metric\": \"time\"}}"

static json_t *times(const double *values, int trials)
{
	json_t *record = synthetic_record("null", "tcg");

	for (int i = 0; i < trials; i++)
		synthetic_sample(
			synthetic_trial(record, "null", "effect", "delay", "subject", i / 2, i % 2),
			"time", "us", 0, values[i]);
	return record;
}

static void an_absolute_value_that_is_open(void **state)
{
	static const double values[] = {1, 1.2, 1.5, 2, 2, 5, 5, 5};
	_cleanup_json_ json_t *record = times(values, ARRAY_SIZE(values));
	_cleanup_json_ json_t *above = grade(record, ABSOLUTE("8"));
	_cleanup_json_ json_t *below = grade(record, ABSOLUTE("0.9"));
	_cleanup_json_ json_t *near = grade(record, ABSOLUTE("3"));
	_cleanup_json_ json_t *far = grade(record, ABSOLUTE("50"));

	(void)state;
	assert_true(json_number(above, "high", 0) > 4 && json_number(above, "measured", 0) < 4);
	assert_forecast(above, 1, 1);
	assert_string_equal(json_text(above, "reason"), "the size is open");
	assert_true(json_number(below, "low", 9) < 1.8 && json_number(below, "measured", 0) > 1.8);
	assert_string_equal(json_text(below, "verdict"), "inconclusive");
	assert_string_equal(json_text(near, "verdict"), "reproduced");
	assert_string_equal(json_text(far, "verdict"), "contradicted");
}

/* Where the run went on until it was decided, so many trials have no interval yet, and the median
 * alone decides nothing. */
static void an_absolute_value_without_bounds(void **state)
{
	static const double values[] = {2, 2.1, 2.2, 2.3, 2.4, 2.5, 2.6, 2.7, 2.8};
	_cleanup_json_ json_t *few = times(values, 8);
	_cleanup_json_ json_t *enough = times(values, 9);

	(void)state;
	json_object_set_new(json_object_get(few, "plan"), "until_decided", json_true());
	json_object_set_new(json_object_get(enough, "plan"), "until_decided", json_true());
	_cleanup_json_ json_t *open = grade(few, ABSOLUTE("3"));
	_cleanup_json_ json_t *decided = grade(enough, ABSOLUTE("3"));

	assert_forecast(open, 1, 1);
	assert_int_equal(json_number(json_object_get(open, "forecast"), "pairs", 0), 1);
	assert_null(json_object_get(open, "low"));
	assert_string_equal(json_text(decided, "verdict"), "reproduced");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ratio_that_holds_its_limit),
		cmocka_unit_test(an_order_with_an_open_place),
		cmocka_unit_test(a_slope_that_is_open),
		cmocka_unit_test(what_does_not_grow_may_shrink),
		cmocka_unit_test(what_does_not_grow_is_forecast_by_its_one_limit),
		cmocka_unit_test(a_size_that_is_open),
		cmocka_unit_test(an_absolute_value_that_is_open),
		cmocka_unit_test(an_absolute_value_without_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
