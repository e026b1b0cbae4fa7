/* Time to recover throughput: see recovery.h. */
#include "workloads/host/recovery.h"

#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static double median(const double *values, size_t count)
{
	double *sorted = malloc(count * sizeof(*sorted));
	double middle;

	if (!sorted)
		abort();
	memcpy(sorted, values, count * sizeof(*sorted));
	gsl_sort(sorted, 1, count);
	middle = gsl_stats_median_from_sorted_data(sorted, 1, count);
	free(sorted);
	return middle;
}

struct recovery recovery_find(const struct recovery_question *question)
{
	struct recovery recovery = {NAN, NAN, NAN};
	double fraction = question->fraction > 0 ? question->fraction : 0.95;
	size_t hold = question->hold ? question->hold : 3;
	double lost = 0;

	if (question->event == 0 || question->event >= question->count)
		return recovery;
	recovery.before = median(question->throughput, question->event);
	if (!(recovery.before > 0))
		return recovery;
	lost = 1 - question->throughput[question->event] / recovery.before;
	for (size_t i = question->event + 1; i + hold <= question->count; i++) {
		if (question->throughput[i] >= fraction * recovery.before &&
			median(question->throughput + i, hold) >= fraction * recovery.before) {
			recovery.time_ms = (double)(i - question->event - 1) * question->window_ms;
			recovery.lost = lost;
			return recovery;
		}
		lost += 1 - question->throughput[i] / recovery.before;
	}
	return recovery;
}
