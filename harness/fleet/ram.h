/*
 * Huge pages for guests' RAM (RAM_BACKING_HUGE). They are the host's: a run borrows them outside of
 * its labs, before a fleet is opened, and gives them back when the lab has ended (host/knobs.h).
 */
#pragma once

#include "harness/fleet/fleet.h"

/* Why this host cannot reserve huge pages for us, a static text, or NULL. */
const char *ram_huge_pages_refused(void);

/* Reserves what the fleet's RAM needs, beyond what is reserved already; nothing for a fleet on
 * other pages. */
struct error *ram_borrow_huge_pages(const struct fleet_spec *spec);
