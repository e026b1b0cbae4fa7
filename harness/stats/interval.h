/*
 * An interval of confidence, and the one rule that all of stats/ follows: when the sample is too
 * small for the level asked for, the interval is unbounded, never merely narrow. No interval that
 * rests on n observations alone can hold a median with more than 1 - 2^(1-n): for 95 % that takes
 * six. Unbounded ends are infinities, which JSON cannot carry: a writer turns them into null.
 */
#pragma once

#include <stdbool.h>

struct interval {
	double low, high; /* low <= high; closed; infinite where the data give no bound */
	double level;	  /* what it promises, as a fraction: 0.95 */
};

/* The level used wherever the caller has no choice of its own. */
#define INTERVAL_LEVEL 0.95

/* From -infinity to +infinity: "this sample says nothing at this level". */
struct interval interval_unbounded(double level);

/* True if both ends are finite. */
bool interval_is_bounded(struct interval interval);

/* True if the value is strictly outside: the data contradict it at the interval's level. */
bool interval_excludes(struct interval interval, double value);
