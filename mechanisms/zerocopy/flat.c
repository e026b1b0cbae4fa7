/* Two stacks on one host, side by side in one lab. */
#include "mechanisms/zerocopy/zerocopy.h"
#include "harness/fleet/fleet_move.h"
#include "harness/lab/cpu_time.h"

#include <math.h>

static const struct link_spec links[] = {{"lan", "10.77.0.254/24", 0, 0}};
static const struct nic_spec nics[] = {{"lan", "virtio-net-pci"}};

static const char *const cpr_arguments[] = {MOVE_CPR_ARGUMENTS, NULL};

static enum ram_backing backing_of(const struct trial *trial)
{
	const char *backing = trial_choice(trial, "backing");

	return strcmp(backing, "huge") == 0  ? RAM_BACKING_HUGE
	       : strcmp(backing, "thp") == 0 ? RAM_BACKING_THP
					     : RAM_BACKING_SHMEM;
}

/* Sizes live as long as the trial. */
static struct error *flat_fleet(struct trial *trial, struct fleet_spec *spec)
{
	uint64_t *sizes = trial_keep(trial, calloc(ZEROCOPY_GUESTS_MAX, sizeof(*sizes)));
	size_t count = zerocopy_sizes_mib(trial, sizes);

	for (size_t i = 0; i < count; i++)
		sizes[i] <<= 20;
	*spec = (struct fleet_spec){
		.image = zerocopy_image(trial),
		.count = (unsigned int)count,
		.memory_bytes = sizes[0],
		.memory_bytes_each = sizes,
		.vcpus = 1, /* the paper's guests */
		.start = trial_choice(trial, "start")[0] == 't' ? FLEET_TEMPLATE : FLEET_COLD,
		.ram = RAM_SHARED,
		.ram_backing = backing_of(trial),
		.disk_bytes = ZEROCOPY_DISK_BYTES,
		.stack_count = 2,
		.links = links,
		.link_count = ARRAY_SIZE(links),
		.nics = nics,
		.nic_count = ARRAY_SIZE(nics),
		.qemu_args = zerocopy_method(trial) == MOVE_CPR ? cpr_arguments : NULL,
	};
	return NULL;
}

static struct error *flat_move(struct trial *trial, const unsigned int guests[], size_t count,
	const struct move_options *options, struct move_report reports[])
{
	struct fleet *fleet = trial_fleet(trial);
	unsigned int to = fleet_guest_stack(fleet, guests[0]) == 0 ? 1 : 0;

	return fleet_move(fleet, guests, count, to, options, reports);
}

static struct error *flat_cpu(struct trial *trial, unsigned int from, struct cpu_reading *reading)
{
	(void)trial;
	(void)from;
	*reading = (struct cpu_reading){NAN, NAN, NAN};
	return cpu_time_lab_but_self(&reading->total);
}

const struct topology topology_flat = {
	.name = "flat",
	.fleet = flat_fleet,
	.move = flat_move,
	.cpu = flat_cpu,
	.guests = trial_fleet,
	.has_disks = true,
	.seen_from_here = true,
};
