/* What the files of harness/fleet/ share; nobody else includes this. */
#pragma once

#include "harness/fleet/fleet.h"
#include "harness/fleet/stack.h"
#include "harness/lab/lab.h"

#include <signal.h>

/* This project's static program in every image that we build (image.own_program). */
#define GUEST_PROGRAM "/sbin/fleetlab-guest"
enum { MAX_NICS = 4 };

struct guest {
	unsigned int number;
	char *name;
	unsigned int seat_number;
	char *seat;		/* guest_seat() */
	unsigned int next_seat; /* never used before */
	char *dir;		/* guest_dir() */
	char *uuid;
	unsigned int stack;
	pid_t pid; /* of its QEMU, in the lab's PID namespace */
	enum guest_ram ram;
	char *ram_path;	 /* for RAM_SHARED */
	char *overlay;	 /* over the image's disk; may be NULL */
	char *data_disk; /* may be NULL */
	struct agent *agent;
	int control_fd;
	char unread[64]; /* what came by the control port of an earlier seat and was not read */
	size_t unread_count;
	int64_t answer_ns, ready_ns;
};

/* One stack of the fleet; it keeps its place in fleet.stacks, which is its number, when it ends. */
struct fleet_stack {
	char *socket, *root;
	const struct machine *machine; /* it is in; NULL: in the lab itself */
	pid_t pid;		       /* 0: ended */
};

/* For a fleet whose stacks are in machines of their own (nested.h, peer_fleet.h). */
struct fleet_remote {
	/* A guest may be received in `seat` by `stack`. The URIs are where its QEMU will listen and
	 * where the present one sends to, owned by the caller; without `send_uri` they are the
	 * same; a NULL *listen_uri then says that there is no such way. */
	struct error *(*provide)(struct fleet *fleet, const struct guest *guest, unsigned int seat,
		unsigned int stack, char **listen_uri, char **send_uri);
	/* Makes the seat's sockets reachable in its directory here. */
	struct error *(*reach)(struct fleet *fleet, const struct guest *guest, unsigned int seat,
		unsigned int stack);
	/* The guest is in its seat: those of its other seats are of no use any more. */
	void (*settle)(struct fleet *fleet, const struct guest *guest);
	/* Starts a stack anew that has died or hangs. `*gone`: it cannot be, its machine has ended.
	 */
	struct error *(*revive)(
		struct fleet *fleet, unsigned int stack, struct deadline deadline, bool *gone);
	/* Ends a stack, on which no guest is, with its machine. */
	struct error *(*end)(struct fleet *fleet, unsigned int stack, struct deadline deadline);
};

struct fleet {
	struct fleet_spec spec;
	struct fleet_host host;
	char *emulator; /* path of QEMU: the one in PATH, which is what host facts speak of */
	struct deadline deadline; /* for everything until it is open */
	int64_t begin_ns;
	struct machine *machine; /* NULL: there is none */
	struct fleet_stack *stacks;
	unsigned int stack_count; /* elements, ended ones too */
	struct guest *guests;
	unsigned int count;
	const struct fleet_remote *remote; /* NULL: stacks are processes beside us */
	void *remote_context;
};

/* ---- stacks.c ---- */

/* Starts `count` more stacks in parallel and waits until they answer. */
struct error *stacks_start(struct fleet *fleet, unsigned int count, struct deadline deadline);
/* One that runs elsewhere and is reached at `socket` (taken over); its number. */
unsigned int stacks_add(struct fleet *fleet, char *socket);
/* Starts a stack anew, on its socket, that has died or hangs. */
struct error *stacks_restart(struct fleet *fleet, unsigned int number, struct deadline deadline);
struct error *stacks_connect(const struct fleet *fleet, unsigned int number, struct stack **stack);
/* Starts the stack of this socket anew, and has it take over the fleet's guests that are on it;
 * `*gone` as for fleet_remote.revive. */
struct error *stacks_revive(
	struct fleet *fleet, const char *socket, struct deadline deadline, bool *gone);
void stacks_deinit(struct fleet *fleet);

/* ---- guest.c ---- */

/* Fills in what a guest is before it starts: name, directory, uuid, where RAM and disks will be. */
struct error *guest_init(struct fleet *fleet, unsigned int number, const char *name);
void guest_deinit(struct guest *guest);
/* What domain XML needs for one guest of the fleet, in its present seat. Strings are borrowed. */
struct guest_spec guest_spec_of(const struct fleet *fleet, const struct guest *guest);
/* The template of a guest's size, and its number in the stack. */
const struct template *guest_template(
	const struct fleet *fleet, const struct guest *guest, unsigned int *number);
struct error *start_cold(struct fleet *fleet, struct guest *guest, const struct guest_spec *spec);
struct error *start_clone(struct fleet *fleet, struct guest *guest);
/* Waits for the agent and connects the control port. */
struct error *meet(struct fleet *fleet, struct guest *guest);

/* The argument vector of clones of `like`: what libvirt makes of the placeholder's XML. */
struct error *clone_vector(struct stack *stack, const struct guest_spec *like,
	struct deadline deadline, json_t **argv);

/* Leaves our program waiting for the words of personalise() in what becomes the template. */
struct error *leave_waiting(const struct fleet *fleet, struct guest *guest);

/* ---- plug.c ---- */

/* Gives a guest the devices that the fleet plugs in. */
struct error *plug_in(struct fleet *fleet, const struct guest *guest);

/* ---- ram.c ---- */

/* Mounts what the fleet's RAM files stand on, and checks that the host has the pages. */
struct error *ram_prepare(const struct fleet_spec *spec);
/* Path for the RAM file of a guest's seat; caller frees. */
char *ram_file_path(enum ram_backing backing, const char *seat);
/* Makes a RAM file with the data, and the holes, of a template's. */
struct error *ram_copy(int template_fd, const char *path, uint64_t size);

/* ---- personalise.c ---- */

/* Makes a guest itself: name, identity, entropy, time, addresses. */
struct error *personalise(struct fleet *fleet, struct guest *guest);
char *random_hex(size_t bytes);

/* Binds all threads of a QEMU to processing unit `index` modulo their number, in hwloc's logical
 * order (neighbours share a core). */
struct error *pin_guest(pid_t qemu, unsigned int index);

/* Waits until a guest writes one of the bytes in `wanted` to its control port, and returns it.
 * `what` is what runs in the guest, for messages. */
struct error *await_byte(struct guest *guest, const char *wanted, const char *what,
	struct deadline deadline, char *heard);
