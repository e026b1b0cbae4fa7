/* Inversion of rank tests: see rank.h. */
#include "harness/stats/rank.h"

#include <math.h>
#include <stdlib.h>

/* Sums of weights are compared with a critical value that was summed in another order. */
static const double rounding = 1e-9;

static int compare_points(const void *a, const void *b)
{
	const struct rank_point *p = a, *q = b;

	return (p->value > q->value) - (p->value < q->value);
}

void rank_sort(struct rank_point *points, size_t count)
{
	qsort(points, count, sizeof(*points), compare_points);
}

static double total_weight(const struct rank_point *points, size_t count)
{
	double total = 0;

	for (size_t i = 0; i < count; i++)
		total += points[i].weight;
	return total;
}

double rank_centre(const struct rank_point *points, size_t count)
{
	double total = total_weight(points, count), below = 0;

	for (size_t i = 0; i < count; i++) {
		double excess = 2 * (below += points[i].weight) - total;

		if (fabs(excess) <= rounding * total && i + 1 < count)
			return points[i].value == points[i + 1].value
				       ? points[i].value
				       : (points[i].value + points[i + 1].value) / 2;
		if (excess > 0)
			return points[i].value;
	}
	return NAN;
}

struct interval rank_invert(
	const struct rank_point *points, size_t count, double critical, double level)
{
	struct interval interval = interval_unbounded(level);
	double total = total_weight(points, count), slack = rounding * total, below = 0;

	if (!(critical <= total + slack))
		return interval;
	for (size_t i = 0; i < count; i++) {
		double before = total - 2 * below;
		double after = total - 2 * (below += points[i].weight);

		/* T just left of this point is `before`, just right of it `after`. */
		if (before >= critical - slack && after < critical - slack)
			interval.low = points[i].value;
		if (before > slack - critical && after <= slack - critical)
			interval.high = points[i].value;
	}
	return interval;
}
