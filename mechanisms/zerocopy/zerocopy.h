/* What the files of mechanisms/zerocopy/ share; nobody else includes this. */
#pragma once

#include "harness/base/words.h"
#include "harness/fleet/move.h"
#include "mechanisms/mechanism.h"
#include "mechanisms/zerocopy/traffic.h"

#include <string.h>

enum { ZEROCOPY_GUESTS_MAX = 64 };

/* Of the disk that a writer in each guest goes round. */
#define ZEROCOPY_DISK_BYTES ((uint64_t)16 << 20)
/* Of the windows in which a dirtying guest counts its pages: the resolution of its recovery. */
#define ZEROCOPY_WINDOW_MS 10

/* Of the memory of guests that are not copied: links may carry less than this while they move. */
#define ZEROCOPY_LINK_SHARE_MOST 0.01

/* CPU seconds used up to now, without those of this process, in which clients are. `source` and
 * `destination` are NAN where both sides are one host. */
struct cpu_reading {
	double total, source, destination;
};

/* A guest after a move, by the kernels that run its QEMUs. */
struct sight {
	bool changed_sides; /* the target has its QEMU, the source has none of it left */
	bool same_memory;   /* it runs on the memory that it had at the source */
};

/* A topology: where the two stacks are and what is between them. Guests have numbers, as in a
 * fleet; they begin on the first stack and go to and fro. */
struct topology {
	const char *name;
	const char *emulated; /* what of it is not real, for the record; NULL: nothing */
	/* What lab and fleet it needs; see struct mechanism. */
	struct error *(*fleet)(struct trial *trial, struct fleet_spec *spec);
	/* Once the fleet is up: whatever has to be there before guests can be moved; NULL: nothing.
	 */
	struct error *(*open)(struct trial *trial);
	void (*close)(struct trial *trial); /* copes with half of open(); NULL: nothing */
	/* Before the readings of a move begin whose source is `from`; NULL: nothing. */
	void (*ready)(struct trial *trial, unsigned int from);
	/* Moves these guests from the stack on which they all are to the other one. */
	struct error *(*move)(struct trial *trial, const unsigned int guests[], size_t count,
		const struct move_options *options, struct move_report reports[]);
	/* `from`: the stack that is the source. */
	struct error *(*cpu)(struct trial *trial, unsigned int from, struct cpu_reading *reading);
	/* Where the stacks are, for what connects them; NULL: on one host. */
	struct way *(*way)(struct trial *trial);
	/* Bytes that have crossed the link between the stacks' machines, both ways: what streams
	 * take. NULL: there is none between them. */
	struct error *(*network)(struct trial *trial, uint64_t *bytes);
	/* The same of links that nothing but requests to the stacks takes; NULL: requests do not
	 * leave the lab's own sockets. */
	struct error *(*control)(struct trial *trial, uint64_t *bytes);

	/* The guests that are moved. */
	struct fleet *(*guests)(struct trial *trial);
	bool has_disks;
	bool sshd_of_host;   /* runs an SSH server outside of guests */
	bool apart;	     /* no memory that both stacks could map: nobody looks for it */
	bool seen_from_here; /* their QEMUs are processes of this lab, not of an L1 guest */
	/* Where they are not: what of a guest that has left the stack `from` is where. */
	struct error *(*sight)(
		struct trial *trial, unsigned int guest, unsigned int from, struct sight *sight);
};

extern const struct topology topology_flat, topology_machines, topology_peer, topology_nested;

/* A program of ours that runs in a guest's background. */
struct guest_program {
	int64_t pid; /* 0: none */
	char *output;
};

/* What is known of one guest while its trial lasts. */
struct zerocopy_guest {
	struct guest_program echo, fill, disk;
	char *boot_id;
	unsigned int moves;
	uint64_t sent_bytes;   /* by all of its moves, as QEMU counts its streams */
	uint64_t filled_bytes; /* known once guests_check() has asked */
};

/* What all moves of a trial have shown, for evidence. Counts of guests' moves. */
struct proof {
	unsigned int moves;
	unsigned int same_memory;  /* both sides mapped the same inode, the mover says */
	unsigned int same_inode;   /* and so it is by /proc/PID/maps, read by us */
	unsigned int link_right;   /* the link carried as much, or as little, as the method says */
	unsigned int source_ended; /* the QEMU that had the guest is gone, another has it */
	unsigned int same_boot;	   /* the guest has not booted in between */
	unsigned int watched;	   /* a client had a connection to the guest */
	unsigned int connected;	   /* and it lived, every record in order */
	uint64_t digest_pages;
	uint64_t link_bytes; /* carried during moves, by the kernel's counters */
	char *broken;	     /* why the first connection that did not live broke; NULL: none did */
};

/* A trial's own state, from the fleet's specification to teardown. */
struct zerocopy {
	struct zerocopy_guest guests[ZEROCOPY_GUESTS_MAX];
	struct proof proof;
	struct memory_counters *counters; /* NULL: this host has none */
	void *topology;			  /* the topology's own */
	struct nested_plan *plan;	  /* nested only; kept by the trial */
	struct nested *nested;
};

const struct topology *zerocopy_topology(const struct trial *trial);
struct fleet *zerocopy_guests(struct trial *trial);
/* What the guests that are moved boot. */
struct image_request zerocopy_image(const struct trial *trial);
/* Of the guests, of which all are moved or, under a load, the last one. Returns how many. */
size_t zerocopy_sizes_mib(const struct trial *trial, uint64_t sizes[ZEROCOPY_GUESTS_MAX]);

enum move_method zerocopy_method(const struct trial *trial);

static inline bool zerocopy_copies(const struct trial *trial)
{
	return move_copies(zerocopy_method(trial));
}

/* ---- guests.c: programs in the guests ---- */

/* What a program of ours prints, which is one JSON object; argv ends with NULL. */
struct error *guest_run(struct trial *trial, unsigned int guest, const char *const argv[],
	struct deadline deadline, json_t **result);
/* Commands of the guest program and their options, by the trial's parameters. Pure. */
void fill_words(
	const struct trial *trial, unsigned int guest, uint64_t memory_bytes, struct words *words);
/* `rate` in pages a second; 0: as fast as it goes. */
void dirty_words(
	const struct trial *trial, int64_t rate, uint64_t memory_bytes, struct words *words);
void echo_words(const struct trial *trial, struct words *words);
/* Starts such a command in the background; returns when it is ready. */
struct error *guest_start(struct trial *trial, unsigned int guest, const struct words *command,
	struct guest_program *program);
/* Ends it and takes its result; the program can be started anew. */
struct error *guest_collect(
	struct trial *trial, unsigned int guest, struct guest_program *program, json_t **result);
/* Starts in every guest, in parallel, what runs through all of the trial. */
struct error *guests_prepare(struct trial *trial);
/* After the last move: what filled the memory is intact, and so is the disk; adds evidence. */
struct error *guests_check(struct trial *trial);
void guests_deinit(struct zerocopy *state);
/* The guest's boot id; caller frees. */
struct error *guest_boot_id(struct trial *trial, unsigned int guest, char **id);

/* ---- observe.c: moves while clients watch ---- */

/* How the trial's guests are moved, by its parameters. Pure. */
struct move_options zerocopy_move_options(const struct trial *trial);
/* Moves the guests as one transaction and appends all readings of that at the coordinates `at`
 * (borrowed; may be NULL): with several guests the longest of each. */
struct error *observe_move(
	struct trial *trial, const unsigned int guests[], size_t count, json_t *at);

/* By a guest's own CLOCK_MONOTONIC; 0: not known. */
struct guest_moments {
	uint64_t begin_ns;   /* its last answer before the move began */
	uint64_t stopped_ns; /* and before it was stopped, see probe.h */
};

/* The same of one guest, whose clients stay some seconds longer, and when that was to it. */
struct error *observe_move_in_guest(
	struct trial *trial, unsigned int guest, json_t *at, struct guest_moments *moments);

/* The same of one guest without those clients, for a guest under a load that must not be disturbed:
 * what only they see is not read. [*begin_ns, *end_ns] is when it was moved, of CLOCK_MONOTONIC. */
struct error *observe_bare_move(
	struct trial *trial, unsigned int guest, int64_t *begin_ns, int64_t *end_ns);

/* ---- throughput.c, web.c: the workloads of these names ---- */

/* Of each transfer. Pure. */
double throughput_seconds(const struct trial *trial);
/* What to send through the channel, by how long it took for so many bytes. Pure. */
uint64_t throughput_channel_bytes(const struct trial *trial, uint64_t bytes, double seconds);
/* Appends its own evidence: nothing is moved. */
struct error *measure_throughput(struct trial *trial);

/* What httperf has seen of a part of a trial. */
struct web_account {
	size_t segments;
	double replies, seconds; /* of httperf's runs, which stand for what was between them */
	uint64_t errors;	 /* requests that failed, or were refused */
};
struct web_accounts {
	struct web_account before, during, after;
};
struct web_segment;
/* A run counts as during the move when it touches it, as before it when it is one of the last
 * WEB_BASE_RUNS that do not. Pure. */
enum { WEB_BASE_RUNS = 5 };
struct web_accounts web_account(
	const struct web_segment *segments, size_t count, int64_t begin_ns, int64_t end_ns);

/* Starts the server, for setup; without the workload nothing. */
struct error *web_prepare(struct trial *trial);
struct error *measure_web(struct trial *trial);

/* ---- measure.c, evidence.c ---- */

/* Pages a second of the `step`-th step of the dirty sweep. Pure. */
int64_t zerocopy_dirty_rate(const struct trial *trial, int64_t step);
/* Which of `count` points of a sweep within one trial is its i-th. Pure. */
int64_t zerocopy_sweep_step(const struct trial *trial, int64_t i, int64_t count);
struct error *zerocopy_measure(struct trial *trial);
struct error *zerocopy_evidence(struct trial *trial);
