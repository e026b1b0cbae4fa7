/* Summaries of one sample: see summary.h. Works on sorted copies and never changes its input. */
#include "harness/stats/summary.h"
#include "harness/stats/allocate.h"
#include "harness/base/cleanup.h"

#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

/* 1 / Phi^-1(3/4), and sqrt(pi / 2): what makes MAD and mean absolute deviation estimate sigma. */
static const double sigma_per_mad = 1.482602218505602;
static const double sigma_per_mean_deviation = 1.2533141373155;

static double *sorted_copy(const double *values, size_t n)
{
	double *copy = allocate(n, sizeof(*copy));

	memcpy(copy, values, n * sizeof(*copy));
	gsl_sort(copy, 1, n);
	return copy;
}

static bool usable(const double *values, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (isnan(values[i]))
			return false;
	}
	return n > 0;
}

double stats_quantile(const double *values, size_t n, double p)
{
	_cleanup_free_ double *sorted = NULL;

	if (!usable(values, n) || !(p >= 0 && p <= 1))
		return NAN;
	sorted = sorted_copy(values, n);
	return gsl_stats_quantile_from_sorted_data(sorted, 1, n, p);
}

double stats_median(const double *values, size_t n)
{
	_cleanup_free_ double *sorted = NULL;

	if (!usable(values, n))
		return NAN;
	sorted = sorted_copy(values, n);
	return gsl_stats_median_from_sorted_data(sorted, 1, n);
}

double stats_mad(const double *values, size_t n)
{
	_cleanup_free_ double *deviations = NULL;
	double median = stats_median(values, n);

	if (isnan(median))
		return NAN;
	deviations = sorted_copy(values, n);
	for (size_t i = 0; i < n; i++)
		deviations[i] = fabs(deviations[i] - median);
	return sigma_per_mad * stats_median(deviations, n);
}

double stats_scatter(const double *values, size_t n)
{
	_cleanup_free_ double *sorted = NULL;
	_cleanup_free_ double *work = NULL;
	_cleanup_free_ int *work_int = NULL;
	double qn;

	if (n < 2 || !usable(values, n))
		return NAN;
	sorted = sorted_copy(values, n);
	work = allocate(3 * n, sizeof(*work));
	work_int = allocate(5 * n, sizeof(*work_int));
	qn = gsl_stats_Qn_from_sorted_data(sorted, 1, n, work, work_int);
	return qn > 0 ? qn : gsl_stats_sd(values, 1, n);
}

void summary_compute(const double *values, size_t n, struct summary *out)
{
	*out = (struct summary){.n = n,
		.min = NAN,
		.max = NAN,
		.mean = NAN,
		.median = stats_median(values, n),
		.mad = stats_mad(values, n),
		.quartile_1 = stats_quantile(values, n, 0.25),
		.quartile_3 = stats_quantile(values, n, 0.75)};
	if (!usable(values, n))
		return;
	gsl_stats_minmax(&out->min, &out->max, values, 1, n);
	out->mean = gsl_stats_mean(values, 1, n);
}

/* The finite values of a sample; returns how many. */
static size_t keep_finite(const double *values, size_t n, double *kept)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		if (isfinite(values[i]))
			kept[count++] = values[i];
	}
	return count;
}

/* What one unit of modified z-score is worth, in the unit of the values; 0 if all are equal. */
static double outlier_unit(const double *values, size_t n, double median)
{
	double mad = stats_mad(values, n);

	if (mad > 0)
		return mad;
	return sigma_per_mean_deviation * gsl_stats_absdev_m(values, 1, n, median);
}

size_t outliers_flag(const double *values, size_t n, struct outlier *flags)
{
	_cleanup_free_ double *finite = allocate(n, sizeof(*finite));
	double median = NAN, unit = 0;
	size_t finite_count, flagged = 0;

	finite_count = keep_finite(values, n, finite);
	if (finite_count >= OUTLIER_MIN_VALUES) {
		median = stats_median(finite, finite_count);
		unit = outlier_unit(finite, finite_count, median);
	}
	for (size_t i = 0; i < n; i++) {
		flags[i] = (struct outlier){.reason = OUTLIER_NONE};
		if (!isfinite(values[i]))
			flags[i] = (struct outlier){.reason = OUTLIER_NOT_FINITE, .z = NAN};
		else if (unit > 0)
			flags[i].z = (values[i] - median) / unit;
		if (flags[i].z > OUTLIER_Z)
			flags[i].reason = OUTLIER_HIGH;
		else if (flags[i].z < -OUTLIER_Z)
			flags[i].reason = OUTLIER_LOW;
		flagged += flags[i].reason != OUTLIER_NONE;
	}
	return flagged;
}

const char *outlier_reason_text(enum outlier_reason reason)
{
	switch (reason) {
	case OUTLIER_NONE:
		return "";
	case OUTLIER_LOW:
		return "far below the others";
	case OUTLIER_HIGH:
		return "far above the others";
	case OUTLIER_NOT_FINITE:
		return "not a finite number";
	}
	return "";
}
