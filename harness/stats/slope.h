/*
 * Does y grow with x, and by how much over the range measured? For claims of shape ("flat in memory
 * size", "grows with the dirty rate"). One point a trial, trials at the same x are welcome; for
 * trials that have the whole range each, see slope_of_growths().
 *
 * The slope is the median of the slopes between all pairs of trials, weighted by their distance in
 * x (Theil and Sen, as weighted by Sievers 1978 and Scholz 1978): a wild trial moves it little, and
 * distant sizes say more than neighbouring ones, which matters when sizes double. Its interval is
 * the set of slopes b for which the rank correlation of y - b x with x is not significant under
 * permutation of the trials. That needs trials exchangeable but for the trend, and nothing else:
 * no normal noise, no standard error from four sizes. Like every interval here it is unbounded
 * while there are too few trials (five at distinct sizes are the least, or 2 + 2 + 2, or 4 + 4).
 *
 * Growth is the same idea on the relative scale: the g for which y / (1 + g t) does not correlate
 * with x, t running from 0 at the smallest x to 1 at the largest. So it is the fitted line's
 * (y(xmax) - y(xmin)) / y(xmin), estimated for noise that is a percentage of y, as in timings.
 * Prefer it to the slope for anything that grows much: with noise of some percent on a five-fold
 * growth, the slope's interval has a coverage of 86 to 91 % (it assumes noise of one size
 * everywhere), the growth's keeps its 95 % (simulated; also with noise of one size).
 * 0 is flat, 1 is doubled, -0.5 is halved; independent of the units of both.
 */
#pragma once

#include "harness/stats/interval.h"

#include <stdbool.h>
#include <stddef.h>

struct slope_estimate {
	size_t n;		  /* trials */
	double slope;		  /* unit of y per unit of x */
	double intercept;	  /* median of y - slope x: the line is intercept + slope x */
	struct interval interval; /* of the slope, 95 % */
	double growth;		  /* relative, from smallest to largest x; in -1 .. +infinity; NaN
				   * if a y is not positive, since a percentage makes no sense then */
	struct interval growth_interval; /* of the growth, 95 %; unbounded if growth is NaN */
};

/* Permutations drawn for the critical value; coverage then wavers by about 0.2 % with the seed. */
#define SLOPE_PERMUTATIONS 10000

/* Most trials accepted: memory and time grow with n^2. */
#define SLOPE_MAX 2000

/*
 * Fits y[i] over x[i], i < n. Returns false, and leaves *out alone, if any figure is not finite, if
 * all x are equal, or if n is above SLOPE_MAX. The same seed gives the same result.
 */
bool slope_fit(
	const double *x, const double *y, size_t n, unsigned long seed, struct slope_estimate *out);

/* As slope_fit(), with the intervals at another level (0 < level < 1). */
bool slope_fit_at(const double *x, const double *y, size_t n, double level, unsigned long seed,
	struct slope_estimate *out);

/*
 * Where each trial has several points, at both ends of the range: points of one trial share its
 * noise, and give no interval. slope_growth() is the growth of one trial's line, from its smallest
 * to its largest x; false when a figure is not finite, a y not positive, or there is one x only. It
 * may be -1 or infinite, as pairs of points that are too steep count.
 *
 * slope_of_growths() is of n such trials: growth is their median, its interval that of their centre
 * at `level` by the signed-rank test, on the logarithms of 1 + growth (pairs.h, where its coverage
 * stands; at 95 % unbounded below six trials). It says nothing of the slope itself: slope and
 * intercept are NaN. False for no trial, or more than SLOPE_MAX.
 */
bool slope_growth(const double *x, const double *y, size_t n, double *growth);
bool slope_of_growths(const double *growths, size_t n, double level, struct slope_estimate *out);

enum slope_shape {
	SLOPE_UNDECIDED, /* the interval allows more than one of the others */
	SLOPE_FLAT,	 /* all of it within -tolerance .. +tolerance */
	SLOPE_GROWS,	 /* all of it above +tolerance */
	SLOPE_SHRINKS,	 /* all of it below -tolerance */
};

/* Reads a shape off the interval of the growth. Tolerance is relative, 0.1 for 10 %, and is what
 * the claim calls flat. "Not significantly different from flat" is not flat: that is UNDECIDED. */
enum slope_shape slope_shape(const struct slope_estimate *estimate, double tolerance);

/* What a claim asks of the growth. */
enum slope_question {
	SLOPE_WHICH_SHAPE,  /* flat within the tolerance, or beyond it on which side? */
	SLOPE_WHETHER_GROWS /* above +tolerance, or not? However far below it may be. */
};

/* Whether the interval answers the question, either way. */
bool slope_decides(
	const struct slope_estimate *estimate, enum slope_question question, double tolerance);

/*
 * How many times as many trials, spread over x as these are, will probably decide: see
 * interval_forecast(). 1 when it is decided already; infinite when the growth lies on a limit
 * itself; NaN while an end of the interval is open, from which nothing can be told.
 */
double slope_forecast(
	const struct slope_estimate *estimate, enum slope_question question, double tolerance);
