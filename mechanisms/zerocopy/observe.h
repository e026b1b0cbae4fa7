/* What has been seen of one move, from observe.c to readings.c; nobody else includes this. */
#pragma once

#include "mechanisms/zerocopy/zerocopy.h"
#include "workloads/host/probe.h"
#include "workloads/host/stream.h"

struct watched_guest {
	const struct fleet *fleet;
	unsigned int number;
};

/* Clients of the guests that are moved. */
struct watch {
	size_t count;
	struct watched_guest guests[ZEROCOPY_GUESTS_MAX];
	struct probe_target targets[ZEROCOPY_GUESTS_MAX];
	uint64_t replies_after; /* that are waited for before the clients end */
	struct probe *probe;
	struct stream *stream;
	struct probe_series probed[ZEROCOPY_GUESTS_MAX];
	struct stream_series streamed[ZEROCOPY_GUESTS_MAX];
};

/* A QEMU, and the RAM file that it maps shared: the largest of its mappings. */
struct placement {
	pid_t process;
	unsigned long inode;
	unsigned int device_major, device_minor;
};

struct move_seen {
	struct move_report reports[ZEROCOPY_GUESTS_MAX];
	struct placement before[ZEROCOPY_GUESTS_MAX];
	struct cpu_reading cpu_before, cpu_after;
	uint64_t network_before, network_after; /* of the link between the machines */
	uint64_t control_before, control_after;
	double counted_before, counted_after; /* by the memory controllers, where they count */
	unsigned int from;		      /* the source's stack */
	int64_t begin_ns, end_ns;
};

/* ---- readings.c ---- */

/* Append readings at the coordinates `at`: of several guests the longest of each time. */
struct error *read_times(
	struct trial *trial, const struct watch *watch, const struct move_seen *seen, json_t *at);
struct error *read_costs(
	struct trial *trial, size_t count, const struct move_seen *seen, json_t *at);
/* From what the moved guest has answered. Pure. */
struct guest_moments find_moments(const struct probe_series *probed, const struct move_seen *seen);
