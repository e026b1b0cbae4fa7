/* What series of arrivals, replies and throughput say: made-up series with known answers. */
#include "harness/base/test/support.h"
#include "workloads/host/recovery.h"
#include "workloads/host/stream.h"

#include <math.h>

#define MS 1000000

static struct moments of(const int64_t *moments, size_t count)
{
	return (struct moments){moments, sizeof(*moments), count};
}

static void the_largest_gap_is_found_where_one_looks(void **state)
{
	(void)state;
	static const int64_t at[] = {1, 2, 3, 50, 51, 52, 72, 73};
	struct gap gap = gap_largest(of(at, 8), 0, INT64_MAX);

	assert_int_equal(gap.from_ns, 3);
	assert_int_equal(gap.to_ns, 50);
	assert_int_equal(gap.index, 3);
	gap = gap_largest(of(at, 8), 51, INT64_MAX);
	assert_int_equal(gap.to_ns, 72);
	/* One that is under way at the border counts, on either side. */
	assert_int_equal(gap_largest(of(at, 8), 10, 20).to_ns, 50);
	assert_int_equal(gap_largest(of(at, 8), 74, 99).index, 0);
	assert_int_equal(gap_largest(of(at, 1), 0, INT64_MAX).index, 0);
	assert_int_equal(gap_largest(of(NULL, 0), 0, INT64_MAX).index, 0);
	assert_true(isnan(gap_median_ms(of(at, 1), 0, INT64_MAX)));
	assert_true(gap_median_ms(of(at, 8), 0, INT64_MAX) == 1e-6);
}

/* Requests each ms; from 100 to 160 ms the guest is stopped and its clock with it. */
enum { REQUESTS = 300, STOPPED_AT = 100, STOPPED_FOR = 60 };
static struct probe_reply replies[REQUESTS];
static int64_t sent[REQUESTS];

static struct probe_series stopped_series(bool lost)
{
	struct probe_series series = {.replies = replies, .sent_ns = sent};

	for (int64_t i = 0; i < REQUESTS; i++) {
		int64_t handled = i * MS + MS / 10;
		int64_t clock_behind = 0;

		sent[i] = i * MS;
		series.sent_count++;
		if (i >= STOPPED_AT && i < STOPPED_AT + STOPPED_FOR) {
			if (lost)
				continue;
			/* Kept on the way, and answered late. */
			handled = (STOPPED_AT + STOPPED_FOR) * MS + i;
		}
		if (i >= STOPPED_AT)
			clock_behind = STOPPED_FOR * MS;
		replies[series.reply_count++] = (struct probe_reply){
			.sequence = (uint64_t)i,
			.sent_ns = sent[i],
			.received_ns = handled + MS / 10,
			.guest_monotonic_ns = (uint64_t)(handled - clock_behind) + 777,
		};
	}
	return series;
}

static void a_stopped_guests_clock_is_behind_by_its_downtime(void **state)
{
	(void)state;
	for (int lost = 0; lost < 2; lost++) {
		struct probe_series series = stopped_series(lost);
		struct probe_report report = probe_report(&series, 0, INT64_MAX);

		assert_int_equal(report.sent, REQUESTS);
		assert_int_equal(report.lost, lost ? STOPPED_FOR : 0);
		assert_true(report.gap.from_ns == (STOPPED_AT - 1) * MS + MS / 5);
		assert_true(report.gap_ms > STOPPED_FOR && report.gap_ms < STOPPED_FOR + 2);
		assert_true(fabs(report.clock_lost_ms - STOPPED_FOR) <= report.clock_error_ms);
		assert_true(report.clock_error_ms < 0.21);
		assert_true(report.median_gap_ms == 1);
		assert_true(fabs(report.median_rtt_ms - 0.2) < 1e-6);
		assert_true(report.send_gap.to_ns - report.send_gap.from_ns == MS);
		assert_true(report.guest_after_ns - report.guest_before_ns < 2 * MS);
		/* Another part: nothing happened there. */
		report = probe_report(&series, 200 * MS, INT64_MAX);
		assert_int_equal(report.sent, 100);
		assert_int_equal(report.lost, 0);
		assert_true(report.gap_ms == 1);
		assert_true(fabs(report.clock_lost_ms) <= report.clock_error_ms);
	}
}

enum { SILENT_AT = 200, SILENT_FOR = 80 };

/* As while its memory is copied: silent for longer than it is stopped, while its clock goes on. */
static struct probe_series silent_and_stopped_series(void)
{
	struct probe_series series = stopped_series(true);
	size_t kept = 0;

	for (size_t i = 0; i < series.reply_count; i++) {
		int64_t at = replies[i].sent_ns / MS;

		if (at < SILENT_AT || at >= SILENT_AT + SILENT_FOR)
			replies[kept++] = replies[i];
	}
	series.reply_count = kept;
	return series;
}

static void assert_stop_is_found(const struct probe_series *series)
{
	struct probe_report report = probe_report(series, 0, INT64_MAX);

	assert_true(report.gap_ms > SILENT_FOR);
	assert_true(fabs(report.clock_lost_ms - STOPPED_FOR) <= report.clock_error_ms);
	assert_true(report.clock_error_ms < 0.21);
	assert_true(report.stop.from_ns == (STOPPED_AT - 1) * MS + MS / 5);
	assert_int_equal(report.guest_before_ns, (STOPPED_AT - 1) * MS + MS / 10 + 777);
}

static void a_stopped_clock_is_found_beside_a_longer_silence(void **state)
{
	struct probe_series series = silent_and_stopped_series();

	(void)state;
	assert_stop_is_found(&series);
	/* Before that silence every answer comes late, so that the clock may have stood in it for
	 * longer than in the stop: but there it surely has. */
	for (size_t i = 0; i < series.reply_count; i++) {
		int64_t at = replies[i].sent_ns / MS;

		if (at >= STOPPED_AT + STOPPED_FOR + 10 && at < SILENT_AT)
			replies[i].sent_ns -= (STOPPED_FOR + 15) * MS;
	}
	series = (struct probe_series){.replies = replies,
		.sent_ns = sent,
		.sent_count = series.sent_count,
		.reply_count = series.reply_count};
	assert_stop_is_found(&series);
}

/* Where it surely stood nowhere, no silence is chosen for its noise. */
static void a_clock_that_never_stood_is_read_across_the_longest_silence(void **state)
{
	struct probe_series series = silent_and_stopped_series();

	(void)state;
	for (size_t i = 0; i < series.reply_count; i++) {
		int64_t at = replies[i].sent_ns / MS;

		/* one that is a little behind, within what round trips leave open */
		replies[i].guest_monotonic_ns =
			(uint64_t)(replies[i].received_ns - (at >= STOPPED_AT ? MS / 10 : 0));
	}
	struct probe_report report = probe_report(&series, 0, INT64_MAX);

	assert_true(report.stop.index == report.gap.index);
	assert_true(fabs(report.clock_lost_ms) < 1e-6);
}

static void the_longest_gaps_are_in_order(void **state)
{
	static const int64_t at[] = {0, 5, 6, 16, 18, 21, 31};
	struct gap gaps[4];

	(void)state;
	assert_int_equal(gap_longest(of(at, 7), 0, INT64_MAX, gaps, 4), 4);
	assert_int_equal(gaps[0].index, 3); /* the first of two that are as long */
	assert_int_equal(gaps[1].index, 6);
	assert_int_equal(gaps[2].index, 1);
	assert_int_equal(gaps[3].index, 5);
	assert_int_equal(gap_longest(of(at, 3), 0, INT64_MAX, gaps, 4), 2);
	assert_int_equal(gap_longest(of(at, 1), 0, INT64_MAX, gaps, 4), 0);
}

static void too_little_is_not_a_number(void **state)
{
	(void)state;
	struct probe_series none = {0};
	struct stream_series silent = {0};
	struct probe_report report = probe_report(&none, 0, INT64_MAX);

	assert_true(isnan(report.gap_ms) && isnan(report.clock_lost_ms));
	assert_true(isnan(report.median_rtt_ms) && isnan(report.median_gap_ms));
	assert_true(isnan(stream_report(&silent, 0, INT64_MAX).stall_ms));
	/* All lost after the first two. */
	struct probe_series series = stopped_series(true);

	series.reply_count = 2;
	report = probe_report(&series, 0, INT64_MAX);
	assert_int_equal(report.lost, REQUESTS - 2);
	assert_true(isnan(report.clock_lost_ms));
}

/* A guest whose clock makes no sense gives a number that makes none, and nothing worse. */
static void clocks_of_a_hostile_guest_are_only_numbers(void **state)
{
	(void)state;
	struct probe_series series = stopped_series(true);

	for (size_t i = 0; i < series.reply_count; i++)
		replies[i].guest_monotonic_ns = i % 2 ? UINT64_MAX : 0;
	assert_false(isnan(probe_report(&series, 0, INT64_MAX).clock_lost_ms));
}

static void a_streams_records_are_counted_where_one_looks(void **state)
{
	(void)state;
	struct stream_arrival arrivals[] = {{1 * MS, 1}, {2 * MS, 2}, {30 * MS, 2}, {31 * MS, 40}};
	struct stream_series series = {.arrivals = arrivals, .count = 4, .records = 40};
	struct stream_report report = stream_report(&series, 0, INT64_MAX);

	assert_true(report.stall_ms == 28);
	assert_int_equal(report.records, 39);
	assert_true(report.survived);
	assert_true(report.median_gap_ms == 1);
	assert_int_equal(stream_report(&series, 31 * MS, INT64_MAX).records, 38);
	series.broken = "gone";
	assert_false(stream_report(&series, 0, INT64_MAX).survived);
}

static struct recovery recover(const double *throughput, size_t count, size_t event)
{
	return recovery_find(&(struct recovery_question){
		.throughput = throughput, .count = count, .window_ms = 10, .event = event});
}

static void recovery_is_timed_from_the_event(void **state)
{
	(void)state;
	static const double slow[] = {99, 100, 101, 100, 20, 50, 80, 94, 96, 100, 99, 100};
	static const double at_once[] = {100, 100, 100, 0, 100, 99, 100};
	static const double never[] = {100, 100, 100, 0, 90, 90, 90, 90, 90, 90};
	/* A lucky window among slow ones is not recovery. */
	static const double lucky[] = {100, 100, 100, 0, 99, 40, 40, 98, 97, 100};
	struct recovery recovery = recover(slow, 12, 4);

	assert_true(recovery.before == 100);
	assert_true(recovery.time_ms == 30);
	assert_true(fabs(recovery.lost - (0.8 + 0.5 + 0.2 + 0.06)) < 1e-9);
	assert_true(recover(at_once, 7, 3).time_ms == 0);
	assert_true(isnan(recover(never, 10, 3).time_ms));
	assert_true(recover(never, 10, 3).before == 100);
	assert_true(recover(lucky, 10, 3).time_ms == 30);
}

/* What slows a guest down before it is stopped is not how fast it was. */
static void former_throughput_ends_before_the_event(void **state)
{
	(void)state;
	static const double series[] = {100, 100, 100, 60, 60, 60, 60, 0, 60, 60, 99, 100, 100};
	struct recovery_question question = {
		.throughput = series, .count = 13, .window_ms = 10, .event = 7, .former = 3};

	assert_true(recovery_find(&question).before == 100);
	assert_true(recovery_find(&question).time_ms == 20);
	question.former = 0;
	assert_true(recovery_find(&question).before == 60);
	question.former = 8;
	assert_true(isnan(recovery_find(&question).before));
}

static void recovery_without_a_before_or_an_after_is_unknown(void **state)
{
	(void)state;
	static const double series[] = {100, 100, 0, 100};
	static const double idle[] = {0, 0, 0, 0, 0, 0};

	assert_true(isnan(recover(series, 4, 0).before));
	assert_true(isnan(recover(series, 4, 4).before));
	assert_true(isnan(recover(series, 4, 2).time_ms)); /* one window does not hold */
	assert_true(isnan(recover(idle, 6, 2).time_ms));
	struct recovery recovery = recovery_find(&(struct recovery_question){.throughput = series,
		.count = 4,
		.window_ms = 1,
		.event = 2,
		.fraction = 0.5,
		.hold = 1});

	assert_true(recovery.time_ms == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_largest_gap_is_found_where_one_looks),
		cmocka_unit_test(a_stopped_guests_clock_is_behind_by_its_downtime),
		cmocka_unit_test(a_stopped_clock_is_found_beside_a_longer_silence),
		cmocka_unit_test(a_clock_that_never_stood_is_read_across_the_longest_silence),
		cmocka_unit_test(the_longest_gaps_are_in_order),
		cmocka_unit_test(too_little_is_not_a_number),
		cmocka_unit_test(clocks_of_a_hostile_guest_are_only_numbers),
		cmocka_unit_test(a_streams_records_are_counted_where_one_looks),
		cmocka_unit_test(recovery_is_timed_from_the_event),
		cmocka_unit_test(former_throughput_ends_before_the_event),
		cmocka_unit_test(recovery_without_a_before_or_an_after_is_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
