/* Smoothed bootstrap of the median: see bootstrap.h. */
#include "harness/stats/bootstrap.h"
#include "harness/stats/allocate.h"
#include "harness/stats/summary.h"
#include "harness/base/cleanup.h"

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>

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

/* gsl_stats_quantile_from_sorted_data() without the sorting, which would take as long as drawing;
 * changes the order of `values`. */
static double quantile_of(double *values, size_t n, double p)
{
	double position = (double)(n - 1) * p;
	size_t below = (size_t)position;
	double share = position - (double)below;
	double low = gsl_stats_select(values, 1, n, below), next;

	if (below + 1 == n)
		return low;
	/* What lies behind the selected one is no smaller: the least of it is the next in order. */
	next = values[below + 1];
	for (size_t i = below + 2; i < n; i++)
		next = values[i] < next ? values[i] : next;
	return (1 - share) * low + share * next;
}

/* One value of a resample: which it is of the sample's, and its noise for a scatter of 1. */
struct draw {
	double noise;
	uint32_t which;
};

/* Draws of `resamples` resamples of n values, one after the other. */
static void draw(gsl_rng *rng, size_t n, size_t resamples, struct draw *draws)
{
	for (size_t i = 0; i < resamples * n; i++) {
		draws[i].which = (uint32_t)gsl_rng_uniform_int(rng, n);
		draws[i].noise = gsl_ran_gaussian_ziggurat(rng, 1);
	}
}

static double value_of(const double *values, double noise, const struct draw *draw)
{
	return values[draw->which] + noise * draw->noise;
}

static gsl_rng *generator(unsigned long seed)
{
	gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);

	gsl_rng_set(rng, seed);
	return rng;
}

/* ---- samples of usual size ---- */

/* Samples up to this size have their draws kept, and are sorted some at a time. */
#define USUAL_N 64
#define AT_ONCE 8

/* What the generator gives for a seed and a size, whatever the values are. A record's readings
 * share both, and drawing takes longer than all the rest: each thread keeps its last. */
struct draws {
	unsigned long seed;
	size_t n;
	struct draw rows[]; /* n for each resample */
};

static pthread_key_t kept_key;

static void make_key(void)
{
	if (pthread_key_create(&kept_key, free) != 0)
		abort();
}

static const struct draws *kept_draws(unsigned long seed, size_t n)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	_cleanup_(cleanup_rng) gsl_rng *rng = NULL;
	struct draws *draws;

	pthread_once(&once, make_key);
	draws = pthread_getspecific(kept_key);
	if (draws && draws->seed == seed && draws->n == n)
		return draws;
	if (!draws || draws->n != n) {
		free(draws);
		draws = allocate(1, sizeof(*draws) + BOOTSTRAP_RESAMPLES * n * sizeof(struct draw));
		pthread_setspecific(kept_key, draws);
	}
	draws->seed = seed;
	draws->n = n;
	rng = generator(seed);
	draw(rng, n, BOOTSTRAP_RESAMPLES, draws->rows);
	return draws;
}

/* The smaller of each pair goes to `a`. Two questions, not one, so that the compiler answers both
 * without a branch: half of all guesses at such a branch are wrong. */
static void exchange(double a[restrict AT_ONCE], double b[restrict AT_ONCE])
{
	for (size_t k = 0; k < AT_ONCE; k++) {
		double one = a[k], other = b[k];

		a[k] = one < other ? one : other;
		b[k] = one > other ? one : other;
	}
}

/* Batcher's merge exchange (Knuth, The Art of Computer Programming 3, algorithm 5.2.2M): which
 * places are compared does not depend on the values, so nothing is guessed wrong. */
static void sort_at_once(double columns[][AT_ONCE], size_t n)
{
	size_t top = 1;

	while (2 * top < n)
		top *= 2;
	for (size_t p = top; p > 0; p /= 2) {
		size_t q = top, r = 0, d = p;

		for (;; d = q - p, q /= 2, r = p) {
			for (size_t i = 0; i + d < n; i++) {
				if ((i & p) == r)
					exchange(columns[i], columns[i + d]);
			}
			if (q == p)
				break;
		}
	}
}

static void usual_medians(
	const double *values, size_t n, double noise, unsigned long seed, double *medians)
{
	const struct draw *next = kept_draws(seed, n)->rows;
	double columns[USUAL_N][AT_ONCE];

	_Static_assert(BOOTSTRAP_RESAMPLES % AT_ONCE == 0, "no resample is left over");
	for (size_t i = 0; i < BOOTSTRAP_RESAMPLES; i += AT_ONCE) {
		for (size_t k = 0; k < AT_ONCE; k++) {
			for (size_t j = 0; j < n; j++)
				columns[j][k] = value_of(values, noise, next++);
		}
		sort_at_once(columns, n);
		for (size_t k = 0; k < AT_ONCE; k++)
			medians[i + k] = (columns[(n - 1) / 2][k] + columns[n / 2][k]) / 2;
	}
}

/* ---- larger ones ---- */

static void large_medians(
	const double *values, size_t n, double noise, unsigned long seed, double *medians)
{
	_cleanup_(cleanup_rng) gsl_rng *rng = generator(seed);
	_cleanup_free_ double *sample = allocate(n, sizeof(*sample));
	_cleanup_free_ struct draw *row = allocate(n, sizeof(*row));

	for (size_t i = 0; i < BOOTSTRAP_RESAMPLES; i++) {
		draw(rng, n, 1, row);
		for (size_t j = 0; j < n; j++)
			sample[j] = value_of(values, noise, &row[j]);
		medians[i] = gsl_stats_median(sample, 1, n);
	}
}

struct interval bootstrap_median(const double *values, size_t n, double level, unsigned long seed)
{
	double medians[BOOTSTRAP_RESAMPLES];
	double noise;

	if (!enough_for(n, level) || !all_finite(values, n))
		return interval_unbounded(level);
	noise = stats_scatter(values, n) / sqrt((double)n);
	(n <= USUAL_N ? usual_medians : large_medians)(values, n, noise, seed, medians);
	return (struct interval){
		.low = quantile_of(medians, BOOTSTRAP_RESAMPLES, (1 - level) / 2),
		.high = quantile_of(medians, BOOTSTRAP_RESAMPLES, (1 + level) / 2),
		.level = level,
	};
}
