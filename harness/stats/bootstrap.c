/* Smoothed bootstrap of the median: see bootstrap.h. */
#include "harness/stats/bootstrap.h"
#include "harness/stats/allocate.h"
#include "harness/stats/summary.h"
#include "harness/base/cleanup.h"

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <gsl/gsl_sort.h>
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
		medians[i] = gsl_stats_median(sample, 1, n);
	}
	gsl_sort(medians, 1, BOOTSTRAP_RESAMPLES);
	return (struct interval){
		.low = gsl_stats_quantile_from_sorted_data(
			medians, 1, BOOTSTRAP_RESAMPLES, (1 - level) / 2),
		.high = gsl_stats_quantile_from_sorted_data(
			medians, 1, BOOTSTRAP_RESAMPLES, (1 + level) / 2),
		.level = level,
	};
}
