/* Robust slope and relative growth by inversion of a permutation test: see slope.h. */
#include "harness/stats/slope.h"
#include "harness/stats/allocate.h"
#include "harness/stats/pairs.h"
#include "harness/stats/rank.h"
#include "harness/stats/summary.h"
#include "harness/base/cleanup.h"

#include <gsl/gsl_rng.h>
#include <gsl/gsl_sort.h>
#include <math.h>

/* A trial whose line is as steep as noise can make it (to 0, or to infinity) counts as one that
 * grows or shrinks so many powers of e: more than any other, and still a number. */
#define STEEPEST 14

DEFINE_CLEANUP(rng, gsl_rng *, gsl_rng_free)

/* What makes a pair of trials agree: the slope or growth that leads from one to the other. */
typedef double pair_quantity(double t_1, double y_1, double t_2, double y_2);

static double pair_slope(double t_1, double y_1, double t_2, double y_2)
{
	return (y_2 - y_1) / (t_2 - t_1);
}

/*
 * The g for which y_2 / y_1 = (1 + g t_2) / (1 + g t_1), t_1 < t_2. The right side rises with g
 * from (1 - t_2) / (1 - t_1) at g = -1 to t_2 / t_1 at infinity; a pair steeper than either end,
 * which noise can bring about, counts as that end.
 */
static double pair_growth(double t_1, double y_1, double t_2, double y_2)
{
	if (y_2 * t_1 >= y_1 * t_2)
		return INFINITY;
	if (y_2 * (1 - t_1) <= y_1 * (1 - t_2))
		return -1;
	return (y_2 - y_1) / (y_1 * t_2 - y_2 * t_1);
}

/* All pairs of trials with different t, sorted; returns how many. */
static size_t collect_pairs(const double *t, const double *y, size_t n, pair_quantity *quantity,
	struct rank_point *points)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < n; j++) {
			if (t[i] < t[j])
				points[count++] = (struct rank_point){
					.value = quantity(t[i], y[i], t[j], y[j]),
					.weight = t[j] - t[i]};
		}
	}
	rank_sort(points, count);
	return count;
}

/* |T| for one random order of the trials. T is the sum over pairs of (t_j - t_i) sign(y_j - y_i),
 * which is also twice the covariance of t with the ranks of y, up to a factor: a single loop. */
static double permuted_statistic(gsl_rng *rng, const double *t, double *ranks, size_t n)
{
	double sum = 0;

	for (size_t i = n; i-- > 0;) {
		size_t j = gsl_rng_uniform_int(rng, i + 1);
		double rank = ranks[j];

		ranks[j] = ranks[i];
		ranks[i] = rank;
		sum += t[i] * rank;
	}
	return fabs(2 * sum);
}

/* The least value that |T| reaches or passes with a chance of at most alpha when trials are
 * permuted; infinite if even the largest |T| is more likely than that. */
static double critical_value(const double *t, size_t n, double alpha, unsigned long seed)
{
	_cleanup_(cleanup_rng) gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
	_cleanup_free_ double *statistics = allocate(SLOPE_PERMUTATIONS, sizeof(*statistics));
	_cleanup_free_ double *ranks = allocate(n, sizeof(*ranks));
	size_t first = SLOPE_PERMUTATIONS - (size_t)(alpha * SLOPE_PERMUTATIONS);
	double tie = 1e-9 * (double)n * (double)n;

	gsl_rng_set(rng, seed);
	for (size_t i = 0; i < n; i++)
		ranks[i] = (double)i - (double)(n - 1) / 2;
	for (size_t i = 0; i < SLOPE_PERMUTATIONS; i++)
		statistics[i] = permuted_statistic(rng, t, ranks, n);
	gsl_sort(statistics, 1, SLOPE_PERMUTATIONS);
	/* Equal statistics stand or fall together. */
	while (first < SLOPE_PERMUTATIONS && statistics[first] - statistics[first - 1] < tie)
		first++;
	return first < SLOPE_PERMUTATIONS ? statistics[first] : INFINITY;
}

/* x mapped to 0..1; false if there is nothing to map or a figure is not finite. */
static bool normalise(const double *x, const double *y, size_t n, double *t, double *range)
{
	double min = INFINITY, max = -INFINITY;

	for (size_t i = 0; i < n; i++) {
		if (!isfinite(x[i]) || !isfinite(y[i]))
			return false;
		min = fmin(min, x[i]);
		max = fmax(max, x[i]);
	}
	*range = max - min;
	if (!(*range > 0) || !isfinite(*range))
		return false;
	for (size_t i = 0; i < n; i++)
		t[i] = (x[i] - min) / *range;
	return true;
}

static double median_intercept(const double *x, const double *y, size_t n, double slope)
{
	_cleanup_free_ double *rest = allocate(n, sizeof(*rest));

	for (size_t i = 0; i < n; i++)
		rest[i] = y[i] - slope * x[i];
	return stats_median(rest, n);
}

static bool all_positive(const double *y, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!(y[i] > 0))
			return false;
	}
	return true;
}

bool slope_fit(
	const double *x, const double *y, size_t n, unsigned long seed, struct slope_estimate *out)
{
	return slope_fit_at(x, y, n, INTERVAL_LEVEL, seed, out);
}

bool slope_fit_at(const double *x, const double *y, size_t n, double level, unsigned long seed,
	struct slope_estimate *out)
{
	_cleanup_free_ double *t = NULL;
	_cleanup_free_ struct rank_point *points = NULL;
	struct slope_estimate estimate = {
		.n = n, .growth = NAN, .growth_interval = interval_unbounded(level)};
	double range, critical;
	size_t count;

	if (n < 2 || n > SLOPE_MAX)
		return false;
	t = allocate(n, sizeof(*t));
	if (!normalise(x, y, n, t, &range))
		return false;
	points = allocate(n * (n - 1) / 2, sizeof(*points));
	critical = critical_value(t, n, 1 - level, seed);

	count = collect_pairs(t, y, n, pair_slope, points);
	estimate.interval = rank_invert(points, count, critical, level);
	estimate.interval.low /= range;
	estimate.interval.high /= range;
	estimate.slope = rank_centre(points, count) / range;
	estimate.intercept = median_intercept(x, y, n, estimate.slope);

	if (all_positive(y, n)) {
		count = collect_pairs(t, y, n, pair_growth, points);
		estimate.growth_interval = rank_invert(points, count, critical, level);
		estimate.growth = rank_centre(points, count);
	}
	*out = estimate;
	return true;
}

bool slope_growth(const double *x, const double *y, size_t n, double *growth)
{
	_cleanup_free_ double *t = NULL;
	_cleanup_free_ struct rank_point *points = NULL;
	double range;
	size_t count;

	if (n < 2 || n > SLOPE_MAX)
		return false;
	t = allocate(n, sizeof(*t));
	if (!normalise(x, y, n, t, &range) || !all_positive(y, n))
		return false;
	points = allocate(n * (n - 1) / 2, sizeof(*points));
	count = collect_pairs(t, y, n, pair_growth, points);
	*growth = rank_centre(points, count);
	return true;
}

bool slope_of_growths(const double *growths, size_t n, double level, struct slope_estimate *out)
{
	_cleanup_free_ double *logs = NULL;
	struct interval interval;
	double median;

	if (n == 0 || n > SLOPE_MAX)
		return false;
	logs = allocate(n, sizeof(*logs));
	for (size_t i = 0; i < n; i++)
		logs[i] = fmax(-STEEPEST, fmin(log1p(growths[i]), STEEPEST));
	median = stats_median(logs, n);
	interval = pairs_interval(logs, n, level);
	*out = (struct slope_estimate){
		.n = n,
		.slope = NAN,
		.intercept = NAN,
		.interval = interval_unbounded(level),
		.growth = expm1(median),
		.growth_interval = {.low = expm1(fmin(interval.low, median)),
			.high = expm1(fmax(interval.high, median)),
			.level = interval.level},
	};
	return true;
}

enum slope_shape slope_shape(const struct slope_estimate *estimate, double tolerance)
{
	struct interval growth = estimate->growth_interval;

	if (growth.low > tolerance)
		return SLOPE_GROWS;
	if (growth.high < -tolerance)
		return SLOPE_SHRINKS;
	if (growth.low >= -tolerance && growth.high <= tolerance)
		return SLOPE_FLAT;
	return SLOPE_UNDECIDED;
}

bool slope_decides(
	const struct slope_estimate *estimate, enum slope_question question, double tolerance)
{
	return slope_shape(estimate, tolerance) != SLOPE_UNDECIDED ||
	       (question == SLOPE_WHETHER_GROWS && estimate->growth_interval.high <= tolerance);
}

double slope_forecast(
	const struct slope_estimate *estimate, enum slope_question question, double tolerance)
{
	double growth = estimate->growth, level = estimate->growth_interval.level;
	double down = growth - estimate->growth_interval.low;
	double up = estimate->growth_interval.high - growth;

	if (!isfinite(growth) || !interval_is_bounded(estimate->growth_interval))
		return NAN;
	if (slope_decides(estimate, question, tolerance))
		return 1;
	if (growth > tolerance)
		return interval_forecast(down, growth - tolerance, level);
	if (question == SLOPE_WHETHER_GROWS)
		return interval_forecast(up, tolerance - growth, level);
	if (growth < -tolerance)
		return interval_forecast(up, -tolerance - growth, level);
	return fmax(interval_forecast(down, growth + tolerance, level),
		interval_forecast(up, tolerance - growth, level));
}
