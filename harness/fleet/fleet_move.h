/*
 * Moving a fleet's guests from one of its stacks to another: move.h for guests in one lab, by UNIX
 * sockets. Nobody else may use these guests' agents or jobs meanwhile; programs in them go on, and
 * a job that was released before is finished after.
 */
#pragma once

#include "harness/fleet/fleet.h"
#include "harness/fleet/move.h"

/* Moves these guests (numbers, each once) to stack `to_stack`; all or none, see move_run(), which
 * `options` and `reports` (one for each guest) are handed to. Needs a fleet with more than one
 * stack in its spec, or `movable`. MOVE_ZEROCOPY needs RAM_SHARED; copying methods give the guest
 * new memory of its kind. options->revive is the fleet's own. */
struct error *fleet_move(struct fleet *fleet, const unsigned int *guests, size_t count,
	unsigned int to_stack, const struct move_options *options, struct move_report *reports);

/* A move_item of one guest, with what it points to. Zero-initialise; for tests, which spoil it. */
struct fleet_item {
	struct move_item item;
	unsigned int seat, back_seat;
	char *ram_path, *back_ram_path; /* new RAM files of copying methods; NULL: no new one */
	char *name, *back_name;
	char *uri, *send_uri, *back_uri;
	char *route; /* the source's address instead of send_uri; NULL: none */
	json_t *receive, *receive_back;
};

struct error *fleet_item_init(struct fleet *fleet, unsigned int guest, unsigned int to_stack,
	enum move_method method, struct fleet_item *item);
void fleet_item_deinit(struct fleet_item *item);
