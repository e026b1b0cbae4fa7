/* How fast data gets from one system to the other (Figures 6 and 8): iperf3 over what is between
 * them, and through an SSH tunnel; or the channel in shared memory, which has nothing that iperf3
 * could connect to. Guests stand by. */
#include "mechanisms/zerocopy/way.h"
#include "mechanisms/zerocopy/zerocopy.h"
#include "harness/base/fs.h"
#include "harness/fleet/nested.h"
#include "workloads/host/iperf.h"

#include <math.h>

/* iperf3 listens there; through the tunnel, on the loopback. */
enum { LISTEN_PORT = 5201, TUNNEL_PORT = 7901 };
#define TUNNEL_ENTRY "127.0.0.1:7901"
#define TUNNEL_EXIT "127.0.0.1:5201"
#define MIB ((uint64_t)1 << 20)

enum {
	WARM_UP_MIB = 64, /* as iperf3's first second, these are not counted */
	NESTED_NICS = 3,  /* of an L1 guest; see nested.h */
};

/* Of the channel's payload that the NICs may carry meanwhile, for the stacks' requests. */
#define NIC_SHARE_MOST 0.01

double throughput_seconds(const struct trial *trial)
{
	return (double)trial_integer(trial, "transfer_s");
}

/* ---- iperf3 ---- */

static struct error *run_iperf(
	struct trial *trial, const struct way *way, bool tunnel, struct iperf_result *result)
{
	const struct iperf_spec spec = {
		.client = &way->places[0],
		.server = &way->places[1],
		.listen_address = tunnel ? "127.0.0.1" : way->addresses[1],
		.listen_port = LISTEN_PORT,
		.connect_address = tunnel ? "127.0.0.1" : way->addresses[1],
		.connect_port = tunnel ? TUNNEL_PORT : LISTEN_PORT,
		.seconds = throughput_seconds(trial),
	};

	return iperf_run(&spec, trial_deadline(trial), result);
}

/* One run, and what the link has carried meanwhile: no less than iperf3's server has received. */
static struct error *measure_link(struct trial *trial, const struct way *way, bool tunnel)
{
	const char *metric = tunnel ? "throughput_ssh" : "throughput";
	const struct topology *topology = zerocopy_topology(trial);
	struct iperf_result result = {0};
	uint64_t before, after;

	try_(topology->network(trial, &before));
	try_(run_iperf(trial, way, tunnel, &result));
	json_decref(result.report);
	try_(topology->network(trial, &after));
	try_(trial_evidence(trial, tunnel ? "link-ssh" : "link",
		result.received_bytes > 0 && (double)(after - before) >= result.received_bytes,
		(double)(after - before), "bytes",
		"crossed the link between the systems, while iperf3's server received %.0f%s",
		result.received_bytes, tunnel ? " through the SSH tunnel" : ""));
	return trial_sample(trial, metric, NULL, result.mbit_s);
}

static struct error *measure_links(struct trial *trial, struct way *way)
{
	try_(measure_link(trial, way, false));
	way_begin(way, 0, trial_deadline(trial));
	try_(way_open(way, TUNNEL_ENTRY, TUNNEL_EXIT));
	return measure_link(trial, way, true);
}

/* ---- the channel ---- */

/* All NICs of the first system together, both ways. */
static struct error *nic_bytes(struct trial *trial, uint64_t *bytes)
{
	*bytes = 0;
	for (size_t i = 0; i < NESTED_NICS; i++) {
		_cleanup_free_ char *tap = guest_tap(fleet_guest_name(trial_fleet(trial), 0), 0, i);
		uint64_t frames, carried;

		try_(network_counters(tap, &frames, &carried));
		*bytes += carried;
	}
	return NULL;
}

/* An L1 guest has measured it. */
static struct error *channel_seconds(struct trial *trial, uint64_t bytes, double *seconds)
{
	const struct zerocopy *state = trial_state(trial);

	try_(nested_channel_seconds(state->nested, bytes, trial_deadline(trial), seconds));
	return isfinite(*seconds) && *seconds > 0
		       ? NULL
		       : error_new(ERROR_GUEST, "an L1 guest says that %llu bytes took it %g s",
				 (unsigned long long)bytes, *seconds);
}

uint64_t throughput_channel_bytes(const struct trial *trial, uint64_t bytes, double seconds)
{
	double wanted = (double)bytes / seconds * throughput_seconds(trial);
	double most = (double)(64 * 1024 * MIB);

	return wanted < (double)MIB ? MIB : (uint64_t)fmin(wanted, most) / MIB * MIB;
}

static struct error *measure_channel(struct trial *trial)
{
	uint64_t bytes, before, after;
	double seconds;

	try_(channel_seconds(trial, WARM_UP_MIB * MIB, &seconds));
	bytes = throughput_channel_bytes(trial, WARM_UP_MIB * MIB, seconds);
	try_(nic_bytes(trial, &before));
	try_(channel_seconds(trial, bytes, &seconds));
	try_(nic_bytes(trial, &after));
	try_(trial_evidence(trial, "channel",
		(double)(after - before) < NIC_SHARE_MOST * (double)bytes, (double)(after - before),
		"bytes",
		"crossed all NICs of the first system, while %llu went through the channel",
		(unsigned long long)bytes));
	return trial_sample(trial, "throughput", NULL, (double)bytes * 8 / 1e6 / seconds);
}

struct error *measure_throughput(struct trial *trial)
{
	const struct topology *topology = zerocopy_topology(trial);

	if (!topology->way)
		return error_hint(
			error_new(ERROR_USAGE, "between two stacks of one host there is no link"),
			"choose another variant: phys, nest, blanket, vmbeam");
	if (zerocopy_copies(trial))
		return measure_links(trial, topology->way(trial));
	return measure_channel(trial);
}
