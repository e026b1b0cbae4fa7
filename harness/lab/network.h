/*
 * The lab's network: links (bridges) and the ports (taps) that guests plug into. Call only inside a
 * lab: the devices vanish with its network namespace.
 */
#pragma once

#include "harness/base/error.h"

#include <stdint.h>

/* A named network segment. */
struct link_spec {
	const char *name;    /* at most 12 characters; the bridge is called so */
	const char *address; /* the lab's own address on it, "10.77.0.254/24", or NULL */
	uint64_t
		rate_kbit_s; /* shaped per port and direction to the guest; 0: as fast as it goes */
	uint64_t delay_us;   /* added one way; 0: none */
};

struct machine; /* harness/lab/machine.h */

/* A tap device on a link, for one NIC of one guest. */
struct port_spec {
	const char *tap; /* at most 15 characters */
	const char *link;
	const struct machine *machine; /* where it is; NULL: the lab itself */
};

/* Creates links and ports in one go; all ports are in the lab itself. Errors name the first device
 * that was refused. */
struct error *network_create(const struct link_spec *links, size_t link_count,
	const struct port_spec *ports, size_t port_count);

/* Adds ports to links that network_create() has made and, for those of a machine, that
 * machine_create() has led there. */
struct error *network_add_ports(const struct link_spec *links, size_t link_count,
	const struct port_spec *ports, size_t port_count);

/* Frames and bytes that a device of the lab itself (tap, bridge or cable) has carried in both
 * directions since it exists. */
struct error *network_counters(const char *device, uint64_t *frames, uint64_t *bytes);

/* A counter of a device of the lab itself, by the kernel's name ("rx_bytes"). */
struct error *network_counter(const char *device, const char *name, uint64_t *value);
