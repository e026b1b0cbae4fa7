/* Smoothed bootstrap of the median: see bootstrap.h. */
#include "harness/stats/bootstrap.h"
#include "harness/stats/allocate.h"
#include "harness/stats/summary.h"
#include "harness/base/cleanup.h"

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>

DEFINE_CLEANUP(rng, gsl_rng *, gsl_rng_free)

static bool all_finite(const double *values, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!isfinite(values[i]))
			return false;
	}
	return true;
}

/* No interval inside the range of n values holds the median with more than 1 - 2^(1-n). */
static bool enough_for(size_t n, double level)
{
	return level > 0 && level < 1 && n > 0 && ldexp(1, 1 - (int)n) <= 1 - level;
}

/* Up to here sorting by insertion beats GSL's selection, which is made for large samples. */
#define SMALL 32

/* The median; changes the order of `sample`. */
static double median_of(double *sample, size_t n)
{
	if (n > SMALL)
		return gsl_stats_median(sample, 1, n);
	for (size_t i = 1; i < n; i++) {
		double value = sample[i];
		size_t j = i;

		for (; j > 0 && sample[j - 1] > value; j--)
			sample[j] = sample[j - 1];
		sample[j] = value;
	}
	return n % 2 ? sample[n / 2] : (sample[n / 2 - 1] + sample[n / 2]) / 2;
}

/* gsl_stats_quantile_from_sorted_data() without the sorting, which would take as long as drawing;
 * changes the order of `values`. */
static double quantile_of(double *values, size_t n, double p)
{
	double position = (double)(n - 1) * p;
	size_t below = (size_t)position;
	double share = position - (double)below;
	double low = gsl_stats_select(values, 1, n, below);

	if (below + 1 == n)
		return low;
	return (1 - share) * low + share * gsl_stats_select(values, 1, n, below + 1);
}

struct interval bootstrap_median(const double *values, size_t n, double level, unsigned long seed)
{
	_cleanup_(cleanup_rng) gsl_rng *rng = NULL;
	_cleanup_free_ double *sample = NULL;
	double medians[BOOTSTRAP_RESAMPLES];
	double noise;

	if (!enough_for(n, level) || !all_finite(values, n))
		return interval_unbounded(level);
	rng = gsl_rng_alloc(gsl_rng_mt19937);
	sample = allocate(n, sizeof(*sample));
	noise = stats_scatter(values, n) / sqrt((double)n);
	gsl_rng_set(rng, seed);
	for (size_t i = 0; i < BOOTSTRAP_RESAMPLES; i++) {
		for (size_t j = 0; j < n; j++)
			sample[j] = values[gsl_rng_uniform_int(rng, n)] +
				    gsl_ran_gaussian_ziggurat(rng, noise);
		medians[i] = median_of(sample, n);
	}
	return (struct interval){
		.low = quantile_of(medians, BOOTSTRAP_RESAMPLES, (1 - level) / 2),
		.high = quantile_of(medians, BOOTSTRAP_RESAMPLES, (1 + level) / 2),
		.level = level,
	};
}
