/* A real guest is stopped and goes on, by its monitor: probe, stream and the guest's own clock tell
 * of it in one voice, and neither memory, disk nor connection suffer. */
#include "harness/fleet/test/live.h"
#include "workloads/host/stream.h"

#include <math.h>

#define STOP_MS 400
/* Not every millisecond: a guest that only just keeps up is late to answer, and cannot be timed. */
#define INTERVAL_US 10000
#define PROGRAM GUEST_PROGRAM

static const struct link_spec links[] = {{"lan", "10.77.0.254/24", 0, 0}};
static const struct nic_spec nics[] = {{"lan", "virtio-net-pci"}};

/* The guest does nothing between the two moments of our clock. */
struct stop {
	int64_t from_ns, to_ns;
};

static void command(struct stack *stack, struct fleet *fleet, const char *what)
{
	assert_ok(stack_request(stack,
		json_pack("{s:s, s:s, s:s}", "op", "qmp", "name", fleet_guest_name(fleet, 0),
			"command", what),
		LIVE_DEADLINE, NULL));
}

static struct stop stop_guest(struct fleet *fleet)
{
	_cleanup_(cleanup_stack) struct stack *stack = NULL;
	struct stop stop;

	assert_ok(stack_connect(fleet_stack_socket(fleet, 0), &stack));
	command(stack, fleet, "stop");
	stop.from_ns = clock_now_ns();
	for (struct deadline end = deadline_after_ms(STOP_MS); !deadline_passed(end);)
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME,
			&(struct timespec){end.at_ns / NSEC_PER_SEC, end.at_ns % NSEC_PER_SEC},
			NULL);
	stop.to_ns = clock_now_ns();
	command(stack, fleet, "cont");
	return stop;
}

/* What a command of the guest program prints; it must succeed. */
static json_t *guest(struct fleet *fleet, const char *words)
{
	_cleanup_free_ char *line = format_string("%s %s", PROGRAM, words);
	_cleanup_free_ char *text = live_shell(fleet, 0, line);
	json_t *printed = json_loads(text, 0, NULL);

	assert_non_null(printed);
	return printed;
}

static json_int_t number(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	if (!json_is_integer(value))
		fail_msg("no number '%s'", name);
	return json_integer_value(value);
}

static long long start(struct fleet *fleet, const char *name, const char *words)
{
	_cleanup_free_ char *line =
		format_string("%s %s --daemon --output=/run/%s.json", name, words, name);
	_cleanup_json_ json_t *ready = guest(fleet, line);

	return number(ready, "pid");
}

static json_t *collect(struct fleet *fleet, const char *name, long long pid)
{
	_cleanup_free_ char *line =
		format_string("collect --pid=%lld --output=/run/%s.json", pid, name);

	return guest(fleet, line);
}

static void assert_covers(struct gap gap, struct stop stop)
{
	if (gap.from_ns > stop.from_ns || gap.to_ns < stop.to_ns)
		fail_msg("a silence from %+.3f to %+.3f ms of a stop of %.3f ms",
			(double)(gap.from_ns - stop.from_ns) / 1e6,
			(double)(gap.to_ns - stop.from_ns) / 1e6,
			(double)(stop.to_ns - stop.from_ns) / 1e6);
}

/* Its clock stood still as long as it did, which it cannot see itself. */
static void check_clocks(const struct probe_report *report, struct stop stop, const json_t *gaps)
{
	double stopped_ms = (double)(stop.to_ns - stop.from_ns) / 1e6;
	double seen_ms = (double)number(gaps, "largest_ns") / 1e6;

	print_message("stopped %.2f ms: probe's gap %.2f ms (requests' %.2f), clock lost %.3f +- "
		      "%.3f ms, "
		      "guest saw %.2f ms; round trip %.3f ms\n",
		stopped_ms, report->gap_ms, gap_ms(report->send_gap), report->clock_lost_ms,
		report->clock_error_ms, seen_ms, report->median_rtt_ms);
	assert_covers(report->gap, stop);
	/* Together they make up for the stop; the clock may also run in the time that the monitor's
	 * commands take, but never longer than nobody was answered. */
	assert_true(report->clock_lost_ms + seen_ms + report->clock_error_ms >= stopped_ms);
	assert_true(report->clock_lost_ms - report->clock_error_ms <= report->gap_ms);
}

static void see_a_stop(struct fleet *fleet)
{
	_cleanup_free_ char *address = fleet_guest_address(fleet, 0, 0);
	const struct probe_target target = {.name = "g0", .address = address};
	_cleanup_free_ char *words = format_string("--interval-us=%d", INTERVAL_US);
	long long echo = start(fleet, "echo", words);
	long long clock = start(fleet, "clock-gap", "--seconds=60");
	struct probe_series replies;
	struct stream_series records;
	struct stream *stream;
	struct probe *probe;

	assert_ok(stream_start(&target, 1, LIVE_DEADLINE, &stream));
	assert_ok(probe_start(&target, 1, INTERVAL_US, &probe));
	assert_ok(probe_await(probe, 200, LIVE_DEADLINE));
	assert_ok(stream_await(stream, 200, LIVE_DEADLINE));
	struct stop stop = stop_guest(fleet);

	assert_ok(probe_await(probe, 200, LIVE_DEADLINE));
	assert_ok(stream_await(stream, 200, LIVE_DEADLINE));
	_cleanup_json_ json_t *gaps = collect(fleet, "clock-gap", clock);

	assert_ok(probe_stop(probe, &replies));
	assert_ok(stream_stop(stream, &records));
	_cleanup_json_ json_t *served = collect(fleet, "echo", echo);
	int64_t around = 250 * NSEC_PER_MSEC;
	struct probe_report report =
		probe_report(&replies, stop.from_ns - around, stop.to_ns + around);
	struct stream_report stream_seen =
		stream_report(&records, stop.from_ns - around, stop.to_ns + around);

	check_clocks(&report, stop, gaps);
	print_message("stream stalled %.2f ms, median gap %.3f ms, %llu records\n",
		stream_seen.stall_ms, stream_seen.median_gap_ms,
		(unsigned long long)records.records);
	assert_covers(stream_seen.stall, stop);
	assert_true(stream_seen.survived);
	assert_true(number(served, "replies") >= (json_int_t)replies.reply_count);
	assert_int_equal(number(served, "connections"), 1);
	probe_series_deinit(&replies);
	stream_series_deinit(&records);
}

static void keep_what_it_has(struct fleet *fleet)
{
	long long fill = start(fleet, "fill", "--percent=25");
	long long writer = start(fleet, "disk-write", "--mib=4 --rate=0 --seconds=60");
	long long dirty = start(fleet, "dirty", "--mib=16 --rate=5000 --seconds=60");

	stop_guest(fleet);
	_cleanup_json_ json_t *dirtied = collect(fleet, "dirty", dirty);
	_cleanup_json_ json_t *written = collect(fleet, "disk-write", writer);
	_cleanup_free_ char *check =
		format_string("disk-check --mib=4 --run=%lld --acknowledged=%lld",
			number(written, "run"), number(written, "acknowledged"));
	_cleanup_json_ json_t *disk = guest(fleet, check);
	_cleanup_free_ char *verify = format_string("fill --verify=%lld", fill);
	_cleanup_json_ json_t *memory = guest(fleet, verify);
	_cleanup_json_ json_t *filled = collect(fleet, "fill", fill);

	assert_true(json_is_true(json_object_get(memory, "intact")));
	assert_in_range(number(memory, "pages") >> 8, 192 / 8, 192 / 4);
	assert_true(json_is_true(json_object_get(disk, "intact")));
	assert_true(json_is_true(json_object_get(disk, "direct")));
	assert_true(number(written, "acknowledged") > 0);
	assert_true(number(dirtied, "pages") > 0);
	print_message(
		"filled %lld pages in %.1f ms; %lld blocks written, slowest %.1f ms; %lld pages/s "
		"dirtied of 5000\n",
		number(memory, "pages"), (double)number(filled, "fill_ns") / 1e6,
		number(written, "acknowledged"), (double)number(written, "largest_write_ns") / 1e6,
		number(dirtied, "reached_rate"));
}

static const struct fleet_spec one_clone = {.image = {.kind = "tiny"},
	.count = 1,
	.memory_bytes = 192 << 20,
	.vcpus = 1,
	.start = FLEET_TEMPLATE,
	.disk_bytes = 16 << 20,
	.links = links,
	.link_count = 1,
	.nics = nics,
	.nic_count = 1};

static void a_stop_is_seen_alike_from_everywhere(void **state)
{
	(void)state;
	live_run(&one_clone, see_a_stop);
}

static void loads_run_through_a_stop(void **state)
{
	(void)state;
	live_run(&one_clone, keep_what_it_has);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stop_is_seen_alike_from_everywhere),
		cmocka_unit_test(loads_run_through_a_stop),
	};

	return live_main(argc, argv, "live stalls", tests, ARRAY_SIZE(tests));
}
