/* The false discovery rate: see multiple.h. */
#include "harness/stats/multiple.h"
#include "harness/stats/allocate.h"
#include "harness/base/cleanup.h"

#include <gsl/gsl_sort.h>
#include <math.h>

size_t multiple_discoveries(const double *p_values, size_t n, double rate, bool *discovered)
{
	_cleanup_free_ double *sorted = allocate(n, sizeof(*sorted));
	double limit = -1;
	size_t tests = 0, found = 0;

	for (size_t i = 0; i < n; i++) {
		if (!isnan(p_values[i]))
			sorted[tests++] = p_values[i];
	}
	gsl_sort(sorted, 1, tests);
	/* The largest p-value that is within its share of the rate; it and all smaller ones count.
	 */
	for (size_t i = 0; i < tests; i++) {
		if (sorted[i] <= rate * (double)(i + 1) / (double)tests)
			limit = sorted[i];
	}
	for (size_t i = 0; i < n; i++) {
		discovered[i] = p_values[i] <= limit;
		found += discovered[i];
	}
	return found;
}
