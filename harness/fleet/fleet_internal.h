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
	char *dir; /* guest_dir() */
	pid_t pid; /* of its QEMU, in the lab's PID namespace */
	struct agent *agent;
	int control_fd;
	int64_t answer_ns, ready_ns;
};

struct fleet {
	struct fleet_spec spec;
	struct fleet_host host;
	char *emulator; /* path of QEMU: the one in PATH, which is what host facts speak of */
	struct deadline deadline; /* for everything until it is open */
	int64_t begin_ns;
	char *stack_socket;
	pid_t stack_pid;
	struct guest *guests;
	unsigned int count;
};

/* Binds all threads of a QEMU to processing unit `index` modulo their number, in hwloc's logical
 * order (neighbours share a core). */
struct error *pin_guest(pid_t qemu, unsigned int index);

/* Waits until a guest writes one of the bytes in `wanted` to its control port, and returns it.
 * `what` is what runs in the guest, for messages. */
struct error *await_byte(const struct guest *guest, const char *wanted, const char *what,
	struct deadline deadline, char *heard);
