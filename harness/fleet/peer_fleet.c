/* A fleet with a stack on another machine: see peer_fleet.h. Must never believe a path or a number
 * that comes from there. */
#include "harness/fleet/peer_fleet.h"
#include "harness/base/fs.h"
#include "harness/fleet/fleet_internal.h"
#include "harness/fleet/peer.h"
#include "harness/fleet/relay.h"
#include "harness/lab/cable.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LEAD_TIMEOUT_MS = 20000 };

/* Of a guest's seat there, the sockets here. */
struct peer_seat {
	struct peer_seat *next;
	unsigned int guest, seat;
	struct relay *agent, *control;
};

struct peer_fleet {
	struct peer *peer;
	unsigned int stack; /* its number */
	struct peer_seat *seats;
};

/* ---- connections to what is in the lab there ---- */

/* A connection to the peer's stack that this request makes one to something else. */
static struct error *lead(const struct peer *peer, json_t *request, int *fd)
{
	_cleanup_close_ int s = -1;
	struct error *err = unix_connect(peer_socket(peer), &s);

	if (err)
		json_decref(request);
	else
		err = stack_ask_to_lead(
			s, request, "the peer's stack", deadline_after_ms(LEAD_TIMEOUT_MS));
	if (err)
		return err;
	*fd = take_fd(&s);
	return NULL;
}

struct far_socket {
	const struct peer *peer;
	char *path;
};

static struct error *open_socket(void *context, int *fd, int *machine)
{
	const struct far_socket *socket = context;

	*machine = -1;
	return lead(
		socket->peer, json_pack("{s:s, s:s}", "op", "connect", "path", socket->path), fd);
}

static void release_socket(void *context)
{
	struct far_socket *socket = context;

	free(socket->path);
	free(socket);
}

/* Labs look alike: the socket has the same path there. */
static struct error *reach_socket(
	const struct peer *peer, const char *dir, const char *file, struct relay **relay)
{
	struct far_socket *socket = calloc(1, sizeof(*socket));

	if (!socket)
		abort();
	socket->peer = peer;
	socket->path = format_string("%s/%s", dir, file);
	unlink(socket->path);
	return relay_listen(socket->path, open_socket, release_socket, socket, relay);
}

/* ---- the seats of guests ---- */

static void seat_destroy(struct peer_seat *seat)
{
	if (!seat)
		return;
	relay_close(seat->agent);
	relay_close(seat->control);
	free(seat);
}
DEFINE_CLEANUP(seat, struct peer_seat *, seat_destroy)

static struct error *reach(
	struct fleet *fleet, const struct guest *guest, unsigned int seat, unsigned int stack)
{
	struct peer_fleet *own = fleet->remote_context;
	_cleanup_(cleanup_seat) struct peer_seat *made = NULL;
	_cleanup_free_ char *dir = guest_dir(guest->name, seat);

	if (stack != own->stack)
		return NULL;
	made = calloc(1, sizeof(*made));
	if (!made)
		abort();
	made->guest = guest->number;
	made->seat = seat;
	try_(fs_make_dirs(dir));
	try_(reach_socket(own->peer, dir, "agent.sock", &made->agent));
	try_(reach_socket(own->peer, dir, "control.sock", &made->control));
	made->next = own->seats;
	own->seats = take_ptr(made);
	return NULL;
}

static void settle(struct fleet *fleet, const struct guest *guest)
{
	struct peer_fleet *own = fleet->remote_context;
	struct peer_seat **at = &own->seats;

	while (*at) {
		struct peer_seat *seat = *at;

		if (seat->guest != guest->number || seat->seat == guest->seat_number) {
			at = &seat->next;
			continue;
		}
		*at = seat->next;
		seat_destroy(seat);
	}
}

/* ---- the fleet's other ways ---- */

/* Through ssh. A guest that has been let go there is not brought back: the machine it would come
 * from is not ours to revive. */
static struct error *provide(struct fleet *fleet, const struct guest *guest, unsigned int seat,
	unsigned int stack, char **listen_uri, char **send_uri)
{
	struct peer_fleet *own = fleet->remote_context;
	_cleanup_free_ char *own_seat = guest_seat(guest->name, seat);
	_cleanup_free_ char *name = format_string("to-%s.sock", own_seat);
	_cleanup_free_ char *here = NULL;
	_cleanup_free_ char *there = NULL;
	bool back = stack != own->stack;

	if (!send_uri) {
		*listen_uri = NULL;
		return NULL;
	}
	try_(peer_forward(
		own->peer, name, back, deadline_after_ms(LEAD_TIMEOUT_MS), &here, &there));
	*listen_uri = format_string("unix:%s", back ? here : there);
	*send_uri = format_string("unix:%s", back ? there : here);
	return NULL;
}

static struct error *revive(
	struct fleet *fleet, unsigned int stack, struct deadline deadline, bool *gone)
{
	const struct peer_fleet *own = fleet->remote_context;

	*gone = stack == own->stack;
	if (*gone)
		return error_new(ERROR_SETUP, "the peer, or the way to it, has ended");
	return stacks_restart(fleet, stack, deadline);
}

static struct error *end(struct fleet *fleet, unsigned int stack, struct deadline deadline)
{
	(void)fleet;
	(void)deadline;
	return error_new(
		ERROR_INTERNAL, "stack %u of a fleet with a peer ends with its lab", stack);
}

static const struct fleet_remote peer_remote = {
	.provide = provide, .reach = reach, .settle = settle, .revive = revive, .end = end};

/* ---- the network ---- */

static struct error *ask(
	struct fleet *fleet, unsigned int number, json_t *request, struct deadline deadline)
{
	_cleanup_(cleanup_stack) struct stack *stack = NULL;
	struct error *err = stacks_connect(fleet, number, &stack);

	if (err) {
		json_decref(request);
		return err;
	}
	return stack_request(stack, request, deadline, NULL);
}

/* The taps of all seats that the fleet's guests can have there. */
static json_t *taps_of(const struct fleet *fleet)
{
	json_t *taps = json_array();

	for (unsigned int g = 0; g < fleet->count; g++) {
		for (size_t i = 0; i < 2 * fleet->spec.nic_count; i++) {
			_cleanup_free_ char *tap = guest_tap(fleet->guests[g].name, i % 2, i / 2);

			json_array_append_new(taps, json_pack("{s:s, s:s}", "tap", tap, "link",
							    fleet->spec.nics[i / 2].link));
		}
	}
	return taps;
}

/* A process carries a cable's frames: what that costs is the lab's, not its clients'. */
static struct error *lay_cable(const struct peer *peer, const char *link)
{
	_cleanup_close_ int tap = -1;
	_cleanup_close_ int stream = -1;
	pid_t pid;

	try_(lead(peer, json_pack("{s:s, s:s}", "op", "cable", "link", link), &stream));
	try_(cable_plug(link, &tap));
	pid = fork();
	if (pid < 0)
		return error_new(ERROR_SETUP, "cannot start a process for the cable %s", link);
	if (pid == 0) {
		dup2(tap, STDIN_FILENO);
		dup2(stream, STDOUT_FILENO);
		syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0);
		cable_carry(STDIN_FILENO, STDOUT_FILENO);
		_exit(0);
	}
	return NULL;
}

static struct error *lay_cables(
	struct fleet *fleet, const struct peer *peer, unsigned int stack, struct deadline deadline)
{
	json_t *names = json_array();

	for (size_t i = 0; i < fleet->spec.link_count; i++)
		json_array_append_new(names, json_string(fleet->spec.links[i].name));
	try_(ask(fleet, stack,
		json_pack(
			"{s:s, s:o, s:o}", "op", "network", "links", names, "taps", taps_of(fleet)),
		deadline));
	for (size_t i = 0; i < fleet->spec.link_count; i++)
		try_(lay_cable(peer, fleet->spec.links[i].name));
	return NULL;
}

struct error *peer_fleet_join(struct fleet *fleet, struct peer *peer, struct deadline deadline)
{
	struct peer_fleet *own = calloc(1, sizeof(*own));

	if (!own)
		abort();
	*own = (struct peer_fleet){
		.peer = peer, .stack = stacks_add(fleet, format_string("%s", peer_socket(peer)))};
	fleet->remote = &peer_remote;
	fleet->remote_context = own;
	return lay_cables(fleet, peer, own->stack, deadline);
}

void peer_fleet_leave(struct fleet *fleet)
{
	struct peer_fleet *own = fleet->remote == &peer_remote ? fleet->remote_context : NULL;

	while (own && own->seats) {
		struct peer_seat *seat = own->seats;

		own->seats = seat->next;
		seat_destroy(seat);
	}
	free(own);
}
