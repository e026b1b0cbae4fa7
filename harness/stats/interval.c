/* Intervals as values: see interval.h. */
#include "harness/stats/interval.h"

#include <gsl/gsl_cdf.h>
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

size_t interval_least(double level)
{
	return (size_t)ceil(1 - log2(1 - level));
}

double interval_forecast(double half, double room, double level)
{
	/* The end clears its limit in half of all cases when it just reaches it; in four of five
	 * with z(0.8) more. */
	double reach = 1 + gsl_cdf_ugaussian_Pinv(0.8) / gsl_cdf_ugaussian_Qinv((1 - level) / 2);
	double narrower = reach * half / room;

	return room > 0 ? fmax(1, narrower * narrower) : INFINITY;
}
