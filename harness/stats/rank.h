/*
 * What pairs.h and slope.h share: turning a rank test into an interval. Internal to stats/.
 *
 * Both tests have a statistic of the form T(b) = sum of w_k sign(v_k - b) over pairwise quantities
 * v_k (means of two log ratios, slopes between two trials) with fixed weights w_k > 0. T falls as b
 * rises, so the values of b that the test does not reject are an interval whose ends are among the
 * v_k. It has the test's own guarantee: no error model, no estimate of a standard error.
 */
#pragma once

#include "harness/stats/interval.h"

#include <stddef.h>

struct rank_point {
	double value;  /* may be infinite, never NaN */
	double weight; /* > 0 */
};

/* Sorts by value; the two functions below want it sorted. */
void rank_sort(struct rank_point *points, size_t count);

/* Where T(b) crosses zero: the weighted median. NaN for count == 0. */
double rank_centre(const struct rank_point *points, size_t count);

/* The closed set of b with |T(b)| < critical; unbounded where no b is rejected. */
struct interval rank_invert(
	const struct rank_point *points, size_t count, double critical, double level);
