/*
 * A fleet's second machine that is a real one: its last stack is a peer (peer.h), in a lab there.
 * The fleet's links go on in that lab by cables (harness/lab/cable.h), so a guest that moves there
 * keeps its address and its connections. Its memory is new there. A guest with a disk cannot go:
 * its disk is here.
 */
#pragma once

#include "harness/fleet/fleet.h"

struct peer;

/* Makes `peer` (borrowed as long as the fleet lives) the fleet's next stack, for fleet_open(). */
struct error *peer_fleet_join(struct fleet *fleet, struct peer *peer, struct deadline deadline);
/* For fleet_close(). */
void peer_fleet_leave(struct fleet *fleet);
