/* Change points on series whose changes are known: what is found where there is nothing, what is
 * missed where there is something, and that no answer depends on chance or scale. */
#include "harness/stats/test/simulate.h"
#include "harness/stats/change_points.h"
#include "harness/base/cleanup.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_statistics_double.h>
#include <stdlib.h>

enum noise { NORMAL, HEAVY, TWO_MODES, NOISES };

/* 2 % of noise, or what is worse: t with 2 degrees of freedom, or every third night 8 % slower. */
static double noise(gsl_rng *rng, enum noise kind)
{
	switch (kind) {
	case HEAVY:
		return 0.015 * gsl_ran_tdist(rng, 2);
	case TWO_MODES:
		return gsl_ran_gaussian(rng, 0.01) + (gsl_rng_uniform(rng) < 1.0 / 3 ? 0.08 : 0);
	default:
		return gsl_ran_gaussian(rng, 0.02);
	}
}

static void make_series(
	gsl_rng *rng, enum noise kind, double *values, size_t n, size_t step_at, double step)
{
	for (size_t i = 0; i < n; i++)
		values[i] = noise(rng, kind) + (i >= step_at ? step : 0);
}

static struct change_options options_for(size_t permutations)
{
	struct change_options options = change_defaults;

	options.permutations = permutations;
	return options;
}

/* Of noise alone, a share `level` of segments may be called a change, whatever the noise. */
static void false_positives_keep_their_level(void **state)
{
	const struct change_options options = options_for(199);
	gsl_rng *rng = noise_source(1);

	(void)state;
	for (int kind = 0; kind < NOISES; kind++) {
		size_t at_5 = 0, trials = 600;

		for (size_t t = 0; t < trials; t++) {
			struct change_point point;
			double values[40];

			make_series(rng, (enum noise)kind, values, 40, 40, 0);
			assert_true(change_point_best(values, 0, 40, &options, &point));
			at_5 += point.p_value <= 0.05;
		}
		assert_rate(at_5, trials, 0.04, 0.055);
	}
	gsl_rng_free(rng);
}

/* What change_points.h says of the t-test at the place found: it forgets the search. */
static void a_t_test_at_the_place_found_does_not(void **state)
{
	const struct change_options options = options_for(1);
	gsl_rng *rng = noise_source(2);
	size_t at_1 = 0, trials = 2000;

	(void)state;
	for (size_t t = 0; t < trials; t++) {
		struct change_point point;
		double values[40];
		size_t m;

		make_series(rng, NORMAL, values, 40, 40, 0);
		assert_true(change_point_best(values, 0, 40, &options, &point));
		m = point.index;
		at_1 += 2 * gsl_cdf_tdist_Q(
				    fabs(gsl_stats_ttest(values, 1, m, values + m, 1, 40 - m)),
				    38) <=
			0.01;
	}
	print_message("t-test at the place found: %.1f %% of noise is a change at 1 %%\n",
		100.0 * (double)at_1 / (double)trials);
	assert_true(at_1 > trials * 3 / 100);
	gsl_rng_free(rng);
}

/* A step of 5 % (10 % between two modes 8 % apart) in a history of 60 nights. */
static void steps_are_found_where_they_are(void **state)
{
	const struct change_options options = options_for(999);
	gsl_rng *rng = noise_source(3);

	(void)state;
	for (int kind = 0; kind < NOISES; kind++) {
		double step = kind == TWO_MODES ? 0.1 : 0.05;
		size_t found = 0, placed = 0, extra = 0, covered = 0, trials = 100;

		for (size_t t = 0; t < trials; t++) {
			struct change_point *points = NULL;
			double values[60];
			size_t at = 15 + gsl_rng_uniform_int(rng, 31), count;

			make_series(rng, (enum noise)kind, values, 60, at, step);
			count = change_points_find(values, 60, &options, &points);
			found += count > 0;
			extra += count > 1;
			for (size_t i = 0; i < count; i++) {
				if (labs((long)points[i].index - (long)at) > 4)
					continue;
				placed++;
				covered += !interval_excludes(points[i].within, step);
				break;
			}
			free(points);
		}
		print_message("noise %d: %zu of %zu steps found, %zu within 4 nights, shift "
			      "covered %zu, %zu with more than one\n",
			kind, found, trials, placed, covered, extra);
		assert_true(found >= 95);
		assert_true(placed >= 80);
		assert_true(covered >= placed * 85 / 100);
		assert_true(extra <= 5);
	}
	gsl_rng_free(rng);
}

/* Three steps in 150 nights, farther apart than a window's half and nearer. */
static void several_steps_in_a_long_history(void **state)
{
	const struct change_options options = options_for(1999);
	static const size_t at[] = {25, 60, 110};
	gsl_rng *rng = noise_source(4);
	struct change_point *points = NULL;
	double values[150];

	(void)state;
	for (size_t i = 0; i < 150; i++)
		values[i] = noise(rng, NORMAL) + 0.1 * ((i >= 25) - (i >= 60) + (i >= 110));
	assert_int_equal(change_points_find(values, 150, &options, &points), 3);
	for (size_t i = 0; i < 3; i++) {
		assert_true(labs((long)points[i].index - (long)at[i]) <= 1);
		assert_true(fabs(fabs(points[i].shift) - 0.1) < 0.02);
		assert_true(points[i].index - points[i].begin >= options.least_side);
		assert_true(points[i].end - points[i].index >= options.least_side);
	}
	assert_true(points[1].shift < 0);
	free(points);
	gsl_rng_free(rng);
}

/* A wild reading is no change, nor is one more near it. */
static void outliers_are_no_change(void **state)
{
	const struct change_options options = options_for(999);
	gsl_rng *rng = noise_source(5);
	struct change_point *points = NULL;
	double values[60];

	(void)state;
	make_series(rng, NORMAL, values, 60, 60, 0);
	values[30] += 5;
	values[33] += 3;
	assert_int_equal(change_points_find(values, 60, &options, &points), 0);
	assert_null(points);
	gsl_rng_free(rng);
}

static void small_shifts_are_not_relevant(void **state)
{
	struct change_options options = options_for(999);
	gsl_rng *rng = noise_source(6);
	struct change_point *points = NULL;
	double values[60];

	(void)state;
	make_series(rng, NORMAL, values, 60, 30, 0.04);
	options.least_shift = 0.08;
	assert_int_equal(change_points_find(values, 60, &options, &points), 0);
	options.least_shift = 0.02;
	assert_int_equal(change_points_find(values, 60, &options, &points), 1);
	free(points);
	gsl_rng_free(rng);
}

/* More spread alone is an effect on the statistic and not on the level. */
static void spread_alone_is_not_relevant(void **state)
{
	struct change_options options = options_for(499);
	gsl_rng *rng = noise_source(7);
	size_t found = 0;

	(void)state;
	options.least_shift = 0.05;
	for (size_t t = 0; t < 50; t++) {
		struct change_point *points = NULL;
		double values[60];

		for (size_t i = 0; i < 60; i++)
			values[i] = gsl_ran_gaussian(rng, i < 30 ? 0.01 : 0.05);
		found += change_points_find(values, 60, &options, &points);
		free(points);
	}
	assert_true(found <= 2);
	gsl_rng_free(rng);
}

/* Ten nights a side: nothing is said before. */
static void too_few_nights_say_nothing(void **state)
{
	const struct change_options options = options_for(999);
	gsl_rng *rng = noise_source(8);
	struct change_point point = {.index = 99}, *points = NULL;
	double values[40];

	(void)state;
	make_series(rng, NORMAL, values, 40, 25, 1);
	assert_false(change_point_best(values, 0, 19, &options, &point));
	assert_int_equal(point.index, 99);
	assert_int_equal(change_points_find(values, 19, &options, &points), 0);
	/* Ten nights after the step it is there. */
	assert_true(change_point_best(values, 0, 35, &options, &point));
	assert_int_equal(point.index, 25);
	assert_true(point.p_value < 0.01);
	gsl_rng_free(rng);
}

static void bad_series_are_refused(void **state)
{
	struct change_options options = options_for(99);
	struct change_point point, *points = NULL;
	double values[40] = {0}, same[40] = {0};

	(void)state;
	values[3] = NAN;
	assert_false(change_point_best(values, 0, 40, &options, &point));
	assert_int_equal(change_points_find(values, 40, &options, &points), 0);
	assert_false(change_point_best(same, 0, 40, &options, &point));
	assert_int_equal(change_points_find(same, 40, &options, &points), 0);
	assert_int_equal(change_points_find(same, 0, &options, &points), 0);
	assert_false(change_point_best(same, 20, 10, &options, &point));
	same[39] = 1;
	options.window = 19;
	assert_int_equal(change_points_find(same, 40, &options, &points), 0);
	assert_null(points);
}

/* Same seed, same answer, in whatever order; another scale, unit or sign moves no place. */
static void nothing_depends_on_chance_or_scale(void **state)
{
	struct change_options options = options_for(999);
	gsl_rng *rng = noise_source(9);
	struct change_point first, again, other;
	double values[60], scaled[60];

	(void)state;
	make_series(rng, NORMAL, values, 60, 28, 0.012);
	for (size_t i = 0; i < 60; i++)
		scaled[i] = 7 - 1000 * values[i];
	assert_true(change_point_best(values, 5, 55, &options, &first));
	assert_true(change_point_best(values, 0, 60, &options, &other));
	assert_true(change_point_best(values, 5, 55, &options, &again));
	assert_memory_equal(&first, &again, sizeof(first));
	assert_true(change_point_best(scaled, 5, 55, &options, &other));
	assert_int_equal(other.index, first.index);
	assert_near(other.p_value, first.p_value);
	assert_near(other.shift, -1000 * first.shift);
	gsl_rng_free(rng);
}

/* By hand: of the 6 ways to put {0, 0, 1, 1} on two sides, 2 have the largest statistic. */
static void the_statistic_is_exact(void **state)
{
	struct change_options options = options_for(4999);
	static const double values[] = {0, 0, 1, 1};
	struct change_point point;
	double sum = 0;

	(void)state;
	options.least_side = 2;
	options.window = 4;
	assert_true(change_point_best(values, 0, 4, &options, &point));
	assert_int_equal(point.index, 2);
	assert_near(point.shift, 1);
	assert_near(point.before, 0);
	assert_near(point.after, 1);
	for (options.seed = 0; options.seed < 100; options.seed++) {
		assert_true(change_point_best(values, 0, 4, &options, &point));
		sum += point.p_value;
	}
	/* A mean of 100 estimates of 1/3, each with a standard error of 0.2 of it, and h of l drawn
	 * is high by 1/h of it. */
	assert_true(fabs(sum / 100 - 1.0 / 3) < 0.04);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(false_positives_keep_their_level),
		cmocka_unit_test(a_t_test_at_the_place_found_does_not),
		cmocka_unit_test(steps_are_found_where_they_are),
		cmocka_unit_test(several_steps_in_a_long_history),
		cmocka_unit_test(outliers_are_no_change),
		cmocka_unit_test(small_shifts_are_not_relevant),
		cmocka_unit_test(spread_alone_is_not_relevant),
		cmocka_unit_test(too_few_nights_say_nothing),
		cmocka_unit_test(bad_series_are_refused),
		cmocka_unit_test(nothing_depends_on_chance_or_scale),
		cmocka_unit_test(the_statistic_is_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
