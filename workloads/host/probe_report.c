/* What a series of replies says: see probe.h. Pure; the guest's clock values are hostile and only
 * ever subtracted. */
#include "harness/stats/summary.h"
#include "workloads/host/probe.h"

#include <math.h>
#include <stdlib.h>
#include <sys/param.h>

/* Where to look for quick round trips on either side of a gap: long enough for a few good ones,
 * short enough for clocks that do not run at quite the same rate. */
#define SIDE_NS (250 * NSEC_PER_MSEC)
/* Silences that are looked at for a clock that stood. */
#define LONG_GAPS 16

void probe_series_deinit(struct probe_series *series)
{
	free(series->replies);
	free(series->sent_ns);
	*series = (struct probe_series){0};
}

static int64_t round_trip(const struct probe_reply *reply)
{
	return reply->received_ns - reply->sent_ns;
}

static double median_rtt_ms(const struct probe_reply *replies, size_t count)
{
	_cleanup_free_ double *values = calloc(count + 1, sizeof(*values));

	if (!values)
		abort();
	for (size_t i = 0; i < count; i++)
		values[i] = (double)round_trip(&replies[i]) / 1e6;
	return stats_median(values, count);
}

/* The quickest reply to a request sent within [from_ns, to_ns]; NULL when there is none. */
static const struct probe_reply *quickest(
	const struct probe_series *series, int64_t from_ns, int64_t to_ns)
{
	const struct probe_reply *best = NULL;

	for (size_t i = 0; i < series->reply_count; i++) {
		const struct probe_reply *reply = &series->replies[i];

		if (reply->sent_ns < from_ns || reply->received_ns > to_ns)
			continue;
		if (!best || round_trip(reply) < round_trip(best))
			best = reply;
	}
	return best;
}

/* The part of a series around a gap in which the clock is read on either side. */
struct sides {
	int64_t first_ns, last_ns;
};

static struct sides sides_of(const struct probe_series *series, const struct gap *gaps,
	size_t count, const struct gap *gap, struct sides within)
{
	struct sides sides = {gap->from_ns - SIDE_NS, gap->to_ns + SIDE_NS};
	int64_t edge = series->replies[gap->index - 1].sent_ns;

	/* Not across what happened in another gap like this, or outside the part looked at. */
	for (size_t i = 0; i < count; i++) {
		if (4 * gap_ms(gaps[i]) < gap_ms(*gap))
			continue;
		if (gaps[i].to_ns <= gap->from_ns)
			sides.first_ns = MAX(sides.first_ns, gaps[i].to_ns);
		else if (gaps[i].from_ns >= gap->to_ns)
			sides.last_ns = MIN(sides.last_ns, gaps[i].from_ns);
	}
	sides.first_ns = MIN(MAX(sides.first_ns, within.first_ns), edge);
	sides.last_ns = MIN(sides.last_ns, within.last_ns);
	return sides;
}

/* How far the clock fell behind in one gap; false with too few replies around it. */
static bool clock_lost_in(const struct probe_series *series, const struct gap *gap,
	struct sides sides, double *lost_ms, double *error_ms)
{
	const struct probe_reply *before = quickest(series, sides.first_ns, gap->from_ns);
	/* Sent before its end: waited somewhere with the guest. */
	const struct probe_reply *after = quickest(series, gap->to_ns, sides.last_ns);

	if (!before || !after)
		return false;
	double ours = (double)(after->sent_ns - before->sent_ns) +
		      (double)(round_trip(after) - round_trip(before)) / 2;
	double its = (double)(int64_t)(after->guest_monotonic_ns - before->guest_monotonic_ns);

	*lost_ms = (ours - its) / 1e6;
	*error_ms = (double)(round_trip(before) + round_trip(after)) / 2e6;
	return true;
}

/* A guest that is copied may be silent for longer while its QEMU is busy than when it is stopped:
 * so the silence in which its clock surely stood for longest is the one, and the longest of all
 * where it stood in none for sure. */
static void find_clock_lost(const struct probe_series *series, struct moments arrivals,
	int64_t from_ns, int64_t to_ns, struct probe_report *report)
{
	const struct probe_reply *replies = series->replies;
	struct gap gaps[LONG_GAPS];
	size_t count = gap_longest(arrivals, from_ns, to_ns, gaps, LONG_GAPS);
	double surely_ms = 0;

	report->stop = report->gap;
	for (size_t i = 0; i < count; i++) {
		const struct sides within = {from_ns, to_ns};
		struct sides apart = sides_of(series, gaps, count, &gaps[i], within);
		struct sides wide = sides_of(series, NULL, 0, &gaps[i], within);
		double lost_ms, error_ms;

		if (!clock_lost_in(series, &gaps[i], apart, &lost_ms, &error_ms) &&
			!clock_lost_in(series, &gaps[i], wide, &lost_ms, &error_ms))
			continue;
		if (i > 0 && lost_ms - error_ms <= surely_ms)
			continue;
		surely_ms = fmax(0, lost_ms - error_ms);
		report->clock_lost_ms = lost_ms;
		report->clock_error_ms = error_ms;
		report->stop = gaps[i];
	}
	report->guest_before_ns = replies[report->stop.index - 1].guest_monotonic_ns;
	report->guest_after_ns = replies[report->stop.index].guest_monotonic_ns;
}

/* Requests sent in the part, and those of them that were answered. */
static void count_requests(const struct probe_series *series, int64_t from_ns, int64_t to_ns,
	struct probe_report *report)
{
	uint64_t answered = 0;

	for (size_t i = 0; i < series->sent_count; i++)
		report->sent += series->sent_ns[i] >= from_ns && series->sent_ns[i] <= to_ns;
	for (size_t i = 0; i < series->reply_count; i++)
		answered += series->replies[i].sent_ns >= from_ns &&
			    series->replies[i].sent_ns <= to_ns;
	report->lost = report->sent - answered;
}

struct probe_report probe_report(const struct probe_series *series, int64_t from_ns, int64_t to_ns)
{
	struct probe_report report = {.clock_lost_ms = NAN, .clock_error_ms = NAN, .gap_ms = NAN};
	const struct probe_reply *replies = series->replies;
	struct moments sent = {series->sent_ns, sizeof(*series->sent_ns), series->sent_count};
	struct moments arrivals = {series->reply_count ? &replies[0].received_ns : NULL,
		sizeof(*replies), series->reply_count};
	size_t first = 0, end;

	while (first < series->reply_count && replies[first].received_ns < from_ns)
		first++;
	end = first;
	while (end < series->reply_count && replies[end].received_ns <= to_ns)
		end++;
	count_requests(series, from_ns, to_ns, &report);
	report.median_rtt_ms = median_rtt_ms(replies + first, end - first);
	report.send_gap = gap_largest(sent, from_ns, to_ns);
	report.median_gap_ms = gap_median_ms(arrivals, from_ns, to_ns);
	report.gap = gap_largest(arrivals, from_ns, to_ns);
	if (!report.gap.index)
		return report;
	report.gap_ms = gap_ms(report.gap);
	find_clock_lost(series, arrivals, from_ns, to_ns, &report);
	return report;
}
