/* Two machines joined by cables (the second machine is a network namespace), and an SSH tunnel for
 * the migration's stream, as people have it between two hosts: the paper's Xen-Phys. */
#include "mechanisms/zerocopy/way.h"
#include "mechanisms/zerocopy/zerocopy.h"
#include "harness/base/fs.h"
#include "harness/fleet/fleet_move.h"
#include "harness/lab/cpu_time.h"
#include "harness/lab/lab.h"

#include <math.h>

enum { LAN = 0, MOVE = 1, KBIT = 1000 };

/* The stream has a cable of its own, so that what crosses it can be counted apart from what the
 * guests and their clients say to each other. */
static const struct link_spec links[] = {
	[LAN] = {"lan", "10.77.0.254/24", 0, 0},
	[MOVE] = {"move", "10.77.1.254/24", 0, 0},
};

static struct way *way_of(struct trial *trial)
{
	return ((struct zerocopy *)trial_state(trial))->topology;
}

static struct error *machines_fleet(struct trial *trial, struct fleet_spec *spec)
{
	struct machine_spec *machine = trial_keep(trial, calloc(1, sizeof(*machine)));

	try_(topology_flat.fleet(trial, spec));
	*machine = (struct machine_spec){
		.number = 1,
		.rate_kbit_s = (uint64_t)trial_integer(trial, "link_mbit") * KBIT,
	};
	spec->machine = machine;
	spec->links = links;
	spec->link_count = ARRAY_SIZE(links);
	return NULL;
}

static struct error *machines_open(struct trial *trial)
{
	const struct machine *second = fleet_machine(trial_fleet(trial));
	struct way *way = calloc(1, sizeof(*way));

	if (!way)
		abort();
	((struct zerocopy *)trial_state(trial))->topology = way;
	for (int i = 0; i < 2; i++) {
		const struct machine *machine = i == 0 ? NULL : second;

		way->dirs[i] = format_string("%s/ssh%d", lab_dir(), i);
		way->addresses[i] = machine_address(machine, &links[MOVE]);
		way->places[i] = (struct place){
			.name = i == 0 ? "the lab" : "machine 1",
			.dir = way->dirs[i],
			.machine = machine,
		};
	}
	return way_prepare(way, trial_deadline(trial));
}

static void machines_close(struct trial *trial)
{
	struct way *way = way_of(trial);

	if (way)
		way_deinit(way);
	free(way);
}

static void machines_ready(struct trial *trial, unsigned int from)
{
	way_begin(way_of(trial), from, trial_deadline(trial));
}

static struct error *machines_move(struct trial *trial, const unsigned int guests[], size_t count,
	const struct move_options *options, struct move_report reports[])
{
	struct way *way = way_of(trial);
	struct move_options own = *options;

	own.route = way_route;
	own.context = way;
	return fleet_move(trial_fleet(trial), guests, count, 1 - way->from, &own, reports);
}

/* Which side is the source depends on where the guests are; what is in the lab itself counts as
 * stack 0's. */
static struct error *machines_cpu(
	struct trial *trial, unsigned int from, struct cpu_reading *reading)
{
	double here, there;

	try_(cpu_time_machine(NULL, &here));
	try_(cpu_time_machine(fleet_machine(trial_fleet(trial)), &there));
	try_(cpu_time_lab_but_self(&reading->total));
	here -= cpu_time_self();
	reading->source = from == 0 ? here : there;
	reading->destination = from == 0 ? there : here;
	return NULL;
}

static struct error *machines_network(struct trial *trial, uint64_t *bytes)
{
	struct cable_traffic traffic;

	try_(machine_cable(fleet_machine(trial_fleet(trial)), links[MOVE].name, &traffic));
	*bytes = traffic.bytes_to_machine + traffic.bytes_from_machine;
	return NULL;
}

const struct topology topology_machines = {
	.name = "machines",
	.emulated = "two machines: network namespaces of one host, joined by a shaped cable",
	.fleet = machines_fleet,
	.open = machines_open,
	.close = machines_close,
	.ready = machines_ready,
	.move = machines_move,
	.cpu = machines_cpu,
	.way = way_of,
	.network = machines_network,
	.guests = trial_fleet,
	.has_disks = true,
	.sshd_of_host = true,
	.seen_from_here = true,
};
