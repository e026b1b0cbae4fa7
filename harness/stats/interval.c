/* Intervals as values: see interval.h. */
#include "harness/stats/interval.h"

#include <math.h>

struct interval interval_unbounded(double level)
{
	return (struct interval){.low = -INFINITY, .high = INFINITY, .level = level};
}

bool interval_is_bounded(struct interval interval)
{
	return isfinite(interval.low) && isfinite(interval.high);
}

bool interval_excludes(struct interval interval, double value)
{
	return value < interval.low || value > interval.high;
}
