/* Time to recover throughput: see recovery.h. */
#include "workloads/host/recovery.h"
#include "harness/stats/summary.h"

#include <math.h>

struct recovery recovery_find(const struct recovery_question *question)
{
	struct recovery recovery = {NAN, NAN, NAN};
	double fraction = question->fraction > 0 ? question->fraction : 0.95;
	size_t hold = question->hold ? question->hold : 3;
	double lost = 0;

	if (question->event == 0 || question->event >= question->count ||
		question->former > question->event)
		return recovery;
	recovery.before = stats_median(
		question->throughput, question->former ? question->former : question->event);
	if (!(recovery.before > 0))
		return recovery;
	lost = 1 - question->throughput[question->event] / recovery.before;
	for (size_t i = question->event + 1; i + hold <= question->count; i++) {
		if (question->throughput[i] >= fraction * recovery.before &&
			stats_median(question->throughput + i, hold) >=
				fraction * recovery.before) {
			recovery.time_ms = (double)(i - question->event - 1) * question->window_ms;
			recovery.lost = lost;
			return recovery;
		}
		lost += 1 - question->throughput[i] / recovery.before;
	}
	return recovery;
}
