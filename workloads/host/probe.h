/*
 * Datagrams to guests' "echo", one to each every millisecond, from a thread of their own: how long
 * guests did not answer, and how much of their clocks' time they have lost. The honest downtime,
 * since nobody who takes part in a migration is asked.
 *
 * A guest's clock stands still while QEMU has it stopped, so a guest cannot see its own downtime;
 * but its clock then is behind a client's by just that much.
 */
#pragma once

#include "harness/base/clock.h"
#include "harness/base/error.h"
#include "workloads/host/gap.h"

#include <stdbool.h>
#include <stdint.h>

/* A guest with "fleetlab-guest echo". Strings are borrowed. */
struct probe_target {
	const char *name;    /* for messages */
	const char *address; /* dotted */
	uint16_t port;	     /* 0: where echo listens by default */
	/* False once nobody is there to answer any more: then nobody waits for it. Asked from time
	 * to time by who waits; NULL: only the deadline ends a wait. */
	bool (*lives)(const void *context);
	const void *lives_context;
};

/* One reply. Times of the host are CLOCK_MONOTONIC; arrival is when the kernel received it. */
struct probe_reply {
	uint64_t sequence;
	int64_t sent_ns, received_ns;
	uint64_t guest_monotonic_ns, guest_realtime_ns;
};

/* What one target answered: in order of arrival, each request at most once. */
struct probe_series {
	struct probe_reply *replies;
	size_t reply_count;
	int64_t *sent_ns; /* when the request of each sequence number was sent */
	size_t sent_count;
	uint64_t send_errors; /* the kernel knew that nobody was there */
};

void probe_series_deinit(struct probe_series *series);

struct probe;

/* Starts asking `count` targets, each every `interval_us` (0: 1000), in the network namespace of
 * the caller. */
struct error *probe_start(const struct probe_target *targets, size_t count,
	unsigned int interval_us, struct probe **probe);
/* Waits until every target has answered `replies` more requests than it had when this was called.
 */
struct error *probe_await(struct probe *probe, uint64_t replies, struct deadline deadline);
/* Stops asking, waits a moment for replies under way, ends the thread. `series` has one element for
 * each target, owned by the caller. The probe is destroyed, also on failure. */
struct error *probe_stop(struct probe *probe, struct probe_series *series);
/* As probe_stop() without results. */
void probe_destroy(struct probe *probe);
DEFINE_CLEANUP(probe, struct probe *, probe_destroy)

/* What a part of a series says. Times in ms; NAN where there was too little to tell. */
struct probe_report {
	struct gap gap;	 /* the longest between two replies */
	struct gap stop; /* of the long ones that in which the guest was stopped, by its clock;
			  * the longest where that cannot be told */
	struct gap
		send_gap; /* the longest between two requests: our own share, if we were held up */
	uint64_t sent, lost; /* requests of this part, and those never answered */
	double gap_ms;
	double median_gap_ms; /* between neighbouring replies */
	double median_rtt_ms;
	/* How far the guest's clock fell behind ours while it was stopped, and how sure that is:
	 * the quickest round trips before and after bound it. Of CLOCK_MONOTONIC. */
	double clock_lost_ms, clock_error_ms;
	/* The guest's CLOCK_MONOTONIC as of the last reply before its stop and the first after it,
	 * to find the stop in what guests have recorded by their own clocks. */
	uint64_t guest_before_ns, guest_after_ns;
};

/* Looks at the gaps and requests that touch [from_ns, to_ns] of our CLOCK_MONOTONIC (0 and
 * INT64_MAX: all). Pure. */
struct probe_report probe_report(const struct probe_series *series, int64_t from_ns, int64_t to_ns);
