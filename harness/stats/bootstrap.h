/*
 * The percentile bootstrap interval of a sample's median, for showing one variant's readings with
 * an interval. For subject against baseline use pairs.h: it is exact, this is an approximation.
 * Reproducible: the seed is the caller's, the generator is GSL's mt19937.
 */
#pragma once

#include "harness/stats/interval.h"

#include <stddef.h>

/* Resamples drawn; the ends then move by about 1 % of the interval's width from seed to seed. */
#define BOOTSTRAP_RESAMPLES 2000

/*
 * The interval of the median of `values` at `level` (0 < level < 1), in their unit. Unbounded if n
 * is too small for the level (below 6 at 95 %, see interval.h), if a value is not finite, or if the
 * level makes no sense.
 */
struct interval bootstrap_median(const double *values, size_t n, double level, unsigned long seed);
