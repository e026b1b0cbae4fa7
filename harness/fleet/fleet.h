/*
 * A fleet: the guests of a lab, up and under command. Call inside a lab only; everything here ends
 * with the lab, so there is no orderly shutdown of guests.
 *
 * Guests are named g0, g1, … and have, on the n-th of the fleet's links, the address
 * 10.77.n.(i + 1)/24; the lab itself has 10.77.n.254.
 */
#pragma once

#include "harness/fleet/agent.h"
#include "harness/fleet/guest_spec.h"
#include "harness/lab/machine.h"

enum fleet_start {
	FLEET_COLD,	/* every guest boots */
	FLEET_TEMPLATE, /* guests are clones of one that booted: same kernel layout, shared pages */
};

/* A monitor command that gives a running guest a device or what a device stands on. Devices with
 * host memory of their own (ivshmem) must be plugged in: they cannot be part of a template, whose
 * state would tell of memory that a clone does not have. Buses for them: "plug0", "plug1". */
struct plug_spec {
	const char *command;   /* "object-add", "chardev-add", "device_add" */
	const char *arguments; /* JSON text; "@GUEST@" stands for the guest's name */
	uint64_t guests;       /* bit i: guest i, of the first 64; or PLUG_ALL */
};

#define PLUG_ALL UINT64_MAX

/* What pages RAM_SHARED memory is made of. */
enum ram_backing {
	RAM_BACKING_SHMEM, /* small pages of the lab's tmpfs */
	RAM_BACKING_THP,   /* a tmpfs that takes transparent huge pages where it can */
	RAM_BACKING_HUGE,  /* 2 MiB pages that the host has reserved (vm.nr_hugepages) */
};

struct fleet;
struct fleet_host;
struct peer; /* harness/fleet/peer.h */

/* What makes the guests of a fleet more than what boots: nested.h. Each may be NULL. */
struct fleet_extra {
	/* In the lab, before guests start: files and services that they stand on. */
	struct error *(*prepare)(const struct fleet_host *host, void *context);
	/* In the template's lab, when its one guest is up: makes it what clones shall be. */
	struct error *(*ripen)(struct fleet *fleet, void *context);
	/* When its state has been saved: takes what the lab has into template->kept_fd. */
	struct error *(*saved)(const struct fleet_host *host, void *context);
	uint64_t kept_bytes;		   /* size of the memory file template->kept_fd; 0: none */
	const struct image_request *image; /* of guests within the guests: fleet_host.inner_image */
	const char *key;		   /* what all this makes of a template, as text */
	void *context;
};

/* What fleet an experiment wants. Plain data; strings and arrays are borrowed. */
struct fleet_spec {
	struct image_request image;
	unsigned int count;		   /* 0: no guests at all */
	uint64_t memory_bytes;		   /* of each guest */
	const uint64_t *memory_bytes_each; /* of guest i, instead; may be NULL. Clones: of at most
					      FLEET_SIZES_MAX different sizes */
	unsigned int vcpus;		   /* of each guest */
	enum fleet_start start;
	enum guest_ram ram; /* RAM_PRIVATE, or RAM_SHARED: a file of the guest's own, which another
			       QEMU can map (MOVE_ZEROCOPY); a clone then copies the template's data
			       instead of sharing it */
	enum ram_backing ram_backing; /* for RAM_SHARED */
	uint64_t disk_bytes; /* an empty virtio disk for each guest, after the image's own; 0: none
			      */
	unsigned int stack_count; /* stacks, all started at once; guests begin on stack 0; 0: one */
	bool movable; /* guests may be moved to stacks that are added later; always so with several
			 stacks */
	const struct machine_spec *machine; /* stacks from 1 on, with their QEMUs, are in a second
					       machine: an emulated one, or fleet_host.peer; NULL:
					       there is none */
	bool pin; /* vCPU threads of guest i bound to processing unit i, by hwloc */
	const struct link_spec *links;
	size_t link_count;
	const struct nic_spec *nics; /* of each guest */
	size_t nic_count;
	const char *const *qemu_args; /* of each guest; "@GUEST@" stands for its name */
	const char *kernel_args;
	const struct plug_spec *plugs; /* in this order, once a guest is up */
	size_t plug_count;
	const struct fleet_extra *extra; /* may be NULL */
};

/* Whether guests of such a fleet can have two seats at once. */
bool fleet_is_movable(const struct fleet_spec *spec);

/* A guest that has booted once and can be cloned: descriptors of its RAM and device state (memfds
 * of the run's parent process, so they vanish with it) and QEMU's arguments. */
struct template
{
	int ram_fd, state_fd;
	int kept_fd;		     /* fleet_extra's; -1: none */
	json_t *argv;		     /* array of strings */
	uint64_t memory_bytes;	     /* of it and of its clones */
	const struct template *next; /* of this fleet, for guests of another size; may be NULL */
};

/* Sizes of guests that one fleet of clones can have. */
enum { FLEET_SIZES_MAX = 8 };

/* What the host provides for a fleet. */
struct fleet_host {
	const char *accelerator; /* "kvm" or "tcg" */
	const struct image *image;
	const struct image *inner_image; /* of fleet_extra.image; else NULL */
	const struct template *template; /* for FLEET_TEMPLATE: one for each size, a list */
	struct peer *peer; /* the second machine, for a spec that wants one; NULL: it is emulated */
	const char *log_dir; /* where NAME.console and NAME.qemu are written; NULL: they end with
				the lab */
};

/* Creates the links, starts the stack and all guests in parallel, and returns when every guest's
 * agent has answered and the guest has a name, addresses, entropy and time of its own. */
struct error *fleet_open(const struct fleet_spec *spec, const struct fleet_host *host,
	struct deadline deadline, struct fleet **fleet);
void fleet_close(struct fleet *fleet);
DEFINE_CLEANUP(fleet, struct fleet *, fleet_close)

/* Boots one guest of this fleet cold, of the size of host->template and with its RAM in the
 * template's ram_fd, writes its device
 * state to state_fd and fills in `argv` (owned by the caller). Its lab can be closed afterwards. */
struct error *fleet_make_template(const struct fleet_spec *spec, const struct fleet_host *host,
	struct deadline deadline, json_t **argv);

/* Stacks have numbers for ever: 0 … stack_count-1, and on. One more, empty; its number. */
struct error *fleet_add_stack(struct fleet *fleet, struct deadline deadline, unsigned int *number);
/* Ends a stack on which no guest is. */
struct error *fleet_end_stack(struct fleet *fleet, unsigned int number, struct deadline deadline);
/* Its process, and its socket for stack_connect(); borrowed. 0 and NULL when it has been ended. */
pid_t fleet_stack_pid(const struct fleet *fleet, unsigned int number);
const char *fleet_stack_socket(const struct fleet *fleet, unsigned int number);

/* The emulated second machine, for addresses, programs in it and what its cables carried; NULL
 * without one. Borrowed. */
const struct machine *fleet_machine(const struct fleet *fleet);

unsigned int fleet_count(const struct fleet *fleet);
const char *fleet_guest_name(const struct fleet *fleet, unsigned int guest);
/* Where it is now: number of its stack, what that stack calls it, the directory of its sockets,
 * and its QEMU. Strings are borrowed until the guest is moved. */
unsigned int fleet_guest_stack(const struct fleet *fleet, unsigned int guest);
const char *fleet_guest_seat(const struct fleet *fleet, unsigned int guest);
/* "g0.3" sits in seat 3; "g0" in 0. */
unsigned int fleet_guest_seat_number(const struct fleet *fleet, unsigned int guest);
const char *fleet_guest_dir(const struct fleet *fleet, unsigned int guest);
/* What its console ends with, or says of a panic; to be freed. NULL: nothing. */
char *fleet_guest_last_words(const struct fleet *fleet, unsigned int guest);
pid_t fleet_guest_pid(const struct fleet *fleet, unsigned int guest);
uint64_t fleet_guest_memory(const struct fleet *fleet, unsigned int guest);
/* Dotted address of a guest on its n-th NIC; caller frees. */
char *fleet_guest_address(const struct fleet *fleet, unsigned int guest, size_t nic);
/* Seconds from fleet_open() to the guest's first agent answer, and to being personalised. */
double fleet_guest_answer_s(const struct fleet *fleet, unsigned int guest);
double fleet_guest_ready_s(const struct fleet *fleet, unsigned int guest);
/* The same of the slowest guest; 0 for a fleet without guests. */
double fleet_ready_s(const struct fleet *fleet);
/* Borrowed; commands to one guest's agent must not overlap. */
struct agent *fleet_agent(const struct fleet *fleet, unsigned int guest);

/* Proportional set size of a guest's QEMU in bytes, from /proc/PID/smaps_rollup. */
struct error *fleet_guest_pss(const struct fleet *fleet, unsigned int guest, uint64_t *bytes);

/* A program of ours in one guest ("fleetlab-guest"): started by fleet_prepare(), held at the
 * barrier, let go by fleet_release(), awaited by fleet_finish(). Nothing is polled while it runs:
 * the guest tells through its control port that it is ready and that it has ended. */
struct guest_job {
	unsigned int guest;
	int64_t pid;
	const char *what; /* for messages; borrowed */
};

/* Starts argv (NULL-terminated; argv[0] is a path in the guest) and waits until it stands at the
 * barrier. One job at a time in each guest. */
struct error *fleet_prepare(struct fleet *fleet, unsigned int guest, const char *const argv[],
	struct deadline deadline, struct guest_job *job);
/* Lets all these jobs go at once. */
struct error *fleet_release(struct fleet *fleet, const struct guest_job *jobs, size_t count);
/* Waits for the end of a released job. */
struct error *fleet_finish(struct fleet *fleet, const struct guest_job *job,
	struct deadline deadline, struct exec_result *result);

/* The three above for one guest, for a program that prints one JSON object: prepare, release,
 * finish, parse. An "error" member or a non-zero exit status is an error. */
struct error *fleet_run_json(struct fleet *fleet, unsigned int guest, const char *const argv[],
	struct deadline deadline, json_t **result);
/* Parses what a finished job printed; consumes nothing. */
struct error *job_json(const struct fleet *fleet, const struct guest_job *job,
	const struct exec_result *result, json_t **value);
