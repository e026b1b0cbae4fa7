/*
 * TCP connections to guests' "echo", which sends a small numbered record every millisecond: how
 * long a stream stalls when its guest is moved, and whether the connection lives on with nothing
 * lost.
 */
#pragma once

#include "workloads/host/probe.h"

/* What arrived of one connection, in order. */
struct stream_arrival {
	int64_t at_ns;	  /* CLOCK_MONOTONIC, when the kernel received it */
	uint64_t records; /* complete ones until then */
};

struct stream_series {
	struct stream_arrival *arrivals;
	size_t count;
	uint64_t bytes, records;
	/* Why the connection did not survive; NULL when until the end it was open and every record
	 * came, in order and unharmed. */
	char *broken;
	int64_t broken_ns; /* when that was noticed */
};

void stream_series_deinit(struct stream_series *series);

struct stream;

/* Connects to `count` targets (see probe.h) from the network namespace of the caller and starts
 * reading in a thread. A target that cannot be reached by the deadline is an error. */
struct error *stream_start(const struct probe_target *targets, size_t count,
	struct deadline deadline, struct stream **stream);
/* Waits until every connection has delivered `records` more than when this was called. A connection
 * that breaks is an error. */
struct error *stream_await(struct stream *stream, uint64_t records, struct deadline deadline);
/* Ends the thread and closes the connections. `series` has one element for each target, owned by
 * the caller. The stream is destroyed, also on failure. */
struct error *stream_stop(struct stream *stream, struct stream_series *series);
void stream_destroy(struct stream *stream);
DEFINE_CLEANUP(stream, struct stream *, stream_destroy)

struct stream_report {
	struct gap stall; /* the longest between two arrivals */
	double stall_ms;  /* NAN: fewer than two arrivals */
	double median_gap_ms;
	uint64_t records; /* in the part looked at */
	bool survived;	  /* until the end of the series */
};

/* Looks at what touches [from_ns, to_ns] (0 and INT64_MAX: all). Pure. */
struct stream_report stream_report(
	const struct stream_series *series, int64_t from_ns, int64_t to_ns);
