/*
 * What the keepers of all running fleets tell, asked at once: one that hangs costs the others
 * nothing, and the caller no more time than it has.
 */
#pragma once

#include "harness/base/clock.h"
#include "harness/base/error.h"

/* Told of each fleet, as soon as its keeper has answered or cannot: `status` is the answer to
 * "status" (fleet_control.h); NULL: `why` is the reason. Both are borrowed. */
typedef void fleet_told(const char *name, json_t *status, const struct error *why, void *context);

/* Asks all fleets of this user. A socket that nobody serves is left out. Returns soon after the
 * deadline at the latest. */
void fleet_ask_all(struct deadline deadline, fleet_told *told, void *context);
