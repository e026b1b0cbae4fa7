/* Noise with known properties and coverage checks, for the tests of stats/. Seeded: a test passes
 * or fails the same way every time. */
#pragma once

#include "harness/stats/interval.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <math.h>

static inline gsl_rng *noise_source(unsigned long seed)
{
	gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);

	gsl_rng_set(rng, seed);
	return rng;
}

/* Equal up to rounding; infinities equal themselves. */
static inline void assert_near(double actual, double expected)
{
	if (actual == expected || fabs(actual - expected) <= 1e-9 * (1 + fabs(expected)))
		return;
	fail_msg("%.12g is not %.12g", actual, expected);
}

static inline void assert_interval(struct interval interval, double low, double high)
{
	assert_near(interval.low, low);
	assert_near(interval.high, high);
}

/*
 * Fails unless `hits` of `trials` is what a true rate somewhere in low..high would give: between
 * low - 3 sigma and high + 3 sigma of the binomial. Too many hits fail as too few do: an interval
 * that always holds the truth says nothing. It takes some 600 trials for 100 % to be too many where
 * 97.5 % are allowed.
 */
static inline void assert_rate(size_t hits, size_t trials, double low, double high)
{
	double n = (double)trials, rate = (double)hits / n;
	double below = low - 3 * sqrt(low * (1 - low) / n);
	double above = high + 3 * sqrt(high * (1 - high) / n);

	if (rate < below || rate > above)
		fail_msg("a rate of %.4f, wanted %.4f to %.4f", rate, below, above);
}
