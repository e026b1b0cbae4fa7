/*
 * A client of every guest of a fleet, while something is done to the fleet: a datagram and a
 * record of an open TCP stream each N ms with N guests, from the lab. What it sees is what users of
 * the guests would have seen.
 */
#pragma once

#include "harness/fleet/fleet.h"

struct fleet_watch;

/* Starts the servers in the guests and the clients here; returns when all flow. */
struct error *fleet_watch_start(
	struct fleet *fleet, struct deadline deadline, struct fleet_watch **watch);

/* Waits until every guest has answered for a while longer, then ends clients and servers. Adds
 * "udp_gap_ms", "tcp_stall_ms" (the longest silence since the start), "connected" (the stream lives
 * on with every record in order) and, where not, "broken" to each of `guests`, an array of objects.
 * The watch is destroyed, also on failure. */
struct error *fleet_watch_finish(
	struct fleet_watch *watch, struct deadline deadline, json_t *guests);
/* Ends what still runs, in the guests as far as they answer. */
void fleet_watch_destroy(struct fleet_watch *watch);
DEFINE_CLEANUP(fleet_watch, struct fleet_watch *, fleet_watch_destroy)
