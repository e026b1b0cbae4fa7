/* Two machines of which the second is a real one, reached by SSH (harness/fleet/peer.h): the
 * paper's Xen-Phys as it was meant. SSH is also the tunnel, so everything between the two takes it:
 * the stream, the guests' own frames, and the requests to the stack there. */
#include "mechanisms/zerocopy/zerocopy.h"
#include "harness/fleet/peer.h"
#include "harness/host/proc.h"
#include "harness/lab/cpu_time.h"

/* A disk would have to go along: guests have none. Neither can one be started there from files of
 * this machine; clones need none. */
static struct error *peer_fleet(struct trial *trial, struct fleet_spec *spec)
{
	if (strcmp(trial_choice(trial, "start"), "template") != 0)
		return error_hint(error_new(ERROR_USAGE, "with a peer, guests cannot start cold: "
							 "what they boot from is on this machine"),
			"-p start=template");
	try_(topology_machines.fleet(trial, spec));
	spec->disk_bytes = 0;
	return NULL;
}

static struct error *peer_move(struct trial *trial, const unsigned int guests[], size_t count,
	const struct move_options *options, struct move_report reports[])
{
	return topology_flat.move(trial, guests, count, options, reports);
}

/* SSH runs outside of the lab, but is of what a move costs. */
static struct error *peer_cpu(struct trial *trial, unsigned int from, struct cpu_reading *reading)
{
	double here, ssh, there;

	try_(peer_cpu_time(trial_peer(trial), trial_deadline(trial), &ssh, &there));
	try_(cpu_time_lab_but_self(&here));
	here += ssh;
	*reading = (struct cpu_reading){
		.total = here + there,
		.source = from == 0 ? here : there,
		.destination = from == 0 ? there : here,
	};
	return NULL;
}

static struct error *peer_network(struct trial *trial, uint64_t *bytes)
{
	return peer_carried(trial_peer(trial), bytes);
}

/* By both machines' kernels. */
static struct error *peer_sight(
	struct trial *trial, unsigned int guest, unsigned int from, struct sight *sight)
{
	const char *name = fleet_guest_name(trial_fleet(trial), guest);
	unsigned int here, there;

	try_(proc_count_qemus(name, &here));
	try_(peer_count_qemus(trial_peer(trial), name, trial_deadline(trial), &there));
	sight->changed_sides = from == 0 ? here == 0 && there == 1 : here == 1 && there == 0;
	sight->same_memory = false;
	return NULL;
}

/* The link is what it is. */
static struct error *peer_open_topology(struct trial *trial)
{
	try_(trial_effective(trial, "link_mbit", json_null()));
	if (!peer_is_here(trial_peer(trial)))
		return NULL;
	return trial_effective(trial, "emulated",
		json_string("two machines: two labs of one host, joined by SSH"));
}

const struct topology topology_peer = {
	.name = "peer",
	.open = peer_open_topology,
	.fleet = peer_fleet,
	.move = peer_move,
	.cpu = peer_cpu,
	.network = peer_network,
	.guests = trial_fleet,
	.sight = peer_sight,
	.apart = true,
};
