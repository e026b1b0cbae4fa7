/* The readings of a move that observe.c has watched. They are appended raw: nothing here decides
 * what they mean. */
#include "mechanisms/zerocopy/observe.h"

#include <math.h>

enum { PAGE_BYTES = 4096 };

/* A time that could not be had is no reading. */
static struct error *put(struct trial *trial, const char *metric, json_t *at, double value)
{
	return isfinite(value) ? trial_sample(trial, metric, json_incref(at), value) : NULL;
}

struct longest {
	double total_ms, receive_ms, populate_ms, transfer_ms, qmp_ms, qemu_ms, verify_ms, udp_ms,
		tcp_ms, clock_ms, passes;
};

static struct longest longest_of(const struct watch *watch, const struct move_seen *seen)
{
	struct longest longest = {NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};

	for (size_t i = 0; i < watch->count; i++) {
		const struct move_report *report = &seen->reports[i];
		struct probe_report probe =
			probe_report(&watch->probed[i], seen->begin_ns, INT64_MAX);
		struct stream_report stream =
			stream_report(&watch->streamed[i], seen->begin_ns, INT64_MAX);

		longest.total_ms = fmax(longest.total_ms, report->total_ms);
		longest.receive_ms = fmax(longest.receive_ms, report->receive_ms);
		longest.populate_ms = fmax(longest.populate_ms, report->populate_ms);
		longest.transfer_ms = fmax(longest.transfer_ms, report->transfer_ms);
		longest.qmp_ms = fmax(longest.qmp_ms, report->downtime_ms);
		longest.qemu_ms = fmax(longest.qemu_ms, report->qemu_downtime_ms);
		longest.verify_ms = fmax(longest.verify_ms, report->verify_ms);
		longest.passes = fmax(longest.passes, (double)report->dirty_sync_count);
		longest.udp_ms = fmax(longest.udp_ms, probe.gap_ms);
		longest.clock_ms = fmax(longest.clock_ms, probe.clock_lost_ms);
		longest.tcp_ms = fmax(longest.tcp_ms, stream.stall_ms);
	}
	return longest;
}

struct error *read_times(
	struct trial *trial, const struct watch *watch, const struct move_seen *seen, json_t *at)
{
	const struct longest longest = longest_of(watch, seen);

	try_(put(trial, "migration_time", at, longest.total_ms / 1e3));
	try_(put(trial, "command_time", at, clock_seconds(seen->begin_ns, seen->end_ns)));
	try_(put(trial, "receive_time", at, longest.receive_ms / 1e3));
	try_(put(trial, "populate_time", at, longest.populate_ms / 1e3));
	try_(put(trial, "transfer_time", at, longest.transfer_ms / 1e3));
	try_(put(trial, "verify_time", at, longest.verify_ms / 1e3));
	try_(put(trial, "downtime", at, longest.udp_ms / 1e3));
	try_(put(trial, "downtime_tcp", at, longest.tcp_ms / 1e3));
	try_(put(trial, "downtime_clock", at, longest.clock_ms / 1e3));
	try_(put(trial, "downtime_qmp", at, longest.qmp_ms / 1e3));
	try_(put(trial, "downtime_qemu", at, longest.qemu_ms / 1e3));
	return zerocopy_copies(trial) ? put(trial, "passes", at, longest.passes) : NULL;
}

static enum traffic_path path_of(const struct trial *trial)
{
	const char *topology = trial_choice(trial, "topology");

	if (strcmp(topology, "machines") == 0)
		return TRAFFIC_TWO_MACHINES;
	if (strcmp(topology, "flat") == 0)
		return TRAFFIC_UNIX;
	if (!zerocopy_copies(trial))
		return TRAFFIC_CHANNEL;
	return strcmp(trial_choice(trial, "nic"), "e1000") == 0 ? TRAFFIC_NESTED
								: TRAFFIC_NESTED_PARAVIRTUAL;
}

/* What guests compute while they are moved is theirs: NAN where a stack did not tell it. */
static void take_guests_time(
	const struct move_seen *seen, size_t count, double *source, double *destination)
{
	for (size_t i = 0; i < count; i++) {
		*source -= seen->reports[i].source_vcpu_s;
		*destination -= seen->reports[i].target_vcpu_s;
	}
}

static struct error *put_cpu_time(
	struct trial *trial, size_t count, const struct move_seen *seen, json_t *at)
{
	const struct cpu_reading *before = &seen->cpu_before, *after = &seen->cpu_after;
	double total = after->total - before->total, guests = 0;
	double source = after->source - before->source;
	double destination = after->destination - before->destination;

	try_(put(trial, "cpu_time_all", at, total));
	take_guests_time(seen, count, &guests, &guests);
	take_guests_time(seen, count, &source, &destination);
	try_(put(trial, "cpu_time", at, total + guests));
	try_(put(trial, "cpu_time_source", at, source));
	return put(trial, "cpu_time_destination", at, destination);
}

struct error *read_costs(
	struct trial *trial, size_t count, const struct move_seen *seen, json_t *at)
{
	uint64_t sent = 0, memory = 0, digest = 0;
	struct traffic traffic;

	for (size_t i = 0; i < count; i++) {
		sent += seen->reports[i].sent_bytes;
		memory += seen->reports[i].memory_bytes;
		digest += 2 * seen->reports[i].digest_pages * PAGE_BYTES;
	}
	traffic = traffic_estimate(path_of(trial), sent, digest, memory);
	try_(put(trial, "stream_bytes", at, (double)sent));
	if (zerocopy_topology(trial)->network)
		try_(put(trial, "network_bytes", at,
			(double)(seen->network_after - seen->network_before + seen->control_after -
				 seen->control_before)));
	try_(put_cpu_time(trial, count, seen, at));
	try_(put(trial, "memory_traffic_counted", at,
		(seen->counted_after - seen->counted_before) / (double)memory));
	try_(put(trial, "memory_traffic", at, traffic.total));
	try_(put(trial, "memory_traffic_source", at, traffic.source));
	return put(trial, "memory_traffic_destination", at, traffic.destination);
}

struct guest_moments find_moments(const struct probe_series *probed, const struct move_seen *seen)
{
	struct probe_report during = probe_report(probed, seen->begin_ns, seen->end_ns);
	struct guest_moments moments = {.stopped_ns = during.guest_before_ns};

	for (size_t i = 0; i < probed->reply_count; i++) {
		if (probed->replies[i].received_ns > seen->begin_ns)
			break;
		moments.begin_ns = probed->replies[i].guest_monotonic_ns;
	}
	return moments;
}
