/*
 * Moving running guests from one stack to another, as one transaction: either all of them run on
 * the target when it returns, or all of them run on the source. A guest never runs on both and
 * never on none: whoever dies while a move is under way (the mover, a stack, a QEMU of the target),
 * the keeper, which is the process that called move_run(), brings the guests back or forward.
 *
 *   preflight  both sides can hold the guest: machine and CPU are equal, there is room, and for
 *              MOVE_ZEROCOPY the RAM is a file that the target can map
 *   receive    the target's QEMUs are started paused and listen; for MOVE_ZEROCOPY they map the
 *              same inode, which is looked up from outside (/proc/PID/maps) and compared
 *   transfer   QEMU migrates; when it has ended, the source is stopped and the target not yet
 *              running, so the memory stands still
 *   verify     pages as seen through either QEMU's own mapping are hashed and compared: a target on
 *              other memory would resume a guest that is lost, and is refused
 *   commit     the target runs: from here on the guest is the target's
 *   finish     the source's QEMU ends
 *
 * The steps are driven by a process of its own (the mover), by the protocol of stack.h alone, so
 * stacks beside us and stacks inside L1 guests are moved between in the same way. x-ignore-shared
 * is what makes QEMU leave shared RAM out of the stream, but for MOVE_CPR.
 *
 * The commit of a guest is its point of no return: from then on it lives in the target's QEMU and
 * dies with that, as it would have with the source's; the source's memory and devices are of the
 * past, and are never run again. Where another guest of the same transaction fails after that, the
 * committed one is moved back, into a new QEMU of the source's stack (receive_back).
 *
 * Before its commit a guest goes back without the target's help: that cannot have run it. From the
 * commit on a guest whose QEMU and stack on the target are both gone or out of reach may have run,
 * and is told to be lost rather than run again.
 *
 * Inodes can be compared only under one kernel. Between stacks of different kernels (two L1 guests
 * with one NVDIMM) the digests alone prove that the memory is the same.
 */
#pragma once

#include "harness/base/clock.h"
#include "harness/base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum move_method {
	MOVE_ZEROCOPY, /* the target maps the source's memory; only device state is sent */
	MOVE_PRECOPY,  /* QEMU's ordinary live migration */
	MOVE_POSTCOPY, /* state first, pages on demand; the commit comes before the pages, and there
			  is nothing to verify. QEMU 7.2 hangs when the target dies under way */
	MOVE_CPR, /* QEMU's own cpr-transfer (from version 10 on): the source hands its memory over
		     as file descriptors, RAM as well as ROMs, to a target under the same kernel.
		     Needs a QEMU that has it, started with MOVE_CPR_ARGUMENTS, shared RAM in a
		     file, and a guest that is a template's clone; refused otherwise, before
		     anything has been done. Receive has the source's QEMU connect to the target's,
		     so that begins QEMU's own count of the time (transfer_ms); total_ms does as
		     ever, with the command upon which the source stops. */
};

enum move_step {
	MOVE_PREFLIGHT,
	MOVE_RECEIVE,
	MOVE_TRANSFER,
	MOVE_VERIFY,
	MOVE_COMMIT,
	MOVE_FINISH,
	MOVE_STEP_COUNT,
};

/* Words for qemu_args of a fleet whose guests are to be moved by MOVE_CPR. */
#define MOVE_CPR_ARGUMENTS "-machine", "aux-ram-share=on"

/* One guest's way from stack to stack. Strings are borrowed. */
struct move_item {
	const char *guest;	   /* for messages */
	const char *source_socket; /* the stacks' sockets as for stack_connect() */
	const char *target_socket;
	const char *source_name; /* what either stack calls the guest */
	const char *target_name;
	const json_t *receive;	/* the request "receive" for the target's stack, without op, name */
	const char *target_uri; /* where the target's QEMU listens: "unix:…", "tcp:…" */
	const char *source_uri; /* where the source's QEMU sends: the same, or a tunnel's entry */
	/* The way back of a guest that runs on the target already: what the source's stack is asked
	 * to receive, its name there and the address. NULL: such a guest stays on the target. */
	const json_t *receive_back;
	const char *back_name;
	const char *back_uri;
};

struct stack;

struct move_options {
	enum move_method method;
	bool one_by_one; /* each guest through all its steps before the next; else all guests step
			    by step together */
	bool digest_all; /* verify: every page that holds data instead of a sample; guests stand
			    still the longer */
	bool populate;	 /* the target's page tables are filled before the source stops */
	uint64_t bandwidth_bytes_s; /* QEMU's limit for copying methods; 0: none */
	int64_t downtime_limit_ms;  /* precopy: stop the source when the rest takes so long; 0:
				       QEMU's 300 */
	unsigned int sample_pages;  /* verified for MOVE_ZEROCOPY; 0: 256 */
	struct deadline deadline;   /* for the transfer of all; roll-back has time of its own */
	/* Called in the mover when the target's QEMU has been started and does not listen yet: the
	 * place to plug in what the source has been given since its start. May be NULL. */
	struct error *(*prepare)(void *context, const struct move_item *item, struct stack *source,
		struct stack *target, struct deadline deadline);
	/* Called in the keeper for a stack that does not answer: ends what is left of it and starts
	 * it anew on the same socket. `*gone` tells that the machine that it was on has ended, and
	 * with it every QEMU there. NULL: then a stack's death is beyond repair. */
	struct error *(*revive)(
		void *context, const char *socket, struct deadline deadline, bool *gone);
	/* Called in the keeper when the mover is about to take a step with a guest and waits for
	 * the answer: progress, and the place where tests kill. May be NULL. */
	void (*on_step)(void *context, enum move_step step, const char *guest, pid_t mover);
	/* fleet_move() only: where the source of a guest sends to reach the target that listens at
	 * `target_uri`, such as a tunnel's entry; called in the keeper before anything begins.
	 * *source_uri is owned by the caller of it. NULL: to the target itself. */
	struct error *(*route)(void *context, const char *target_uri, char **source_uri);
	void *context;	      /* of all of these */
	bool ignore_identity; /* for tests: do not compare inodes, leave it to the digests */
};

/* What is known of one guest's move when it has ended. Times in ms unless said otherwise; a time
 * that could not be had is NAN. */
struct move_report {
	double total_ms;    /* from the source's first migration command to the target's running */
	double transfer_ms; /* QEMU's own "total-time" */
	double downtime_ms; /* from the source's STOP to the target's RESUME event, clocks of both
			       stacks related by round trips */
	double qemu_downtime_ms; /* QEMU's own "downtime": the source's view */
	double verify_ms;	 /* part of the downtime */
	double receive_ms;	 /* starting the target's QEMU; the guest runs meanwhile */
	double populate_ms;	 /* filling its page tables; the guest runs meanwhile */
	double source_vcpu_s; /* CPU time of the source's vCPUs from preflight to end: the guest's
			       */
	double target_vcpu_s; /* the same of the target's */
	int64_t stop_ns; /* the two events, by CLOCK_REALTIME of the source's stack; 0: not had */
	int64_t resume_ns;
	uint64_t sent_bytes;	   /* QEMU's count of the migration stream */
	uint64_t memory_bytes;	   /* the guest's RAM */
	uint64_t digest_pages;	   /* compared between both sides */
	uint64_t dirty_sync_count; /* passes over memory */
	bool same_memory;	   /* both sides mapped the same inode at the same offset */
	bool moved;		   /* the guest runs on the target, or did when last heard of */
	bool brought_back; /* it was there, and runs on the source's stack again as back_name */
	bool lost;	   /* its QEMU has died after the commit, or nobody can tell whether; or the
			      source's has */
	pid_t target_pid;  /* its QEMU, as the target's stack sees it */
	pid_t back_pid;	   /* the same of back_name */
};

/* Moves all items, or none. `reports` has one element for each item and is filled in also on
 * failure, as far as things went. The error says which step of which guest failed, why, and that
 * the guests run on the source again; only when that could not be had it names the lost guest. */
struct error *move_run(const struct move_item *items, size_t count,
	const struct move_options *options, struct move_report *reports);

/* The guest gets new memory, to which the old is copied. */
bool move_copies(enum move_method method);
const char *move_method_name(enum move_method method);
const char *move_step_name(enum move_step step);
