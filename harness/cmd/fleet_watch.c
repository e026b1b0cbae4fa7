/* Clients of every guest of a running fleet: see fleet_watch.h. What guests answer is hostile. */
#include "harness/cmd/fleet_watch.h"
#include "harness/base/fs.h"
#include "workloads/host/stream.h"

#include <math.h>

#define PROGRAM "/sbin/fleetlab-guest"
#define OUTPUT "/run/fleetlab-watch.json"
/* How many replies and records each guest gives before and after what is watched. */
enum { SETTLE = 20 };
/* For all servers of a watch that came to nothing. */
#define END_TIMEOUT_MS 10000

struct fleet_watch {
	struct fleet *fleet;
	unsigned int count;
	struct probe_target *targets;
	int64_t *pids; /* of the guests' servers; 0: none runs */
	struct probe *probe;
	struct stream *stream;
};

/* A thousand datagrams and records a second in all: to watch must not be what loads the host. */
static unsigned int interval_us(const struct fleet_watch *watch)
{
	return 1000 * watch->count;
}

static struct error *start_server(
	struct fleet_watch *watch, unsigned int guest, struct deadline deadline)
{
	_cleanup_free_ char *interval = format_string("--interval-us=%u", interval_us(watch));
	const char *const argv[] = {
		PROGRAM, "echo", "--port=0", interval, "--daemon", "--output=" OUTPUT, NULL};
	_cleanup_json_ json_t *ready = NULL;
	json_int_t pid = 0, port = 0;

	try_(fleet_run_json(watch->fleet, guest, argv, deadline, &ready));
	if (json_unpack(ready, "{s:I, s:I}", "pid", &pid, "port", &port) < 0 || port <= 0 ||
		port > UINT16_MAX)
		return error_new(ERROR_GUEST, "the echo server of guest %s tells no pid and port",
			fleet_guest_name(watch->fleet, guest));
	watch->pids[guest] = pid;
	watch->targets[guest].name = fleet_guest_name(watch->fleet, guest);
	watch->targets[guest].port = (uint16_t)port;
	watch->targets[guest].address = fleet_guest_address(watch->fleet, guest, 0);
	return NULL;
}

static struct error *flow(struct fleet_watch *watch, struct deadline deadline)
{
	try_(probe_await(watch->probe, SETTLE, deadline));
	return stream_await(watch->stream, SETTLE, deadline);
}

struct error *fleet_watch_start(
	struct fleet *fleet, struct deadline deadline, struct fleet_watch **watch)
{
	_cleanup_(cleanup_fleet_watch) struct fleet_watch *made = calloc(1, sizeof(*made));

	if (!made)
		abort();
	made->fleet = fleet;
	made->count = fleet_count(fleet);
	made->targets = calloc(made->count + 1, sizeof(*made->targets));
	made->pids = calloc(made->count + 1, sizeof(*made->pids));
	if (!made->targets || !made->pids)
		abort();
	for (unsigned int i = 0; i < made->count; i++)
		try_(start_server(made, i, deadline));
	try_(stream_start(made->targets, made->count, deadline, &made->stream));
	try_(probe_start(made->targets, made->count, interval_us(made), &made->probe));
	try_(flow(made, deadline));
	*watch = take_ptr(made);
	return NULL;
}

static void describe(
	json_t *guest, const struct probe_series *replies, const struct stream_series *records)
{
	struct probe_report seen = probe_report(replies, 0, INT64_MAX);
	struct stream_report stream = stream_report(records, 0, INT64_MAX);

	json_object_set_new(
		guest, "udp_gap_ms", isfinite(seen.gap_ms) ? json_real(seen.gap_ms) : json_null());
	json_object_set_new(guest, "tcp_stall_ms",
		isfinite(stream.stall_ms) ? json_real(stream.stall_ms) : json_null());
	json_object_set_new(guest, "connected", json_boolean(stream.survived));
	if (records->broken)
		json_object_set_new(guest, "broken", json_string(records->broken));
}

/* Each is told once. Goes on after a failure and returns the first one. */
static struct error *end_servers(struct fleet_watch *watch, struct deadline deadline)
{
	struct error *first = NULL;

	for (unsigned int i = 0; i < watch->count; i++) {
		_cleanup_free_ char *pid = format_string("--pid=%lld", (long long)watch->pids[i]);
		const char *const argv[] = {PROGRAM, "collect", pid, "--output=" OUTPUT, NULL};
		_cleanup_json_ json_t *served = NULL;
		_cleanup_error_ struct error *err = NULL;

		if (!watch->pids[i])
			continue;
		watch->pids[i] = 0;
		err = fleet_run_json(watch->fleet, i, argv, deadline, &served);
		if (!first)
			first = take_ptr(err);
	}
	return first;
}

struct error *fleet_watch_finish(
	struct fleet_watch *watch, struct deadline deadline, json_t *guests)
{
	_cleanup_(cleanup_fleet_watch) struct fleet_watch *owned = watch;
	struct probe_series *replies = calloc(watch->count + 1, sizeof(*replies));
	struct stream_series *records = calloc(watch->count + 1, sizeof(*records));
	/* A stream that broke has to be told of, not to be an error: its answer is in the series.
	 */
	struct error *late = flow(watch, deadline);
	struct error *err;

	if (!replies || !records)
		abort();
	error_destroy(late);
	err = probe_stop(take_ptr(watch->probe), replies);
	if (!err)
		err = stream_stop(take_ptr(watch->stream), records);
	for (unsigned int i = 0; i < watch->count; i++) {
		if (!err)
			describe(json_array_get(guests, i), &replies[i], &records[i]);
		probe_series_deinit(&replies[i]);
		stream_series_deinit(&records[i]);
	}
	free(replies);
	free(records);
	return err ? err : end_servers(watch, deadline);
}

void fleet_watch_destroy(struct fleet_watch *watch)
{
	if (!watch)
		return;
	probe_destroy(watch->probe);
	stream_destroy(watch->stream);
	if (watch->pids)
		error_destroy(end_servers(watch, deadline_after_ms(END_TIMEOUT_MS)));
	for (unsigned int i = 0; i < watch->count && watch->targets; i++)
		free((char *)watch->targets[i].address);
	free(watch->targets);
	free(watch->pids);
	free(watch);
}
