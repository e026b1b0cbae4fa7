/* Moving a fleet's guests: see fleet_move.h. What changes for the fleet is changed here and only
 * after the move, by what the report says. */
#include "harness/fleet/fleet_move.h"
#include "harness/base/fs.h"
#include "harness/fleet/fleet_internal.h"

#include <poll.h>
#include <string.h>

/* Connections to a seat's agent and control port. */
struct lines {
	int agent_fd, control_fd;
};

struct moving {
	struct fleet *fleet;
	const struct move_options *options;
	const unsigned int *guests;
	size_t count;
	unsigned int to_stack;
	struct fleet_item *items;
	struct lines *lines; /* to the targets */
	bool lines_cut;	     /* a stack that carried some has died */
};

static void lines_close(struct lines *lines)
{
	cleanup_close(&lines->agent_fd);
	cleanup_close(&lines->control_fd);
	*lines = (struct lines){-1, -1};
}

static struct error *lines_open(const char *name, unsigned int seat, struct lines *lines)
{
	_cleanup_free_ char *dir = guest_dir(name, seat);
	_cleanup_free_ char *agent = format_string("%s/agent.sock", dir);
	_cleanup_free_ char *control = format_string("%s/control.sock", dir);

	lines_close(lines);
	try_(unix_connect(agent, &lines->agent_fd));
	return unix_connect(control, &lines->control_fd);
}

/* ---- while it runs ---- */

/* The target is connected to before the guest is there, so that the guest never finds the host's
 * end of its ports closed. That it cannot be is seen by the mover. */
static void on_step(void *context, enum move_step step, const char *guest, pid_t mover)
{
	struct moving *moving = context;

	for (size_t i = 0; step == MOVE_TRANSFER && i < moving->count; i++) {
		const char *name = moving->fleet->guests[moving->guests[i]].name;

		if (strcmp(name, guest) == 0)
			error_destroy(lines_open(name, moving->items[i].seat, &moving->lines[i]));
	}
	if (moving->options->on_step)
		moving->options->on_step(moving->options->context, step, guest, mover);
}

static struct error *prepare(void *context, const struct move_item *item, struct stack *source,
	struct stack *target, struct deadline deadline)
{
	struct moving *moving = context;

	return moving->options->prepare(moving->options->context, item, source, target, deadline);
}

static struct error *revive(void *context, const char *socket, struct deadline deadline, bool *gone)
{
	struct moving *moving = context;

	moving->lines_cut = moving->fleet->remote != NULL;
	return stacks_revive(moving->fleet, socket, deadline, gone);
}

/* ---- afterwards ---- */

static void remove_ram(const char *path)
{
	if (path)
		unlink(path);
}

static void keep_unread(struct guest *guest)
{
	struct pollfd pfd = {.fd = guest->control_fd, .events = POLLIN};

	while (guest->unread_count < sizeof(guest->unread) && poll(&pfd, 1, 0) > 0) {
		ssize_t n = read(guest->control_fd, guest->unread + guest->unread_count,
			sizeof(guest->unread) - guest->unread_count);

		if (n <= 0)
			return;
		guest->unread_count += (size_t)n;
	}
}

/* They are taken over. */
static void take_lines(struct guest *guest, struct lines *lines)
{
	keep_unread(guest);
	cleanup_close(&guest->control_fd);
	guest->control_fd = take_fd(&lines->control_fd);
	agent_switch(guest->agent, take_fd(&lines->agent_fd));
}

/* The guest is there now; `lines` are taken over, `ram_path` too where it is new. */
static void take_seat(struct guest *guest, unsigned int seat, unsigned int stack, pid_t pid,
	struct lines *lines, char **ram_path)
{
	take_lines(guest, lines);
	guest->seat_number = seat;
	free(guest->seat);
	guest->seat = guest_seat(guest->name, seat);
	free(guest->dir);
	guest->dir = guest_dir(guest->name, seat);
	guest->stack = stack;
	guest->pid = pid;
	if (*ram_path) {
		remove_ram(guest->ram_path);
		free(guest->ram_path);
		guest->ram_path = take_ptr(*ram_path);
	}
}

static struct error *settle(struct moving *moving, size_t i, const struct move_report *report)
{
	struct guest *guest = &moving->fleet->guests[moving->guests[i]];
	struct fleet_item *item = &moving->items[i];
	struct lines *lines = &moving->lines[i];
	struct error *err = NULL;

	if ((report->moved || report->brought_back) &&
		(guest->ram == RAM_COPY ||
			(moving->fleet->remote && move_copies(moving->options->method))))
		guest->ram = RAM_PRIVATE;
	if (report->moved) {
		if (lines->agent_fd < 0 || lines->control_fd < 0)
			err = lines_open(guest->name, item->seat, lines);
		take_seat(guest, item->seat, moving->to_stack, report->target_pid, lines,
			&item->ram_path);
	} else if (report->brought_back) {
		if (moving->fleet->remote)
			err = moving->fleet->remote->reach(
				moving->fleet, guest, item->back_seat, guest->stack);
		if (!err)
			err = lines_open(guest->name, item->back_seat, lines);
		take_seat(guest, item->back_seat, guest->stack, report->back_pid, lines,
			&item->back_ram_path);
	}
	lines_close(lines);
	remove_ram(item->ram_path);
	remove_ram(item->back_ram_path);
	return err;
}

/* Where the stacks are elsewhere, it is they that carry guests' lines. One to a guest that is lost,
 * or whose machine is gone, cannot be had. */
static void mend_lines(const struct moving *moving)
{
	for (unsigned int i = 0; i < moving->fleet->count; i++) {
		struct guest *guest = &moving->fleet->guests[i];
		struct lines lines = {-1, -1};
		struct error *err = lines_open(guest->name, guest->seat_number, &lines);

		if (!err)
			take_lines(guest, &lines);
		error_destroy(err);
		lines_close(&lines);
	}
}

/* Files of copies stand beside the old ones until all is over. Without this a QEMU whose pages have
 * no place any more would be killed while they arrive. */
static struct error *check_ram_room(const struct moving *moving)
{
	uint64_t need = 0, available = 0;

	for (size_t i = 0; i < moving->count; i++) {
		const char *path = moving->items[i].ram_path;

		if (!path)
			continue;
		need += fleet_guest_memory(moving->fleet, moving->guests[i]);
		try_(fs_free_bytes(path, &available));
	}
	if (need <= available)
		return NULL;
	return error_hint(
		error_new(ERROR_SETUP,
			"no room for copies of the guests' memory: they need %llu MiB, "
			"the lab has %llu",
			(unsigned long long)need >> 20, (unsigned long long)available >> 20),
		"move them without copying");
}

static struct error *run(struct moving *moving, struct move_report *reports)
{
	_cleanup_free_ struct move_item *items = calloc(moving->count + 1, sizeof(*items));
	struct move_options options = *moving->options;
	struct error *err;

	if (!items)
		abort();
	for (size_t i = 0; i < moving->count; i++) {
		struct fleet_item *item = &moving->items[i];

		try_(fleet_item_init(
			moving->fleet, moving->guests[i], moving->to_stack, options.method, item));
		if (options.route)
			try_(options.route(options.context, item->uri, &item->route));
		if (item->route)
			item->item.source_uri = item->route;
		items[i] = item->item;
	}
	try_(check_ram_room(moving));
	options.on_step = on_step;
	options.prepare = options.prepare ? prepare : NULL;
	options.revive = revive;
	options.context = moving;
	err = move_run(items, moving->count, &options, reports);
	for (size_t i = 0; i < moving->count; i++) {
		struct error *line = settle(moving, i, &reports[i]);

		if (line && !err)
			err = line;
		else
			error_destroy(line);
	}
	if (moving->lines_cut)
		mend_lines(moving);
	return err;
}

static struct error *check(
	const struct fleet *fleet, const unsigned int *guests, size_t count, unsigned int to_stack)
{
	if (!fleet_is_movable(&fleet->spec))
		return error_new(ERROR_INTERNAL, "this fleet was not made for more than one stack");
	if (!fleet_stack_socket(fleet, to_stack))
		return error_new(ERROR_USAGE, "the fleet has no stack %u", to_stack);
	for (size_t i = 0; i < count; i++) {
		if (guests[i] >= fleet->count)
			return error_new(ERROR_USAGE, "the fleet has no guest %u", guests[i]);
		if (fleet->guests[guests[i]].stack == to_stack)
			return error_new(ERROR_USAGE, "guest %s is on stack %u already",
				fleet->guests[guests[i]].name, to_stack);
	}
	return NULL;
}

struct error *fleet_move(struct fleet *fleet, const unsigned int *guests, size_t count,
	unsigned int to_stack, const struct move_options *options, struct move_report *reports)
{
	struct moving moving = {.fleet = fleet,
		.options = options,
		.guests = guests,
		.count = count,
		.to_stack = to_stack};
	struct error *err;

	try_(check(fleet, guests, count, to_stack));
	moving.items = calloc(count + 1, sizeof(*moving.items));
	moving.lines = calloc(count + 1, sizeof(*moving.lines));
	if (!moving.items || !moving.lines)
		abort();
	for (size_t i = 0; i < count; i++)
		moving.lines[i] = (struct lines){-1, -1};
	err = run(&moving, reports);
	for (size_t i = 0; i < count; i++) {
		fleet_item_deinit(&moving.items[i]);
		if (fleet->remote)
			fleet->remote->settle(fleet, &fleet->guests[guests[i]]);
	}
	free(moving.items);
	free(moving.lines);
	return err;
}
