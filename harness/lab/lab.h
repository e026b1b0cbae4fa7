/*
 * A lab is everything that one trial creates, in namespaces of its own: PID, mount, network, IPC
 * and UTS. Its first process is the lab's init; when that dies, for whatever reason, the kernel
 * ends all others and with them every QEMU, tap, bridge, mount and memory file. The init dies with
 * the process that opened the lab (parent-death signal), so kill -9 of anyone leaves nothing
 * behind.
 *
 * Nothing outside the lab is changed: mounts are private, and the lab's directory is a tmpfs that
 * only the lab sees.
 */
#pragma once

#include "harness/base/clock.h"
#include "harness/base/error.h"

#include <stdbool.h>
#include <sys/types.h>

/* What runs inside the lab, in a process of its own below the init. Returns an exit status. */
typedef int lab_body(void *context);

struct lab_options {
	const char *name; /* hostname of the lab */
	bool detached;	  /* lives on when its opener ends (`fleet up`), once its body says
			     lab_settle() */
	bool mask_kvm;	  /* hide /dev/kvm: the probe said that it does not work */
	lab_body *body;
	void *context;
};

struct lab {
	pid_t init_pid; /* as seen by the opener */
	int alive_fd;	/* the init ends when the last copy of this is closed; -1 when detached */
};

/* Opens a lab and starts its body. The body inherits all open descriptors. Call from the main
 * thread of a single-threaded process only. Errors name the namespace or mount that was refused;
 * errors inside the body are the body's own business. */
struct error *lab_open(const struct lab_options *options, struct lab *lab);

/* Waits until the lab has ended; false when the deadline passes first. `status` as of waitpid(2).
 */
bool lab_wait(struct lab *lab, struct deadline deadline, int *status);

/* Ends the lab with all that runs in it and waits for the kernel to finish. Harmless when it ended.
 */
void lab_kill(struct lab *lab);

/* Inside a detached lab: from now on it does not end with its opener, but with its body. */
void lab_settle(void);

/* Inside a lab: its private directory (a tmpfs). Short, since socket paths are. */
const char *lab_dir(void);
