/*
 * A second machine, emulated: a network namespace within the lab, joined to it by one cable for
 * each of the lab's links. The link (a bridge) goes on in the machine under the same name, so a
 * guest that moves there keeps its address and its connections; the bridges learn its new place
 * from its first frame. Only the network is the machine's own: processes, files and processors are
 * the lab's, which results have to say.
 *
 * A cable is shaped in both directions and counts as Ethernet does: a frame costs its preamble,
 * checksum and gap (24 bytes) too, so TCP gets about 941 Mbit/s out of 1 Gbit/s. Frames cross it
 * one by one (no GSO), and wait for it in a queue as long as an Ethernet device's, 1000 of them.
 *
 * Call only inside a lab: the machine ends with it.
 */
#pragma once

#include "harness/lab/network.h"

#include <stdint.h>

struct machine_spec {
	unsigned int number;  /* 1 … 9; the lab itself counts as machine 0 */
	uint64_t rate_kbit_s; /* of each cable and direction; 0: as fast as it goes */
	uint64_t delay_us;    /* of each cable, one way; 0: none */
};

struct machine;

/* Makes the machine and its cables to `links`, which network_create() has made. Where a link has an
 * address 10.77.n.254, machine m has 10.77.n.(254 - m) there. */
struct error *machine_create(const struct machine_spec *spec, const struct link_spec *links,
	size_t link_count, struct machine **machine);

/* Forgets the handle; the machine itself stays until the lab ends. */
void machine_free(struct machine *machine);
DEFINE_CLEANUP(machine, struct machine *, machine_free)

unsigned int machine_number(const struct machine *machine);
/* Path of its network namespace; borrowed. */
const char *machine_namespace(const struct machine *machine);

/* The calling thread is in the machine from now on, and so is what it executes; NULL stands for the
 * lab itself: nothing happens. For a child before exec: async-signal-safe, -1 and errno on failure.
 */
int machine_enter(const struct machine *machine);

/* The words that put a command into the machine when they stand before it; none for NULL. Returns
 * their number; they are borrowed from the machine. */
enum { MACHINE_PREFIX_WORDS = 3 };
size_t machine_prefix(const struct machine *machine, const char *words[MACHINE_PREFIX_WORDS]);

/* The machine's own address on a link of the lab, "10.77.0.253", without the length of its prefix;
 * of the lab itself for NULL. NULL when it has none there; caller frees. */
char *machine_address(const struct machine *machine, const struct link_spec *link);

/* What has crossed a cable since the machine exists, counted at the lab's end. */
struct cable_traffic {
	uint64_t frames_to_machine, bytes_to_machine;
	uint64_t frames_from_machine, bytes_from_machine;
};

struct error *machine_cable(
	const struct machine *machine, const char *link, struct cable_traffic *traffic);
