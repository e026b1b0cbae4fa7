/*
 * An SSH tunnel for a move's stream, between the places where two stacks are. Keys and servers are
 * there before any move, as on hosts that `xl migrate` and `virsh migrate` are used between; the
 * client logs in anew for each move, as these do, which is a part of it. It stays connected until
 * the next: between two readings of CPU time nothing may end whose time is asked for.
 */
#pragma once

#include "workloads/host/ssh_tunnel.h"

struct way {
	struct place places[2]; /* of the stacks */
	char *dirs[2];		/* of the places */
	char *addresses[2];	/* where each can be reached by the other */
	unsigned int from;	/* the stack that sends */
	struct deadline deadline;
	struct tunnel *tunnels[2]; /* by the place that sends; NULL: not prepared */
	bool connected;		   /* the one of `from` is */
};

/* Once the places and addresses are set, for tunnels both ways: without it there are none. */
struct error *way_prepare(struct way *way, struct deadline deadline);

/* Disconnects the tunnel of the last move; `from` is the source of the next. Before the next one's
 * readings begin. */
void way_begin(struct way *way, unsigned int from, struct deadline deadline);

/* Connects it: what is sent to `entry` at the sending place comes out at `exit` at the other one.
 * Both as in struct tunnel_forward. Once after each way_begin(). */
struct error *way_open(struct way *way, const char *entry, const char *exit);

/* move_options.route, for one guest at a time; `way` is a struct way. */
struct error *way_route(void *way, const char *target_uri, char **source_uri);

void way_deinit(struct way *way);
