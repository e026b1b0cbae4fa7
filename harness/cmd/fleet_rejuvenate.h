/*
 * Rejuvenation of a running fleet (paper D): the keeper starts a fresh stack, moves every guest to
 * it as one transaction, and ends the old stack with all it has leaked.
 *
 * Request: {"op": "rejuvenate", "method", "together", "digest_all", "watch", "age",
 * "timeout_ms"}. While it goes on, lines {"progress": TEXT} are sent; the answer is {"stack",
 * "method", "seconds", "memory": {"before", "aged", "after"}, "guests": [{"name", …}]}, memory in
 * bytes.
 */
#pragma once

#include "harness/base/jsonline.h"
#include "harness/fleet/fleet.h"

/* Serves the request in the keeper; nobody else may use the fleet meanwhile. `fd` is where progress
 * goes. On error every guest runs where it was. */
struct error *fleet_rejuvenate(struct fleet *fleet, const json_t *request, int fd, json_t *answer);
