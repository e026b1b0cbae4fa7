/*
 * How much memory a move reads and writes, estimated as paper D does (section 5.8): from what was
 * sent and how often each byte of it is touched on its way. No counter of the host is asked, since
 * few hosts let one read them; what the estimate leaves out is scanning for dirty or zero pages.
 */
#pragma once

#include <stdint.h>

/* The ways that a migration stream takes. */
enum traffic_path {
	/* Between two QEMUs of one host by a UNIX socket. Source 2: guest memory is read, the
	 * socket buffer written. Destination 4: the socket buffer is read and QEMU's stream buffer
	 * written, that is read and guest memory written. */
	TRAFFIC_UNIX,
	/* Two machines, SSH tunnel: the paper's 6 at the source and 7 at the destination. */
	TRAFFIC_TWO_MACHINES,
	/* Two nested systems, emulated NICs, SSH tunnel: the paper's 14 in all. */
	TRAFFIC_NESTED,
	/* Two nested systems, paravirtual NICs, SSH tunnel: the paper's 10 in all. */
	TRAFFIC_NESTED_PARAVIRTUAL,
	/* As TRAFFIC_UNIX, but from socket to socket through a ring of shared memory: the source's
	 * relay reads the socket buffer and writes the ring, the destination's reads that and
	 * writes another socket buffer. */
	TRAFFIC_CHANNEL,
};

/* In multiples of the guest's memory. One host has no two sides: `source` and `destination` are
 * NAN where the paper gives only the sum. */
struct traffic {
	double source, destination, total;
};

/* `sent_bytes` is the whole stream, pages that were sent again counting again; `digest_bytes` is
 * what was read of guest memory to compare it, on both sides together. */
struct traffic traffic_estimate(
	enum traffic_path path, uint64_t sent_bytes, uint64_t digest_bytes, uint64_t memory_bytes);
