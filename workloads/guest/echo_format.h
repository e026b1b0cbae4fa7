/*
 * What "echo" and the host's clients of it send each other: datagrams that come back with the
 * guest's clocks, and a stream of numbered records. Little-endian, as every host and guest of ours
 * is. Must not include anything but C's own headers: the host's side uses it too.
 */
#pragma once

#include <stdint.h>

#define ECHO_PORT 7007 /* of both, unless another is given */
#define ECHO_MAGIC UINT32_C(0x65636830)
#define ECHO_RECORD_MAGIC UINT32_C(0x73747230)

/* A request and its reply have the same size, so that neither is worth forging to flood anyone. */
struct echo_datagram {
	uint32_t magic;
	uint32_t is_reply;
	uint64_t sequence;     /* the client's; comes back as it was */
	uint64_t monotonic_ns; /* of the guest, in a reply: CLOCK_MONOTONIC */
	uint64_t realtime_ns;  /* CLOCK_REALTIME */
};

/* One record of the stream; the first that a connection gets has number 0. */
struct echo_record {
	uint32_t magic;
	uint32_t checksum; /* echo_checksum() */
	uint64_t number;
	uint64_t monotonic_ns;
	uint64_t filler; /* depends on the number, so that records differ in every word */
};

static inline uint64_t echo_filler(uint64_t number)
{
	return (number + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

/* FNV-1a over what follows the checksum. */
static inline uint32_t echo_checksum(const struct echo_record *record)
{
	const unsigned char *byte = (const unsigned char *)&record->number;
	uint32_t hash = UINT32_C(2166136261);

	for (unsigned int i = 0; i < sizeof(*record) - 2 * sizeof(uint32_t); i++)
		hash = (hash ^ byte[i]) * UINT32_C(16777619);
	return hash;
}
