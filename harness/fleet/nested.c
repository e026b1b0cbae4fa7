/* Two L1 guests and the guests inside them: see nested.h. Must never believe a path or a number
 * that comes from an L1 guest. */
#include "harness/fleet/nested.h"
#include "harness/base/fs.h"
#include "harness/base/parallel.h"
#include "harness/fleet/nested_internal.h"
#include "harness/fleet/relay.h"
#include "harness/host/proc.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define CONNECT_TIMEOUT_MS 20000

enum { WAKE_THREADS = 4 };

/* ---- sockets inside L1 guests ---- */

/* An end inside an L1 guest: of a relay. */
struct nested_end {
	struct nested_host host;
	char *path; /* of the socket there, or NULL: the stack's own */
};

static void release_end(void *context)
{
	struct nested_end *end = context;

	free(end->path);
	free(end);
}

/* Else the connection would be tried for as long as the network's patience lasts. */
static struct error *check_alive(const struct nested_host *host, int pidfd)
{
	struct pollfd pfd = {.fd = pidfd, .events = POLLIN};

	if (pidfd < 0 || poll(&pfd, 1, 0) != 0)
		return error_new(ERROR_GUEST, "the L1 guest at %s has ended", host->address);
	return NULL;
}

static struct error *open_end(void *context, int *fd, int *machine)
{
	const struct nested_end *end = context;
	_cleanup_close_ int pidfd = pidfd_open(end->host.qemu, 0);
	_cleanup_close_ int s = -1;

	try_(check_alive(&end->host, pidfd));
	try_(tcp_connect(end->host.address, NESTED_STACK_PORT, &s));
	if (end->path)
		try_(stack_ask_to_lead(s,
			json_pack("{s:s, s:s}", "op", "connect", "path", end->path),
			"the stack in an L1 guest", deadline_after_ms(CONNECT_TIMEOUT_MS)));
	*fd = take_fd(&s);
	*machine = take_fd(&pidfd);
	return NULL;
}

static struct error *reach(
	const char *path, struct nested_host host, const char *inside, struct relay **relay)
{
	struct nested_end *end = calloc(1, sizeof(*end));

	if (!end)
		abort();
	unlink(path);
	end->host = host;
	end->path = inside ? format_string("%s", inside) : NULL;
	return relay_listen(path, open_end, release_end, end, relay);
}

/* Labs look alike: a seat's socket has the same path in the L1 guest. */
static struct error *reach_file(
	const char *dir, const char *file, struct nested_host host, struct relay **relay)
{
	_cleanup_free_ char *path = format_string("%s/%s", dir, file);

	return reach(path, host, path, relay);
}

void nested_seat_destroy(struct nested_seat *seat)
{
	if (!seat)
		return;
	relay_close(seat->agent);
	relay_close(seat->control);
	free(seat);
}
DEFINE_CLEANUP(nested_seat, struct nested_seat *, nested_seat_destroy)

struct error *nested_reach_seat(const struct guest *guest, unsigned int seat,
	struct nested_host host, struct nested_seat **reached)
{
	_cleanup_(cleanup_nested_seat) struct nested_seat *made = calloc(1, sizeof(*made));
	_cleanup_free_ char *dir = guest_dir(guest->name, seat);

	if (!made)
		abort();
	made->guest = guest->number;
	made->seat = seat;
	try_(fs_make_dirs(dir));
	try_(reach_file(dir, "agent.sock", host, &made->agent));
	try_(reach_file(dir, "control.sock", host, &made->control));
	*reached = take_ptr(made);
	return NULL;
}

/* ---- the L2 guests as a fleet ---- */

/* The image as it is inside an L1 guest. */
static const struct image *image_inside(void)
{
	static struct image image = {
		.name = "tiny",
		.kind = "tiny",
		.kernel = "/run/nested/kernel",
		.initrd = "/run/nested/initrd",
		/* The kernel looks for PCI devices in 256 buses, slot by slot, three times; inside
		 * an emulated CPU that takes a second each time. */
		.command_line = "quiet panic=-1 reboot=t cryptomgr.notests tsc=reliable "
				"pci=noearly,lastbus=8",
		.own_program = true,
	};

	return &image;
}

static struct error *add_stack(struct fleet *fleet, unsigned int number, struct nested_host host)
{
	char *socket = format_string("%s/nested%u.sock", lab_dir(), number);
	struct fleet_stack *stack = &fleet->stacks[number];
	struct relay *relay;

	*stack = (struct fleet_stack){
		.socket = socket,
		.root = format_string("%s/nested%u", lab_dir(), number),
		.pid = getpid(), /* of who serves its socket here */
	};
	fleet->stack_count++;
	return reach(socket, host, NULL, &relay); /* for good */
}

static struct error *add_guest(struct fleet *fleet, unsigned int number, struct nested_host host)
{
	_cleanup_free_ char *name = format_string("n%u", number);
	struct guest *guest = &fleet->guests[number];
	struct nested_seat *seat;

	fleet->count++;
	try_(guest_init(fleet, number, name));
	free(guest->ram_path);
	guest->ram_path = format_string("/dev/nested%u", number);
	try_(nested_reach_seat(guest, 0, host, &seat));
	free(seat); /* its relays stay for good */
	return NULL;
}

struct error *nested_inner_fleet(const struct nested_plan *plan, enum fleet_start start,
	const struct nested_host *hosts, unsigned int stacks, struct deadline deadline,
	struct fleet **fleet)
{
	_cleanup_(cleanup_fleet) struct fleet *made = calloc(1, sizeof(*made));

	if (!made || !(made->guests = calloc(plan->spec.count + 1, sizeof(*made->guests))) ||
		!(made->stacks = calloc(stacks, sizeof(*made->stacks))))
		abort();
	made->spec = plan->inner;
	made->spec.start = start;
	made->spec.stack_count = stacks;
	made->host = (struct fleet_host){.accelerator = "kvm", .image = image_inside()};
	made->emulator = format_string("/usr/bin/qemu-system-x86_64");
	made->deadline = deadline;
	made->begin_ns = clock_now_ns();
	for (unsigned int i = 0; i < stacks; i++)
		try_(add_stack(made, i, hosts[i]));
	for (unsigned int i = 0; i < plan->spec.count; i++)
		try_(add_guest(made, i, hosts[0]));
	*fleet = take_ptr(made);
	return NULL;
}

/* ---- open ---- */

struct error *nested_ask(const struct fleet *inner, unsigned int stack_number, json_t *request,
	struct deadline deadline, json_t **answer)
{
	_cleanup_(cleanup_stack) struct stack *stack = NULL;
	struct error *err = stacks_connect(inner, stack_number, &stack);

	if (err) {
		json_decref(request);
		return err;
	}
	return stack_request(stack, request, deadline, answer);
}

/* In the first L1 guest it goes on; its twin in the second is ended: one may run only. */
static struct error *wake(size_t item, void *context)
{
	struct fleet *inner = context;
	struct guest *guest = &inner->guests[item];
	struct error *err;

	err = nested_ask(inner, 1, json_pack("{s:s, s:s}", "op", "stop", "name", guest->seat),
		inner->deadline, NULL);
	if (!err)
		err = nested_ask(inner, 0,
			json_pack("{s:s, s:s, s:s}", "op", "qmp", "name", guest->seat, "command",
				"cont"),
			inner->deadline, NULL);
	if (!err)
		err = meet(inner, guest);
	if (!err)
		err = personalise(inner, guest);
	guest->ready_ns = clock_now_ns();
	return err ? error_prefix(err, "L2 guest %s", guest->name) : NULL;
}

/* A moved guest's QEMU is started by its argument vector: libvirt takes much longer. */
static struct error *provide_vectors(struct nested *nested)
{
	struct fleet *inner = nested->inner;
	_cleanup_(cleanup_stack) struct stack *stack = NULL;

	try_(stacks_connect(inner, 0, &stack));
	for (unsigned int i = 0; i < inner->count; i++) {
		struct guest_spec spec = guest_spec_of(inner, &inner->guests[i]);
		struct template *template = &nested->templates[i];

		try_(clone_vector(stack, &spec, inner->deadline, &template->argv));
		template->memory_bytes = spec.memory_bytes;
		template->next = inner->host.template;
		inner->host.template = template;
	}
	return NULL;
}

struct error *nested_open(struct fleet *outer, const struct nested_plan *plan,
	struct deadline deadline, struct nested **nested)
{
	struct nested_host hosts[NESTED_STACKS];
	_cleanup_(cleanup_nested) struct nested *made = calloc(1, sizeof(*made));

	if (!made)
		abort();
	for (unsigned int i = 0; i < NESTED_STACKS; i++)
		hosts[i] = nested_host(outer, i);
	made->plan = plan;
	made->outer = outer;
	try_(nested_inner_fleet(
		plan, FLEET_TEMPLATE, hosts, NESTED_STACKS, deadline, &made->inner));
	made->inner->remote = &nested_remote;
	made->inner->remote_context = made;
	try_(parallel_for(made->inner->count, WAKE_THREADS, wake, made->inner));
	try_(provide_vectors(made));
	*nested = take_ptr(made);
	return NULL;
}

void nested_close(struct nested *nested)
{
	if (!nested)
		return;
	fleet_close(nested->inner);
	while (nested->seats) {
		struct nested_seat *seat = nested->seats;

		nested->seats = seat->next;
		nested_seat_destroy(seat);
	}
	for (size_t i = 0; i < ARRAY_SIZE(nested->templates); i++)
		json_decref(nested->templates[i].argv);
	free(nested);
}

struct fleet *nested_guests(const struct nested *nested)
{
	return nested->inner;
}

/* Looks for a mapping of this file in a process. */
static struct error *maps_file(pid_t pid, const struct stat *file, bool *found)
{
	_cleanup_free_ char *text = NULL;
	struct proc_map map;

	try_(proc_read_maps(pid, &text));
	*found = false;
	for (const char *at = text; !*found && proc_next_map(&at, &map);)
		*found = map.inode == file->st_ino && map.device_major == major(file->st_dev) &&
			 map.device_minor == minor(file->st_dev);
	return NULL;
}

struct error *nested_same_memory(const struct nested *nested, unsigned int guest, bool *same)
{
	_cleanup_free_ char *path = nested_region_path(guest);
	struct stat file;
	bool mapped = true;

	if (stat(path, &file) < 0)
		return error_errno(errno, "cannot look at the NVDIMM %s", path);
	for (unsigned int i = 0; i < NESTED_STACKS && mapped; i++)
		try_(maps_file(fleet_guest_pid(nested->outer, i), &file, &mapped));
	*same = mapped;
	return NULL;
}
