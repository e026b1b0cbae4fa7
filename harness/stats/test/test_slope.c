/* slope.h: exact lines, equivariance, too few trials, wild trials, shapes, coverage. */
#include "harness/stats/test/simulate.h"
#include "harness/stats/slope.h"
#include "harness/base/cleanup.h"

static const double sizes_mib[] = {256, 512, 1024, 2048, 4096};

/* `repeats` trials at each of the first `levels` sizes; y grows by `growth` over them, with noise
 * of that relative size. Returns the number of trials. */
static size_t simulate_trials(gsl_rng *rng, size_t levels, size_t repeats, double growth,
	double noise, double *x, double *y)
{
	double range = sizes_mib[levels - 1] - sizes_mib[0];

	for (size_t i = 0; i < levels * repeats; i++) {
		x[i] = sizes_mib[i % levels];
		y[i] = (1 + growth * (x[i] - sizes_mib[0]) / range) *
		       exp(gsl_ran_gaussian(rng, noise));
	}
	return levels * repeats;
}

static void exact_line(void **state)
{
	static const double x[] = {4, 1, 2, 3, 5, 6}, y[] = {11, 5, 7, 9, 13, 15};
	struct slope_estimate estimate;

	(void)state;
	assert_true(slope_fit(x, y, 6, 1, &estimate));
	assert_int_equal(estimate.n, 6);
	assert_near(estimate.slope, 2);
	assert_near(estimate.intercept, 3);
	assert_interval(estimate.interval, 2, 2);
	assert_near(estimate.growth, 2);
	assert_interval(estimate.growth_interval, 2, 2);
	assert_int_equal(slope_shape(&estimate, 0.1), SLOPE_GROWS);
}

static void constant_is_flat(void **state)
{
	static const double x[] = {1, 2, 4, 8, 16}, y[] = {210, 210, 210, 210, 210};
	struct slope_estimate estimate;

	(void)state;
	assert_true(slope_fit(x, y, 5, 1, &estimate));
	assert_interval(estimate.interval, 0, 0);
	assert_interval(estimate.growth_interval, 0, 0);
	assert_int_equal(slope_shape(&estimate, 0.05), SLOPE_FLAT);
}

static void too_few_trials_are_unbounded(void **state)
{
	static const double x[] = {1, 2, 3, 4, 5}, y[] = {1, 2, 3, 4, 5};
	/* 3 + 3 and 3 + 4 trials have 20 and 35 orders: 2 of them are more than 5 %; 4 + 4 have 70.
	 */
	static const double two_sizes[] = {1, 2, 1, 2, 1, 2, 2, 1};
	static const double noise[] = {1, 2, 1.1, 2.1, 1.2, 2.2, 2.3, 1.3};
	struct slope_estimate estimate;

	(void)state;
	for (size_t n = 2; n < 5; n++) {
		assert_true(slope_fit(x, y, n, 1, &estimate));
		assert_near(estimate.slope, 1);
		assert_interval(estimate.interval, -INFINITY, INFINITY);
		assert_int_equal(slope_shape(&estimate, 0.1), SLOPE_UNDECIDED);
	}
	assert_true(slope_fit(x, y, 5, 1, &estimate));
	assert_true(interval_is_bounded(estimate.interval));
	for (size_t n = 6; n <= 8; n++) {
		assert_true(slope_fit(two_sizes, noise, n, 1, &estimate));
		assert_int_equal(interval_is_bounded(estimate.interval), n == 8);
	}
}

static void bad_figures_are_refused(void **state)
{
	static const double x[] = {1, 2, 3}, same[] = {2, 2, 2}, y[] = {1, NAN, 3};
	struct slope_estimate estimate = {.n = 99};

	(void)state;
	assert_false(slope_fit(same, x, 3, 1, &estimate));
	assert_false(slope_fit(x, y, 3, 1, &estimate));
	assert_false(slope_fit(y, x, 3, 1, &estimate));
	assert_false(slope_fit(x, x, 1, 1, &estimate));
	assert_false(slope_fit(x, x, SLOPE_MAX + 1, 1, &estimate));
	assert_int_equal(estimate.n, 99);
}

static void no_growth_without_positive_figures(void **state)
{
	static const double x[] = {1, 2, 3, 4, 5, 6}, y[] = {0, 1, 2, 3, 4, 5};
	struct slope_estimate estimate;

	(void)state;
	assert_true(slope_fit(x, y, 6, 1, &estimate));
	assert_interval(estimate.interval, 1, 1);
	assert_true(isnan(estimate.growth));
	assert_int_equal(slope_shape(&estimate, 0.1), SLOPE_UNDECIDED);
}

/* Units do not matter, nor does the order of trials; a mirrored x turns growth g into 1/(1+g)-1. */
static void equivariance(void **state)
{
	gsl_rng *rng = noise_source(11);
	double x[15], y[15], u[15], v[15], mirrored[15];
	struct slope_estimate plain, other;
	size_t n = simulate_trials(rng, 5, 3, 0.5, 0.03, x, y);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		u[i] = 1000 * x[(i * 7 + 3) % n] + 50;
		v[i] = 0.2 * y[(i * 7 + 3) % n];
		mirrored[i] = 5000 - x[i];
	}
	assert_true(slope_fit(x, y, n, 1, &plain));
	assert_true(slope_fit(u, v, n, 1, &other));
	assert_near(other.growth, plain.growth);
	assert_near(other.slope * 5000, plain.slope);
	assert_true(slope_fit(mirrored, y, n, 1, &other));
	assert_near(other.slope, -plain.slope);
	assert_near(other.growth, 1 / (1 + plain.growth) - 1);
	assert_true(slope_fit(x, y, n, 1, &other));
	assert_interval(
		other.growth_interval, plain.growth_interval.low, plain.growth_interval.high);
	gsl_rng_free(rng);
}

static void shapes(void **state)
{
	static const struct {
		double growth, noise;
		enum slope_shape expected;
	} cases[] = {
		{0, 0.01, SLOPE_FLAT},
		{0, 0.3, SLOPE_UNDECIDED}, /* noise is not flatness */
		{0.03, 0.002, SLOPE_FLAT}, /* surely not 0, and surely within tolerance */
		{15, 0.05, SLOPE_GROWS},
		{-0.5, 0.05, SLOPE_SHRINKS},
	};
	gsl_rng *rng = noise_source(12);

	(void)state;
	for (size_t c = 0; c < ARRAY_SIZE(cases); c++) {
		double x[15], y[15];
		struct slope_estimate estimate;
		size_t n = simulate_trials(rng, 5, 3, cases[c].growth, cases[c].noise, x, y);

		assert_true(slope_fit(x, y, n, 1, &estimate));
		assert_int_equal(slope_shape(&estimate, 0.1), cases[c].expected);
	}
	gsl_rng_free(rng);
}

/* Steeper than any line that is positive at the smallest size: growth without bound, not negative.
 */
static void steeper_than_a_line(void **state)
{
	static const double x[] = {1, 2, 3, 4, 5, 6}, y[] = {1, 32, 243, 1024, 3125, 7776};
	static const double falling[] = {7776, 3125, 1024, 243, 32, 1};
	struct slope_estimate estimate;

	(void)state;
	assert_true(slope_fit(x, y, 6, 1, &estimate));
	assert_near(estimate.growth, INFINITY);
	assert_near(estimate.growth_interval.high, INFINITY);
	assert_int_equal(slope_shape(&estimate, 0.1), SLOPE_GROWS);
	assert_true(slope_fit(x, falling, 6, 1, &estimate));
	assert_near(estimate.growth, -1);
	assert_int_equal(slope_shape(&estimate, 0.1), SLOPE_SHRINKS);
}

static void a_wild_trial_moves_little(void **state)
{
	gsl_rng *rng = noise_source(13);
	double x[15], y[15];
	struct slope_estimate estimate;
	size_t n = simulate_trials(rng, 5, 3, 0, 0.01, x, y);

	(void)state;
	y[4] *= 50; /* at the largest size, where it has most leverage */
	assert_true(slope_fit(x, y, n, 1, &estimate));
	assert_true(fabs(estimate.growth) < 0.03);
	assert_false(interval_excludes(estimate.growth_interval, 0));
	gsl_rng_free(rng);
}

/*
 * The permutation test is exact up to its steps: with 5 trials at distinct sizes the rate of
 * rejection is 2/120 to 5/120 steps below 5 %, with more trials it is close to 5 %. So the true
 * coverage lies in 0.945 (critical value from a finite number of permutations) to 0.975.
 */
static void coverage(void **state)
{
	static const struct {
		size_t levels, repeats;
		double growth;
	} cases[] = {{5, 1, 0}, {3, 3, 0}, {4, 3, 0.3}, {5, 3, 5}};
	gsl_rng *rng = noise_source(14);

	(void)state;
	for (size_t c = 0; c < ARRAY_SIZE(cases); c++) {
		size_t growth_hits = 0, slope_hits = 0, trials = 600;
		double range = sizes_mib[cases[c].levels - 1] - sizes_mib[0];

		for (size_t k = 0; k < trials; k++) {
			double x[15], y[15];
			struct slope_estimate estimate;
			size_t n = simulate_trials(rng, cases[c].levels, cases[c].repeats,
				cases[c].growth, 0.05, x, y);

			assert_true(slope_fit(x, y, n, k, &estimate));
			growth_hits +=
				!interval_excludes(estimate.growth_interval, cases[c].growth);
			slope_hits +=
				!interval_excludes(estimate.interval, cases[c].growth / range);
		}
		assert_rate(growth_hits, trials, 0.945, 0.975);
		/* Noise is a percentage here: the slope's interval is only for noise of one size.
		 */
		if (cases[c].growth < 1)
			assert_rate(slope_hits, trials, 0.93, 0.975);
	}
	gsl_rng_free(rng);
}

enum { SIZES = 5, FEW = 8 };

/* A trial that measures all sizes: a boot grows by 30 % give or take 15, and its points hardly
 * differ from its line. */
static void simulate_boot(gsl_rng *rng, double *x, double *y)
{
	double growth = 1.3 * exp(gsl_ran_gaussian(rng, 0.15)) - 1;

	simulate_trials(rng, SIZES, 1, growth, 0.01, x, y);
}

/* The interval of so many boots holds the true growth; taking their points for trials does not. */
static void points_of_one_trial_are_no_trials(void **state)
{
	gsl_rng *rng = noise_source(16);
	size_t hits = 0, point_hits = 0, runs = 600;

	(void)state;
	for (size_t k = 0; k < runs; k++) {
		double x[FEW * SIZES], y[FEW * SIZES], growths[FEW];
		struct slope_estimate each, points;

		for (size_t trial = 0; trial < FEW; trial++) {
			simulate_boot(rng, x + trial * SIZES, y + trial * SIZES);
			assert_true(slope_growth(
				x + trial * SIZES, y + trial * SIZES, SIZES, &growths[trial]));
		}
		assert_true(slope_of_growths(growths, FEW, INTERVAL_LEVEL, &each));
		assert_true(slope_fit(x, y, FEW * SIZES, k, &points));
		hits += !interval_excludes(each.growth_interval, 0.3);
		point_hits += !interval_excludes(points.growth_interval, 0.3);
	}
	print_message("coverage: of trials %.1f %%, of their points %.1f %%\n",
		100.0 * (double)hits / (double)runs, 100.0 * (double)point_hits / (double)runs);
	assert_rate(hits, runs, 0.945, 0.97);
	assert_true(point_hits * 100 < runs * 90);
	gsl_rng_free(rng);
}

static void growths_of_few_or_steep_trials(void **state)
{
	static const double growths[] = {0.1, 0.2, -1, INFINITY, 0.3, 0.25, 0.15};
	static const double x[] = {1, 2}, zero[] = {0, 1}, up[] = {2, 3};
	struct slope_estimate estimate;
	double growth = 7;

	(void)state;
	for (size_t n = 1; n <= 5; n++) {
		assert_true(slope_of_growths(growths, n, INTERVAL_LEVEL, &estimate));
		assert_interval(estimate.growth_interval, -1, INFINITY);
		assert_int_equal(slope_shape(&estimate, 0.25), SLOPE_UNDECIDED);
		assert_true(isnan(slope_forecast(&estimate, SLOPE_WHICH_SHAPE, 0.25)));
	}
	assert_true(slope_of_growths(growths, 7, INTERVAL_LEVEL, &estimate));
	assert_near(estimate.growth, 0.2);
	assert_true(interval_is_bounded(estimate.growth_interval));
	assert_false(slope_of_growths(growths, 0, INTERVAL_LEVEL, &estimate));
	assert_true(slope_growth(x, up, 2, &growth));
	assert_near(growth, 0.5);
	assert_false(slope_growth(x, zero, 2, &growth));
	assert_false(slope_growth(up, x, 1, &growth));
	assert_false(slope_growth((double[]){1, 1}, up, 2, &growth));
	assert_near(growth, 0.5);
}

/* What the forecast asks for decides about four times in five. */
static void forecasts_are_kept(void **state)
{
	gsl_rng *rng = noise_source(15);
	size_t asked = 0, kept = 0;

	(void)state;
	for (size_t k = 0; k < 400; k++) {
		double x[60], y[60], times;
		struct slope_estimate estimate;
		size_t n = simulate_trials(rng, 5, 2, 0.15, 0.06, x, y), repeats;

		assert_true(slope_fit(x, y, n, k, &estimate));
		times = slope_forecast(&estimate, SLOPE_WHICH_SHAPE, 0.05);
		if (slope_shape(&estimate, 0.05) != SLOPE_UNDECIDED) {
			assert_near(times, 1);
			continue;
		}
		assert_true(times >= 1);
		repeats = (size_t)ceil(2 * times);
		if (!isfinite(times) || repeats > 12)
			continue;
		asked++;
		n = simulate_trials(rng, 5, repeats, 0.15, 0.06, x, y);
		assert_true(slope_fit(x, y, n, k, &estimate));
		kept += slope_shape(&estimate, 0.05) == SLOPE_GROWS;
	}
	print_message("%zu of %zu forecasts kept\n", kept, asked);
	assert_true(asked > 100);
	assert_rate(kept, asked, 0.6, 0.95);
	gsl_rng_free(rng);
}

static void forecasts_that_say_nothing(void **state)
{
	struct slope_estimate estimate = {
		.n = 4, .growth = 0.1, .growth_interval = {-INFINITY, INFINITY, 0.95}};

	(void)state;
	assert_true(isnan(slope_forecast(&estimate, SLOPE_WHICH_SHAPE, 0.05)));
	estimate.growth_interval = (struct interval){0, 0.2, 0.95};
	assert_true(isinf(slope_forecast(&estimate, SLOPE_WHICH_SHAPE, 0.1)));
	/* Half as wide would just reach: 4 times as many, and more to be safe. */
	estimate.growth = 0.05;
	estimate.growth_interval = (struct interval){-0.05, 0.15, 0.95};
	assert_true(slope_forecast(&estimate, SLOPE_WHICH_SHAPE, 0) > 8 &&
		    slope_forecast(&estimate, SLOPE_WHICH_SHAPE, 0) < 9);
	estimate.growth = NAN;
	assert_true(isnan(slope_forecast(&estimate, SLOPE_WHICH_SHAPE, 0.1)));
}

/* Whether it grows is a matter of one limit: how far it may have shrunk is none of the question's.
 */
static void whether_it_grows_has_one_limit(void **state)
{
	struct slope_estimate estimate = {
		.n = 12, .growth = -0.30, .growth_interval = {-0.60, 0.28, 0.95}};
	double grows, shape;

	(void)state;
	grows = slope_forecast(&estimate, SLOPE_WHETHER_GROWS, 0.25);
	shape = slope_forecast(&estimate, SLOPE_WHICH_SHAPE, 0.25);
	assert_true(grows > 2 && grows < 3);
	assert_true(shape > 100);
	assert_false(slope_decides(&estimate, SLOPE_WHETHER_GROWS, 0.25));
	/* Neither flat nor shrinking for sure, but surely not growing. */
	estimate.growth_interval.high = 0.24;
	assert_true(slope_decides(&estimate, SLOPE_WHETHER_GROWS, 0.25));
	assert_false(slope_decides(&estimate, SLOPE_WHICH_SHAPE, 0.25));
	assert_near(slope_forecast(&estimate, SLOPE_WHETHER_GROWS, 0.25), 1);
	/* Above the limit it is the lower end that must clear it, whatever is asked. */
	estimate.growth = 0.5;
	estimate.growth_interval = (struct interval){0.2, 0.8, 0.95};
	assert_near(slope_forecast(&estimate, SLOPE_WHETHER_GROWS, 0.25),
		slope_forecast(&estimate, SLOPE_WHICH_SHAPE, 0.25));
	estimate.growth = 0.25;
	assert_true(isinf(slope_forecast(&estimate, SLOPE_WHETHER_GROWS, 0.25)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exact_line),
		cmocka_unit_test(constant_is_flat),
		cmocka_unit_test(too_few_trials_are_unbounded),
		cmocka_unit_test(bad_figures_are_refused),
		cmocka_unit_test(no_growth_without_positive_figures),
		cmocka_unit_test(equivariance),
		cmocka_unit_test(shapes),
		cmocka_unit_test(steeper_than_a_line),
		cmocka_unit_test(a_wild_trial_moves_little),
		cmocka_unit_test(coverage),
		cmocka_unit_test(points_of_one_trial_are_no_trials),
		cmocka_unit_test(growths_of_few_or_steep_trials),
		cmocka_unit_test(forecasts_are_kept),
		cmocka_unit_test(forecasts_that_say_nothing),
		cmocka_unit_test(whether_it_grows_has_one_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
