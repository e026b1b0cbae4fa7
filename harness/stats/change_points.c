/* Windowed E-divisive: see change_points.h. Must not depend on the order of calls. */
#include "harness/stats/change_points.h"
#include "harness/stats/allocate.h"
#include "harness/stats/rank.h"
#include "harness/stats/summary.h"
#include "harness/base/cleanup.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_rng.h>
#include <math.h>
#include <string.h>

/* Permutations that reach the observed statistic before the p-value is known to be large enough
 * not to matter; its standard error is then some 30 % of it. */
#define EXCEEDANCES 10

/* Divisions of windows may be this much weaker: they are tested again once all are known. */
#define WEAKER 10

const struct change_options change_defaults = {
	.window = 60,
	.least_side = 10,
	.level = 0.01,
	.permutations = 4999,
};

DEFINE_CLEANUP(rng, gsl_rng *, gsl_rng_free)

/* Readings of a segment by their distances; `order` says which reading stands at each place. */
struct segment {
	size_t n, least_side;
	double *distance; /* n x n */
	double total;	  /* of all pairs once */
	size_t *order;
};

static void segment_deinit(struct segment *segment)
{
	free(segment->distance);
	free(segment->order);
}

static void segment_init(struct segment *segment, const double *values, size_t n, size_t least_side)
{
	*segment = (struct segment){
		.n = n,
		.least_side = least_side,
		.distance = allocate(n * n, sizeof(double)),
		.order = allocate(n, sizeof(size_t)),
	};
	for (size_t i = 0; i < n; i++) {
		segment->order[i] = i;
		for (size_t j = 0; j < n; j++)
			segment->distance[i * n + j] = fabs(values[i] - values[j]);
		for (size_t j = 0; j < i; j++)
			segment->total += segment->distance[i * n + j];
	}
}

/* Equation 6 of Matteson and James: between-distances against within-distances, scaled so that
 * places near the ends are not favoured. */
static double energy(double between, double left, double right, size_t m, size_t k)
{
	double a = (double)m, b = (double)k;

	return a * b / (a + b) *
	       (2 * between / (a * b) - 2 * left / (a * (a - 1)) - 2 * right / (b * (b - 1)));
}

/* The largest statistic over all admissible places; *place is the first index of the right side. */
static double largest(const struct segment *segment, size_t *place)
{
	double left = 0, right = segment->total, best = -INFINITY;

	for (size_t m = 1; m + segment->least_side <= segment->n; m++) {
		const double *row = segment->distance + segment->order[m - 1] * segment->n;
		double to_left = 0, to_right = 0, q;

		for (size_t i = 0; i + 1 < m; i++)
			to_left += row[segment->order[i]];
		for (size_t i = m; i < segment->n; i++)
			to_right += row[segment->order[i]];
		left += to_left;
		right -= to_right;
		if (m < segment->least_side)
			continue;
		q = energy(segment->total - left - right, left, right, m, segment->n - m);
		if (q > best) {
			best = q;
			*place = m;
		}
	}
	return best;
}

static void permute(gsl_rng *rng, size_t *order, size_t n)
{
	for (size_t i = n; i > 1; i--) {
		size_t j = gsl_rng_uniform_int(rng, i), swapped = order[i - 1];

		order[i - 1] = order[j];
		order[j] = swapped;
	}
}

/* The chance that permuted readings have a statistic as large as the observed one. */
static double permutation_p(
	struct segment *segment, double observed, size_t permutations, unsigned long seed)
{
	_cleanup_(cleanup_rng) gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
	double tie = 1e-9 * fabs(observed);
	size_t reached = 0, drawn = 0, place;

	gsl_rng_set(rng, seed);
	while (drawn < permutations && reached < EXCEEDANCES) {
		permute(rng, segment->order, segment->n);
		reached += largest(segment, &place) >= observed - tie;
		drawn++;
	}
	return reached == EXCEEDANCES ? (double)reached / (double)drawn
				      : (double)(reached + 1) / (double)(drawn + 1);
}

double change_shift(const double *a, size_t a_count, const double *b, size_t b_count, double level,
	struct interval *within)
{
	_cleanup_free_ struct rank_point *points = allocate(a_count * b_count, sizeof(*points));
	double m = (double)a_count, k = (double)b_count;
	size_t count = 0;

	for (size_t i = 0; i < a_count; i++) {
		for (size_t j = 0; j < b_count; j++)
			points[count++] = (struct rank_point){.value = b[j] - a[i], .weight = 1};
	}
	rank_sort(points, count);
	/* The normal limit of the rank sum's distribution: its error is below 1 % of the level from
	 * 10 a side on (Lehmann 1975, table 1.1). */
	*within = rank_invert(points, count,
		gsl_cdf_ugaussian_Qinv((1 - level) / 2) * sqrt(m * k * (m + k + 1) / 3), level);
	return rank_centre(points, count);
}

static bool usable(const double *values, size_t begin, size_t end)
{
	bool differ = false;

	for (size_t i = begin; i < end; i++) {
		if (!isfinite(values[i]))
			return false;
		differ = differ || values[i] != values[begin];
	}
	return differ;
}

bool change_point_best(const double *values, size_t begin, size_t end,
	const struct change_options *options, struct change_point *out)
{
	_cleanup_(segment_deinit) struct segment segment = {0};
	struct change_point found = {.begin = begin, .end = end};
	size_t place = 0;
	double observed;

	if (options->least_side < 2 || end < begin || end - begin < 2 * options->least_side ||
		!usable(values, begin, end))
		return false;
	segment_init(&segment, values + begin, end - begin, options->least_side);
	observed = largest(&segment, &place);
	found.index = begin + place;
	/* Every segment has random numbers of its own, whichever was looked at before. */
	found.p_value = permutation_p(
		&segment, observed, options->permutations, options->seed + 7919 * begin + end);
	found.before = stats_median(values + begin, place);
	found.after = stats_median(values + found.index, end - found.index);
	found.shift = change_shift(values + begin, place, values + found.index, end - found.index,
		INTERVAL_LEVEL, &found.within);
	*out = found;
	return true;
}

/* ---- several changes ---- */

static void add_index(size_t *indices, size_t *count, size_t index)
{
	size_t at = *count;

	for (size_t i = 0; i < *count; i++) {
		if (indices[i] == index)
			return;
	}
	while (at > 0 && indices[at - 1] > index) {
		indices[at] = indices[at - 1];
		at--;
	}
	indices[at] = index;
	++*count;
}

/* Divides values[begin..end) for as long as a division is not clearly chance. */
static void divide(const double *values, size_t begin, size_t end,
	const struct change_options *options, size_t *indices, size_t *count)
{
	struct change_point found;

	if (!change_point_best(values, begin, end, options, &found) ||
		found.p_value > WEAKER * options->level)
		return;
	add_index(indices, count, found.index);
	divide(values, begin, found.index, options, indices, count);
	divide(values, found.index, end, options, indices, count);
}

/* The change between the neighbours of candidate i, at most half a window to either side. */
static struct change_point examine(const double *values, size_t n,
	const struct change_options *options, const size_t *indices, size_t count, size_t i)
{
	size_t half = options->window / 2, begin = i ? indices[i - 1] : 0;
	size_t end = i + 1 < count ? indices[i + 1] : n;
	struct change_point found = {.index = indices[i], .p_value = 1};

	if (indices[i] - begin > half)
		begin = indices[i] - half;
	if (end - indices[i] > half)
		end = indices[i] + half;
	change_point_best(values, begin, end, options, &found);
	return found;
}

static bool holds(const struct change_point *point, const struct change_options *options)
{
	return point->p_value <= options->level && fabs(point->shift) >= options->least_shift &&
	       point->shift != 0;
}

/* The candidate that holds least, or `count` when all hold. */
static size_t weakest(
	const struct change_point *points, size_t count, const struct change_options *options)
{
	size_t worst = count;

	for (size_t i = 0; i < count; i++) {
		if (holds(&points[i], options))
			continue;
		if (worst == count || points[i].p_value > points[worst].p_value)
			worst = i;
	}
	return worst;
}

size_t change_points_find(const double *values, size_t n, const struct change_options *options,
	struct change_point **points)
{
	_cleanup_free_ size_t *indices = allocate(n, sizeof(*indices));
	_cleanup_free_ struct change_point *found = NULL;
	size_t count = 0, begin = 0, worst;

	*points = NULL;
	if (options->least_side < 2 || options->window < 2 * options->least_side ||
		!usable(values, 0, n))
		return 0;
	do {
		divide(values, begin, begin + options->window < n ? begin + options->window : n,
			options, indices, &count);
		begin += options->window / 2;
	} while (begin + options->window / 2 < n);
	found = allocate(count, sizeof(*found));
	for (;;) {
		for (size_t i = 0; i < count; i++)
			found[i] = examine(values, n, options, indices, count, i);
		worst = weakest(found, count, options);
		if (worst == count)
			break;
		count--;
		memmove(indices + worst, indices + worst + 1, (count - worst) * sizeof(*indices));
	}
	if (count)
		*points = take_ptr(found);
	return count;
}
