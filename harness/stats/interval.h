/*
 * An interval of confidence, and the one rule that all of stats/ follows: when the sample is too
 * small for the level asked for, the interval is unbounded, never merely narrow. No interval that
 * rests on n observations alone can hold a median with more than 1 - 2^(1-n): for 95 % that takes
 * six. Unbounded ends are infinities, which JSON cannot carry: a writer turns them into null.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct interval {
	double low, high; /* low <= high; closed; infinite where the data give no bound */
	double level;	  /* what it promises, as a fraction: 0.95 */
};

/* The level used wherever the caller has no choice of its own. */
#define INTERVAL_LEVEL 0.95

/* From -infinity to +infinity: "this sample says nothing at this level". */
struct interval interval_unbounded(double level);

/*
 * The level for figures that are looked at again after every block until the interval decides. Each
 * look is a chance to be wrong: of variants that do not differ, intervals at 95 % decide otherwise
 * in 13 % of runs of up to 24 pairs and in 23 % of up to 60; at this level in 2 and 4 % (simulated,
 * a look every two pairs). What has no effect costs a budget more, what has one some pairs.
 */
#define INTERVAL_LEVEL_STOPPED 0.995

/* True if both ends are finite. */
bool interval_is_bounded(struct interval interval);

/* The fewest observations with which an interval of that level (0 < level < 1) has bounds. */
size_t interval_least(double level);

/*
 * How many times as many observations will probably bring an end of the interval that is `half`
 * away from the estimate nearer to it than `room`: four times in five, if the estimate is the true
 * value and intervals shrink with the root of the number. At least 1; infinite without any room.
 */
double interval_forecast(double half, double room, double level);

/* True if the value is strictly outside: the data contradict it at the interval's level. */
bool interval_excludes(struct interval interval, double value);
