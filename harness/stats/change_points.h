/*
 * Where in a series of nightly readings did the level change? Windowed E-divisive: the series is
 * divided where the energy distance between the two sides is largest (Matteson and James 2014, "A
 * nonparametric approach for multiple change point analysis of multivariate data", alpha = 1,
 * univariate), and each side again, inside windows of bounded length, as done for performance
 * regressions by MongoDB (Daly et al. 2020) and DataStax' Hunter (Fleming et al. 2023).
 *
 * A division is kept only when two things hold:
 * - Its p-value is small. It is that of the *largest* statistic over all places of the segment,
 *   under permutation of the readings, so that having searched for the place is paid for. It
 *   assumes that without a change the nights are exchangeable, and nothing else: noise may be
 *   multimodal or heavy-tailed. (Hunter takes Student's t-test at the place found instead: faster,
 *   but of noise alone it calls 7 % of segments of 40 a change at 1 %; simulated.) A slow drift is
 *   not exchangeable, and is reported as one or more steps.
 * - Its size is relevant: the shift (Hodges and Lehmann's) is at least `least_shift`. A change of
 *   spread alone has no shift and is no change point here.
 *
 * Pure and reproducible: the same values, options and seed give the same answer, whatever was asked
 * before. For ratios give logarithms: a shift is then a factor.
 */
#pragma once

#include "harness/stats/interval.h"

#include <stdbool.h>
#include <stddef.h>

struct change_options {
	size_t window;	     /* nights looked at together; at least twice least_side */
	size_t least_side;   /* readings that each side must have before anything is said */
	double level;	     /* largest p-value of a change: 0.01 */
	double least_shift;  /* smallest relevant |shift|, in the unit of the values */
	size_t permutations; /* drawn at most; the smallest p-value is 1 / (permutations + 1) */
	unsigned long seed;
};

/* 60 nights, 10 a side, 1 %, any shift, 4999 permutations. */
extern const struct change_options change_defaults;

struct change_point {
	size_t index;		/* of the first reading after the change */
	size_t begin, end;	/* the readings compared: begin..index-1 with index..end-1 */
	double p_value;		/* of a change somewhere in begin..end-1 */
	double before, after;	/* medians of the two sides */
	double shift;		/* Hodges and Lehmann's estimate of after - before */
	struct interval within; /* of the shift, 95 %: Wilcoxon's rank sum test inverted */
};

/*
 * The most likely single change among values[begin..end), however unlikely or small: the caller
 * judges. False, with *out untouched, when there are fewer than 2 least_side readings, all are
 * equal, or one is not finite. The p-value's permutations stop early when it is clearly large
 * (Besag and Clifford 1991), which costs no validity.
 */
bool change_point_best(const double *values, size_t begin, size_t end,
	const struct change_options *options, struct change_point *out);

/* All changes of a series in order; the caller frees *points. Returns how many; 0, and NULL, when
 * a value is not finite or the options make no sense (window < 2 least_side, least_side < 2). */
size_t change_points_find(const double *values, size_t n, const struct change_options *options,
	struct change_point **points);

/* Hodges and Lehmann's shift of b against a, and its interval; n of each at least 1. */
double change_shift(const double *a, size_t a_count, const double *b, size_t b_count, double level,
	struct interval *within);
