/* Two systems that are guests themselves: each runs a stack with KVM inside, as the paper's host
 * VMs do. Without copying, the guests' memory is NVDIMMs that both have (VMBeam), and the stream
 * goes through shared memory; with copying, it goes through SSH over a NIC, emulated (Xen-Nest) or
 * paravirtual (Xen-Blanket). */
#include "mechanisms/zerocopy/way.h"
#include "mechanisms/zerocopy/zerocopy.h"
#include "harness/base/fs.h"
#include "harness/base/parallel.h"
#include "harness/fleet/fleet_move.h"
#include "harness/fleet/nested.h"
#include "harness/lab/cpu_time.h"

/* What a system needs of memory besides room for copies of the guests. */
enum { OWN_MIB = 640 };

static struct nested *nested_of(struct trial *trial)
{
	return ((struct zerocopy *)trial_state(trial))->nested;
}

static struct way *way_of(struct trial *trial)
{
	return ((struct zerocopy *)trial_state(trial))->topology;
}

static void destroy_plan(void *plan)
{
	nested_plan_destroy(plan);
}

/* Room for copies is there where nothing is copied, too: all systems are alike. */
static uint64_t outer_bytes(const struct nested_spec *spec)
{
	uint64_t bytes = (uint64_t)OWN_MIB << 20;

	for (unsigned int i = 0; i < spec->count; i++)
		bytes += spec->memory_bytes[i];
	return bytes;
}

static struct error *nested_fleet(struct trial *trial, struct fleet_spec *spec)
{
	struct zerocopy *state = trial_state(trial);
	uint64_t sizes[ZEROCOPY_GUESTS_MAX];
	struct nested_spec wanted = {
		.move_nic = trial_choice(trial, "nic"),
		.channel = !zerocopy_copies(trial),
		.guest_image = zerocopy_image(trial),
	};
	size_t count = zerocopy_sizes_mib(trial, sizes);

	if (count > NESTED_GUESTS_MAX)
		return error_new(ERROR_USAGE, "at most %d guests are moved between nested systems",
			NESTED_GUESTS_MAX);
	for (size_t i = 0; i < count; i++)
		wanted.memory_bytes[wanted.count++] = sizes[i] << 20;
	wanted.outer_memory_bytes = outer_bytes(&wanted);
	state->plan = trial_keep_object(trial, nested_plan_create(&wanted), destroy_plan);
	nested_fleet_spec(state->plan, spec);
	return NULL;
}

static struct error *nested_start(struct trial *trial)
{
	struct zerocopy *state = trial_state(trial);
	struct way *way = calloc(1, sizeof(*way));

	if (!way)
		abort();
	state->topology = way;
	for (unsigned int i = 0; i < NESTED_STACKS; i++) {
		/* Not below /run, which sshd gets anew. */
		way->dirs[i] = format_string("/tmp/way%u", i);
		way->addresses[i] = format_string("%s", nested_move_address(i));
		way->places[i] = (struct place){
			.name = fleet_guest_name(trial_fleet(trial), i),
			.dir = way->dirs[i],
			.agent = fleet_agent(trial_fleet(trial), i),
		};
	}
	try_(nested_open(trial_fleet(trial), state->plan, trial_deadline(trial), &state->nested));
	return zerocopy_copies(trial) ? way_prepare(way, trial_deadline(trial)) : NULL;
}

static void nested_end(struct trial *trial)
{
	struct zerocopy *state = trial_state(trial);

	if (way_of(trial))
		way_deinit(way_of(trial));
	free(way_of(trial));
	nested_close(state->nested);
}

static void nested_ready(struct trial *trial, unsigned int from)
{
	way_begin(way_of(trial), from, trial_deadline(trial));
}

static struct error *nested_move(struct trial *trial, const unsigned int guests[], size_t count,
	const struct move_options *options, struct move_report reports[])
{
	struct fleet *inner = zerocopy_guests(trial);
	struct way *way = way_of(trial);
	struct move_options own = *options;

	if (zerocopy_copies(trial)) {
		own.route = way_route;
		own.context = way;
	}
	return fleet_move(inner, guests, count, 1 - way->from, &own, reports);
}

/* A system's time is that of the QEMU in which it runs. */
static struct error *nested_cpu(struct trial *trial, unsigned int from, struct cpu_reading *reading)
{
	const pid_t source = fleet_guest_pid(trial_fleet(trial), from);
	const pid_t destination = fleet_guest_pid(trial_fleet(trial), 1 - from);

	try_(cpu_time_lab_but_self(&reading->total));
	try_(cpu_time_processes(&source, 1, &reading->source));
	return cpu_time_processes(&destination, 1, &reading->destination);
}

/* As in nested.h. */
enum { NIC_MOVE = 0, NIC_MANAGE = 1 };

static struct error *nic_bytes(
	struct trial *trial, unsigned int system, unsigned int nic, uint64_t *bytes)
{
	_cleanup_free_ char *tap = guest_tap(fleet_guest_name(trial_fleet(trial), system), 0, nic);
	uint64_t frames;

	return network_counters(tap, &frames, bytes);
}

/* What the first system's NIC for migrations has carried: there is no other on that link. */
static struct error *nested_network(struct trial *trial, uint64_t *bytes)
{
	return nic_bytes(trial, 0, NIC_MOVE, bytes);
}

/* Requests to the stacks; the guests' own agents are asked over these links, too, though not while
 * they move. */
static struct error *nested_control(struct trial *trial, uint64_t *bytes)
{
	uint64_t carried;

	*bytes = 0;
	for (unsigned int i = 0; i < NESTED_STACKS; i++) {
		try_(nic_bytes(trial, i, NIC_MANAGE, &carried));
		*bytes += carried;
	}
	return NULL;
}

static struct fleet *inner_fleet(struct trial *trial)
{
	return nested_guests(nested_of(trial));
}

struct looks {
	struct trial *trial;
	unsigned int guest;
	struct nested_sight seen[NESTED_STACKS];
};

static struct error *look(size_t stack, void *context)
{
	struct looks *looks = context;

	return nested_look(nested_of(looks->trial), looks->guest, (unsigned int)stack,
		trial_deadline(looks->trial), &looks->seen[stack]);
}

/* From L0 that both systems have the guest's NVDIMM, and in the systems who uses it. */
static struct error *nested_sight(
	struct trial *trial, unsigned int guest, unsigned int from, struct sight *sight)
{
	struct looks looks = {trial, guest, {{0}}};
	const struct nested_sight *source = &looks.seen[from], *target = &looks.seen[1 - from];
	bool given;

	try_(nested_same_memory(nested_of(trial), guest, &given));
	try_(parallel_for(NESTED_STACKS, NESTED_STACKS, look, &looks));
	sight->changed_sides = target->processes == 1 && source->processes == 0;
	sight->same_memory = given && target->on_nvdimm == 1 && source->on_nvdimm == 0;
	return NULL;
}

const struct topology topology_nested = {
	.name = "nested",
	.fleet = nested_fleet,
	.open = nested_start,
	.close = nested_end,
	.ready = nested_ready,
	.move = nested_move,
	.cpu = nested_cpu,
	.way = way_of,
	.network = nested_network,
	.control = nested_control,
	.guests = inner_fleet,
	.sight = nested_sight,
};
