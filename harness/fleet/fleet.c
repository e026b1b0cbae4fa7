/* Fleets: see fleet.h. Runs inside a lab; must never wait without a deadline. */
#include "harness/fleet/fleet_internal.h"
#include "harness/base/fs.h"
#include "harness/base/parallel.h"
#include "harness/fleet/peer_fleet.h"
#include "harness/host/proc.h"
#include "harness/host/qemu.h"

#include <errno.h>
#include <string.h>

/* Cold starts mostly wait for QEMU and libvirt; clones and personalising keep the processors busy.
 */
enum { COLD_THREADS = 16, CLONE_THREADS_PER_PU = 2, SETTLE_THREADS = 16 };

static struct error *open_guest(size_t item, void *context)
{
	struct fleet *fleet = context;
	struct guest *guest = &fleet->guests[item];

	struct guest_spec spec = guest_spec_of(fleet, guest);

	if (fleet->spec.start == FLEET_TEMPLATE)
		try_(start_clone(fleet, guest));
	else
		try_(start_cold(fleet, guest, &spec));
	if (fleet->spec.pin)
		try_(pin_guest(guest->pid, guest->number));
	return meet(fleet, guest);
}

static struct error *settle_guest(size_t item, void *context)
{
	struct fleet *fleet = context;
	struct guest *guest = &fleet->guests[item];

	try_(plug_in(fleet, guest));
	if (fleet->host.image->own_program)
		try_(personalise(fleet, guest));
	guest->ready_ns = clock_now_ns();
	return NULL;
}

/* ---- the fleet ---- */

bool fleet_is_movable(const struct fleet_spec *spec)
{
	return spec->movable || spec->stack_count > 1;
}

/* A seat's taps exist wherever its guest may come to be: in each of the machines. One that no QEMU
 * has opened carries nothing. */
static struct error *add_ports(struct fleet *fleet, const struct machine *machine)
{
	const struct fleet_spec *spec = &fleet->spec;
	/* While it is moved, a guest has two seats. */
	unsigned int seats = fleet_is_movable(spec) ? 2 : 1;
	size_t ports_total = spec->nic_count * fleet->count * seats;
	_cleanup_free_ struct port_spec *ports = calloc(ports_total + 1, sizeof(*ports));
	struct error *err;
	size_t n = 0;

	if (!ports)
		abort();
	for (unsigned int g = 0; g < fleet->count; g++) {
		for (size_t i = 0; i < spec->nic_count * seats; i++)
			ports[n++] = (struct port_spec){
				.tap = guest_tap(fleet->guests[g].name, i % seats, i / seats),
				.link = spec->nics[i / seats].link,
				.machine = machine,
			};
	}
	err = network_add_ports(spec->links, spec->link_count, ports, ports_total);
	for (size_t i = 0; i < n; i++)
		free((char *)ports[i].tap);
	return err;
}

static struct error *create_network(struct fleet *fleet)
{
	const struct fleet_spec *spec = &fleet->spec;

	try_(network_create(spec->links, spec->link_count, NULL, 0));
	if (spec->machine && !fleet->host.peer)
		try_(machine_create(spec->machine, spec->links, spec->link_count, &fleet->machine));
	if (spec->link_count == 0)
		return NULL;
	try_(add_ports(fleet, NULL));
	return fleet->machine ? add_ports(fleet, fleet->machine) : NULL;
}

/* guest_log() leads to `log_dir`, or to a directory of the lab's own. */
static struct error *provide_log_dir(const char *log_dir)
{
	_cleanup_free_ char *link = format_string("%s/log", lab_dir());
	_cleanup_free_ char *target = log_dir ? realpath(log_dir, NULL) : NULL;

	if (!log_dir)
		return fs_make_dirs(link);
	if (!target || (symlink(target, link) < 0 && errno != EEXIST))
		return error_errno(errno, "cannot lead the guests' logs to %s", log_dir);
	return NULL;
}

/* With a peer, the last one is there. */
static struct error *start_stacks(struct fleet *fleet, struct deadline deadline)
{
	unsigned int count = fleet->spec.stack_count > 1 ? fleet->spec.stack_count : 1;

	if (!fleet->host.peer || !fleet->spec.machine || count == 1)
		return stacks_start(fleet, count, deadline);
	try_(stacks_start(fleet, count - 1, deadline));
	return peer_fleet_join(fleet, fleet->host.peer, deadline);
}

static struct error *prepare(const struct fleet_spec *spec, const struct fleet_host *host,
	const char *only_name, unsigned int count, struct deadline deadline, struct fleet **fleet)
{
	_cleanup_(cleanup_fleet) struct fleet *made = calloc(1, sizeof(*made));

	if (!made || !(made->guests = calloc(count + 1, sizeof(*made->guests))))
		abort();
	if (spec->nic_count > MAX_NICS)
		return error_new(ERROR_INTERNAL, "a guest has at most %d NICs", MAX_NICS);
	made->spec = *spec;
	made->host = *host;
	made->deadline = deadline;
	made->begin_ns = clock_now_ns();
	try_(ram_prepare(spec));
	for (unsigned int i = 0; i < count; i++) {
		made->count++;
		try_(guest_init(made, i, only_name));
	}
	try_(provide_log_dir(host->log_dir));
	if (spec->extra && spec->extra->prepare)
		try_(spec->extra->prepare(host, spec->extra->context));
	try_(create_network(made));
	if (count > 0) {
		try_(qemu_find(QEMU_DEFAULT, &made->emulator));
		try_(start_stacks(made, deadline));
	}
	*fleet = take_ptr(made);
	return NULL;
}

struct error *fleet_open(const struct fleet_spec *spec, const struct fleet_host *host,
	struct deadline deadline, struct fleet **fleet)
{
	_cleanup_(cleanup_fleet) struct fleet *made = NULL;
	size_t threads = spec->start == FLEET_COLD
				 ? COLD_THREADS
				 : CLONE_THREADS_PER_PU * (size_t)sysconf(_SC_NPROCESSORS_ONLN);

	try_(prepare(spec, host, NULL, spec->count, deadline, &made));
	/* First all answer, then all are named: work for one guest must not delay another's start.
	 */
	try_(parallel_for(made->count, threads, open_guest, made));
	try_(parallel_for(made->count, SETTLE_THREADS, settle_guest, made));
	*fleet = take_ptr(made);
	return NULL;
}

void fleet_close(struct fleet *fleet)
{
	if (!fleet)
		return;
	for (unsigned int i = 0; i < fleet->count; i++)
		guest_deinit(&fleet->guests[i]);
	free(fleet->guests);
	peer_fleet_leave(fleet);
	stacks_deinit(fleet);
	machine_free(fleet->machine);
	free(fleet->emulator);
	free(fleet);
}

struct error *leave_waiting(const struct fleet *fleet, struct guest *guest)
{
	const char *const argv[] = {GUEST_PROGRAM, "later", NULL};
	int64_t pid;
	char heard;

	if (!fleet->host.image->own_program)
		return NULL;
	try_(agent_exec_start(guest->agent, argv, NULL, 0, fleet->deadline, &pid));
	return await_byte(guest, "r", "later", fleet->deadline, &heard);
}

struct error *clone_vector(
	struct stack *stack, const struct guest_spec *like, struct deadline deadline, json_t **argv)
{
	_cleanup_free_ char *ram = format_string("/proc/self/fd/%d", STACK_RAM_FD);
	_cleanup_free_ char *dir = format_string("%s/g/" GUEST_PLACEHOLDER, lab_dir());
	_cleanup_free_ char *disk = format_string("%s/data.raw", dir);
	_cleanup_json_ json_t *answer = NULL;
	_cleanup_free_ char *xml = NULL;
	struct guest_spec spec = *like;

	spec.name = GUEST_PLACEHOLDER;
	spec.uuid = NULL;
	spec.ram = RAM_COPY;
	spec.ram_path = ram;
	if (spec.data_disk)
		spec.data_disk = disk;
	xml = guest_xml(&spec);
	try_(stack_request(
		stack, json_pack("{s:s, s:s}", "op", "native", "xml", xml), deadline, &answer));
	*argv = json_incref(json_object_get(answer, "argv"));
	return NULL;
}

struct error *fleet_make_template(const struct fleet_spec *spec, const struct fleet_host *host,
	struct deadline deadline, json_t **argv)
{
	_cleanup_(cleanup_fleet) struct fleet *fleet = NULL;
	_cleanup_(cleanup_stack) struct stack *stack = NULL;
	_cleanup_json_ json_t *native = NULL;
	_cleanup_free_ char *ram = NULL;
	struct guest_spec spec_of_it;
	struct fleet_spec own = *spec;
	struct guest *guest;

	if (host->image->disk)
		return error_hint(
			error_new(ERROR_USAGE, "image %s has a disk: it cannot be a template",
				host->image->name),
			"start this fleet cold");
	own.stack_count = 1;
	own.ram = RAM_PRIVATE; /* of its clones; its own is given here */
	own.memory_bytes = host->template->memory_bytes;
	own.memory_bytes_each = NULL;
	try_(prepare(&own, host, "tmpl", 1, deadline, &fleet));
	guest = &fleet->guests[0];
	ram = format_string("/proc/%d/fd/%d", (int)fleet_stack_pid(fleet, 0), STACK_RAM_FD);
	spec_of_it = guest_spec_of(fleet, guest);
	spec_of_it.mac_number = 0;
	spec_of_it.ram = RAM_SHARED;
	spec_of_it.movable = fleet_is_movable(spec);
	spec_of_it.ram_path = ram;
	try_(start_cold(fleet, guest, &spec_of_it));
	try_(meet(fleet, guest));
	if (spec->extra && spec->extra->ripen)
		try_(spec->extra->ripen(fleet, spec->extra->context));
	try_(leave_waiting(fleet, guest));
	try_(stacks_connect(fleet, 0, &stack));
	try_(clone_vector(stack, &spec_of_it, deadline, &native));
	agent_close(take_ptr(guest->agent));
	try_(stack_request(
		stack, json_pack("{s:s, s:s}", "op", "save", "name", guest->seat), deadline, NULL));
	if (spec->extra && spec->extra->saved)
		try_(spec->extra->saved(host, spec->extra->context));
	*argv = take_ptr(native);
	return NULL;
}

/* ---- looking at a fleet ---- */

const struct machine *fleet_machine(const struct fleet *fleet)
{
	return fleet->machine;
}

unsigned int fleet_count(const struct fleet *fleet)
{
	return fleet->count;
}

const char *fleet_guest_name(const struct fleet *fleet, unsigned int guest)
{
	return fleet->guests[guest].name;
}

unsigned int fleet_guest_stack(const struct fleet *fleet, unsigned int guest)
{
	return fleet->guests[guest].stack;
}

const char *fleet_guest_seat(const struct fleet *fleet, unsigned int guest)
{
	return fleet->guests[guest].seat;
}

unsigned int fleet_guest_seat_number(const struct fleet *fleet, unsigned int guest)
{
	return fleet->guests[guest].seat_number;
}

const char *fleet_guest_dir(const struct fleet *fleet, unsigned int guest)
{
	return fleet->guests[guest].dir;
}

pid_t fleet_guest_pid(const struct fleet *fleet, unsigned int guest)
{
	return fleet->guests[guest].pid;
}

char *fleet_guest_address(const struct fleet *fleet, unsigned int guest, size_t nic)
{
	size_t link = 0;

	while (link + 1 < fleet->spec.link_count &&
		strcmp(fleet->spec.links[link].name, fleet->spec.nics[nic].link) != 0)
		link++;
	return format_string("10.77.%zu.%u", link, guest + 1);
}

double fleet_guest_answer_s(const struct fleet *fleet, unsigned int guest)
{
	return clock_seconds(fleet->begin_ns, fleet->guests[guest].answer_ns);
}

double fleet_guest_ready_s(const struct fleet *fleet, unsigned int guest)
{
	return clock_seconds(fleet->begin_ns, fleet->guests[guest].ready_ns);
}

double fleet_ready_s(const struct fleet *fleet)
{
	double slowest = 0;

	for (unsigned int i = 0; i < fleet->count; i++) {
		double ready = fleet_guest_ready_s(fleet, i);

		slowest = ready > slowest ? ready : slowest;
	}
	return slowest;
}

struct agent *fleet_agent(const struct fleet *fleet, unsigned int guest)
{
	return fleet->guests[guest].agent;
}

struct error *fleet_guest_pss(const struct fleet *fleet, unsigned int guest, uint64_t *bytes)
{
	struct proc_memory memory;

	try_(proc_read_memory(fleet->guests[guest].pid, &memory));
	*bytes = memory.pss;
	return NULL;
}
