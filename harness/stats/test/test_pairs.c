/* pairs.h: known answers, symmetries, an independent count of sign flips, coverage, forecasts. */
#include "harness/stats/test/simulate.h"
#include "harness/stats/pairs.h"
#include "harness/base/cleanup.h"

#include <string.h>

/* A ratio of `effect` with log-normal noise of relative size `noise` on both sides. */
static void simulate_pairs(
	gsl_rng *rng, double effect, double noise, size_t n, double *subject, double *baseline)
{
	for (size_t i = 0; i < n; i++) {
		double block = exp(gsl_ran_gaussian(rng, 0.5));

		subject[i] = effect * block * exp(gsl_ran_gaussian(rng, noise));
		baseline[i] = block * exp(gsl_ran_gaussian(rng, noise));
	}
}

static void known_answer(void **state)
{
	/* Log ratios ln 2 times -1 1 2 3 4 5 6 7. Walsh averages in units of ln 2, ascending: -1,
	 * 0, 0.5, 1, ...; |T| >= 30 has a chance of 10/256, so the interval is from the 4th lowest
	 * to the 4th highest. T+ = 34.5 of 36 with 1 and -1 tied at rank 1.5. */
	static const double subject[] = {0.5, 2, 4, 8, 16, 32, 64, 128};
	static const double baseline[] = {1, 1, 1, 1, 1, 1, 1, 1};
	struct ratio_estimate estimate;

	(void)state;
	assert_true(pairs_ratio(subject, baseline, 8, &estimate));
	assert_int_equal(estimate.n, 8);
	assert_near(estimate.median, exp2(3.5));
	assert_interval(estimate.interval, exp2(1), exp2(6));
	/* 3 of the 256 flips go as far: all plus, or one of the tied two minus. As many on the
	 * other side. */
	assert_near(estimate.p_value, 6.0 / 256);
	assert_near(estimate.interval.level, 0.95);
}

static void fewest_pairs_that_decide(void **state)
{
	static const double subject[] = {2.0, 2.1, 2.2, 2.3, 2.4, 2.5, 2.6, 2.7};
	static const double baseline[] = {1, 1, 1, 1, 1, 1, 1, 1};
	struct ratio_estimate estimate;

	(void)state;
	for (size_t n = 1; n < 6; n++) {
		assert_true(pairs_ratio(subject, baseline, n, &estimate));
		assert_interval(estimate.interval, 0, INFINITY);
		assert_near(estimate.p_value, exp2(1 - (double)n));
		assert_int_equal(pairs_forecast(&estimate, 1), 6 - n);
	}
	assert_true(pairs_ratio(subject, baseline, 6, &estimate));
	assert_interval(estimate.interval, 2.0, 2.5);
	assert_int_equal(pairs_forecast(&estimate, 1), 0);
	assert_true(pairs_ratio(subject, baseline, 8, &estimate));
	assert_true(estimate.p_value < 0.01);
}

static void bad_figures_are_refused(void **state)
{
	static const double good[] = {1, 2, 3};
	static const double bad[] = {0, -1, NAN, INFINITY};
	struct ratio_estimate estimate = {.n = 99};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		double values[] = {1, bad[i], 3};

		assert_false(pairs_ratio(good, values, 3, &estimate));
		assert_false(pairs_ratio(values, good, 3, &estimate));
	}
	assert_false(pairs_ratio(good, good, 0, &estimate));
	assert_false(pairs_ratio(good, good, PAIRS_MAX + 1, &estimate));
	assert_int_equal(estimate.n, 99);
}

static void equal_figures_are_a_ratio_of_one(void **state)
{
	static const double values[] = {4, 5, 6, 7, 8, 9};
	struct ratio_estimate estimate;

	(void)state;
	assert_true(pairs_ratio(values, values, 6, &estimate));
	assert_near(estimate.median, 1);
	assert_near(estimate.p_value, 1);
	assert_interval(estimate.interval, 1, 1);
	assert_int_equal(pairs_forecast(&estimate, 1), PAIRS_UNLIKELY);
	assert_int_equal(pairs_forecast(&estimate, 1.1), 0);
}

static void symmetries(void **state)
{
	gsl_rng *rng = noise_source(3);

	(void)state;
	for (size_t n = 6; n <= 30; n += 3) {
		double subject[30], baseline[30], shuffled_s[30], shuffled_b[30], scaled[30];
		struct ratio_estimate plain, swapped, shuffled, larger;

		simulate_pairs(rng, 1.3, 0.2, n, subject, baseline);
		for (size_t i = 0; i < n; i++) {
			shuffled_s[i] = subject[(i * 7 + 2) % n];
			shuffled_b[i] = baseline[(i * 7 + 2) % n];
			scaled[i] = 1e6 * subject[i];
		}
		assert_true(pairs_ratio(subject, baseline, n, &plain));
		assert_true(pairs_ratio(baseline, subject, n, &swapped));
		assert_near(swapped.median, 1 / plain.median);
		assert_interval(swapped.interval, 1 / plain.interval.high, 1 / plain.interval.low);
		assert_near(swapped.p_value, plain.p_value);
		assert_near(swapped.log_scatter, plain.log_scatter);
		assert_true(pairs_ratio(scaled, baseline, n, &larger));
		assert_interval(
			larger.interval, 1e6 * plain.interval.low, 1e6 * plain.interval.high);
		/* Stepping by 7 visits every pair once unless 7 divides n. */
		if (n % 7 == 0)
			continue;
		assert_true(pairs_ratio(shuffled_s, shuffled_b, n, &shuffled));
		assert_interval(shuffled.interval, plain.interval.low, plain.interval.high);
		assert_near(shuffled.median, plain.median);
		assert_near(shuffled.p_value, plain.p_value);
	}
	gsl_rng_free(rng);
}

/* The mean rank of |values[i]|; n is small. */
static double mean_rank(const double *values, size_t n, size_t i)
{
	double rank = 0.5;

	for (size_t j = 0; j < n; j++)
		rank += fabs(values[j]) < fabs(values[i])    ? 1
			: fabs(values[j]) == fabs(values[i]) ? 0.5
							     : 0;
	return rank;
}

/* The p-value as defined: all 2^n ways to give the differences signs, one by one. */
static double p_value_by_enumeration(const double *values, size_t n)
{
	double observed = 0;
	size_t extreme = 0;

	for (size_t i = 0; i < n; i++)
		observed += mean_rank(values, n, i) * ((values[i] > 0) - (values[i] < 0));
	for (size_t flips = 0; flips < (size_t)1 << n; flips++) {
		double statistic = 0;

		for (size_t i = 0; i < n; i++)
			statistic += mean_rank(values, n, i) * (values[i] != 0) *
				     (flips >> i & 1 ? -1 : 1);
		extreme += fabs(statistic) >= fabs(observed) - 1e-9;
	}
	return (double)extreme / exp2((double)n);
}

static void p_value_counts_sign_flips(void **state)
{
	gsl_rng *rng = noise_source(4);

	(void)state;
	for (size_t k = 0; k < 40; k++) {
		double values[9];
		size_t n = 1 + k % 9;

		/* Every other sample is coarse, with ties and zeros. */
		for (size_t i = 0; i < n; i++) {
			values[i] = gsl_ran_gaussian(rng, 2) + 1;
			if (k & 1)
				values[i] = round(values[i]);
		}
		assert_near(pairs_p_value(values, n), p_value_by_enumeration(values, n));
	}
	gsl_rng_free(rng);
}

/* Known rates: 1 - 2 P(T+ <= c) from tables of the signed-rank distribution, e.g. c = 3 and 5/256
 * for 8 pairs. Neighbouring critical values differ by more than the band at all of these sizes. */
static void coverage_is_exact(void **state)
{
	static const struct {
		size_t n;
		double coverage;
	} known[] = {
		{6, 1 - 2 / 64.0}, {7, 1 - 6 / 128.0}, {8, 1 - 10 / 256.0}, {10, 1 - 50 / 1024.0}};
	gsl_rng *rng = noise_source(5);

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(known); s++) {
		size_t normal = 0, heavy = 0, trials = 6000, n = known[s].n;

		for (size_t k = 0; k < trials; k++) {
			double a[10], b[10];

			for (size_t i = 0; i < n; i++) {
				a[i] = gsl_ran_gaussian(rng, 1);
				b[i] = gsl_ran_cauchy(rng, 1);
			}
			normal += !interval_excludes(pairs_interval(a, n, 0.95), 0);
			heavy += !interval_excludes(pairs_interval(b, n, 0.95), 0);
		}
		assert_rate(normal, trials, known[s].coverage, known[s].coverage);
		assert_rate(heavy, trials, known[s].coverage, known[s].coverage);
	}
	gsl_rng_free(rng);
}

/* The whole way, with an effect: 95 to 97 % of the intervals hold the true ratio, at every size. */
static void ratio_coverage(void **state)
{
	static const size_t sizes[] = {6, 12, 20, 30};
	gsl_rng *rng = noise_source(6);

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
		size_t hits = 0, trials = 600;

		for (size_t k = 0; k < trials; k++) {
			double subject[30], baseline[30];
			struct ratio_estimate estimate;

			simulate_pairs(rng, 0.7, 0.1, sizes[s], subject, baseline);
			assert_true(pairs_ratio(subject, baseline, sizes[s], &estimate));
			hits += !interval_excludes(estimate.interval, 0.7);
		}
		assert_rate(hits, trials, 0.95, 0.97);
	}
	gsl_rng_free(rng);
}

/* A against A: 1 is excluded in as many cases as the p-value says, and in the same ones. */
static void false_positives(void **state)
{
	gsl_rng *rng = noise_source(7);
	size_t excluded = 0, trials = 6000;

	(void)state;
	for (size_t k = 0; k < trials; k++) {
		double differences[12];
		size_t n = 6 + k % 7;
		bool outside;

		for (size_t i = 0; i < n; i++)
			differences[i] = gsl_ran_gaussian(rng, 0.1) - gsl_ran_gaussian(rng, 0.1);
		outside = interval_excludes(pairs_interval(differences, n, 0.95), 0);
		assert_int_equal(outside, pairs_p_value(differences, n) <= 0.05);
		excluded += outside;
	}
	/* The mean of the exact rates at 6 to 12 pairs is 0.042. */
	assert_rate(excluded, trials, 0.042, 0.042);
	gsl_rng_free(rng);
}

/* Above PAIRS_EXACT the normal limit takes over: no step where it does. */
static void many_pairs(void **state)
{
	gsl_rng *rng = noise_source(8);
	double differences[PAIRS_EXACT + 1];
	struct interval exact, limit;
	double p_exact, p_limit;

	(void)state;
	for (size_t i = 0; i < PAIRS_EXACT; i++)
		differences[i] = gsl_ran_gaussian(rng, 1) + 0.15;
	differences[PAIRS_EXACT] = 0.15;
	exact = pairs_interval(differences, PAIRS_EXACT, 0.95);
	limit = pairs_interval(differences, PAIRS_EXACT + 1, 0.95);
	p_exact = pairs_p_value(differences, PAIRS_EXACT);
	p_limit = pairs_p_value(differences, PAIRS_EXACT + 1);
	assert_true(fabs(exact.low - limit.low) < 0.01 && fabs(exact.high - limit.high) < 0.01);
	assert_true(fabs(p_exact - p_limit) < 0.01 + 0.2 * p_exact);
	gsl_rng_free(rng);
}

/* Two of twelve pairs are nonsense; the interval stays where the others are. */
static void wild_pairs(void **state)
{
	double subject[] = {1.50, 1.51, 1.49, 1.52, 1.48, 1.50, 1.53, 1.47, 1.51, 1.49, 400, 0.001};
	double baseline[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
	struct ratio_estimate estimate;

	(void)state;
	assert_true(pairs_ratio(subject, baseline, 12, &estimate));
	assert_true(estimate.interval.low > 1.4 && estimate.interval.high < 1.6);
	assert_true(estimate.p_value < 0.05);
}

/* Follows forecasts: after as many pairs as were asked for, most experiments are decided, and
 * the forecast is not idly large: with half of them, clearly fewer are. */
static void forecast_is_kept(void **state)
{
	enum { BEGUN = 7, MOST = 150 };
	gsl_rng *rng = noise_source(9);
	size_t asked = 0, kept = 0, kept_by_half = 0;

	(void)state;
	for (size_t k = 0; k < 500; k++) {
		double differences[BEGUN + MOST];
		struct ratio_estimate estimate = {.n = BEGUN};
		double subject[BEGUN], baseline[BEGUN];
		size_t more;

		for (size_t i = 0; i < BEGUN + MOST; i++)
			differences[i] = 0.05 + gsl_ran_gaussian(rng, 0.06);
		for (size_t i = 0; i < BEGUN; i++) {
			subject[i] = exp(differences[i]);
			baseline[i] = 1;
		}
		assert_true(pairs_ratio(subject, baseline, BEGUN, &estimate));
		more = pairs_forecast(&estimate, 1);
		assert_int_equal(more == 0, interval_excludes(estimate.interval, 1));
		if (more == 0 || more > MOST)
			continue;
		asked++;
		kept += interval_excludes(pairs_interval(differences, BEGUN + more, 0.95), 0);
		kept_by_half +=
			interval_excludes(pairs_interval(differences, BEGUN + more / 2, 0.95), 0);
	}
	assert_true(asked > 100);
	assert_rate(kept, asked, 0.7, 0.9);
	assert_true(kept_by_half < kept);
	gsl_rng_free(rng);
}

static void forecast_grows_with_scatter(void **state)
{
	struct ratio_estimate estimate = {
		.n = 8, .median = 1.05, .interval = {.low = 0.5, .high = 2, .level = 0.95}};
	size_t last = 0;

	(void)state;
	for (double scatter = 0.05; scatter < 0.5; scatter *= 1.5) {
		size_t more;

		estimate.log_scatter = scatter;
		more = pairs_forecast(&estimate, 1);
		assert_true(more > last && more < PAIRS_UNLIKELY);
		last = more;
	}
	/* Scatter as large as the effect takes 11: (t(0.975, 10) + 0.842)^2 / 0.955 = 9.9 is less,
	 * (t(0.975, 9) + 0.842)^2 / 0.955 = 10.1 is more than 10. */
	estimate.log_scatter = log(1.05);
	assert_int_equal(pairs_forecast(&estimate, 1), 3);
	estimate.log_scatter = 5;
	assert_int_equal(pairs_forecast(&estimate, 1), PAIRS_UNLIKELY);
	assert_int_equal(pairs_forecast(&estimate, 3), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_answer),
		cmocka_unit_test(fewest_pairs_that_decide),
		cmocka_unit_test(bad_figures_are_refused),
		cmocka_unit_test(equal_figures_are_a_ratio_of_one),
		cmocka_unit_test(symmetries),
		cmocka_unit_test(p_value_counts_sign_flips),
		cmocka_unit_test(coverage_is_exact),
		cmocka_unit_test(ratio_coverage),
		cmocka_unit_test(false_positives),
		cmocka_unit_test(many_pairs),
		cmocka_unit_test(wild_pairs),
		cmocka_unit_test(forecast_is_kept),
		cmocka_unit_test(forecast_grows_with_scatter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
