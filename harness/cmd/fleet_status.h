/* What a fleet's keeper tells of a guest, seen from the lab. */
#pragma once

#include "harness/fleet/fleet.h"

/* {"name", "address", "alive", "ready_s", "memory_bytes", "vcpus", "stack", "pss_bytes",
 * "rss_bytes", "cpu_s", "threads" (these four of its QEMU), "links": [{"name", "rx_bytes",
 * "tx_bytes", "rx_packets", "tx_packets"}] as the guest counts}. What cannot be read, such as of a
 * QEMU in another machine, is left out. Caller owns it. */
json_t *fleet_guest_status(const struct fleet *fleet, unsigned int guest, unsigned int vcpus);

/* Adds "balloon_bytes", the RAM that its balloon leaves to a guest, to each of `guests` (in order)
 * whose QEMU tells it, within half a second for all of them. No guest may be moved meanwhile. */
void fleet_add_balloons(const struct fleet *fleet, json_t *guests);
