/*
 * Messages between two VMs: a ring each way, every message with its length before it. A message may
 * be larger than the ring.
 */
#pragma once

#include "workloads/shm/ring.h"

struct channel {
	struct ring_end out, in;
	bool broken; /* a message was cut off half-way: there is no finding the next one */
};

/* Room of a channel whose rings have `capacity` bytes each. */
#define CHANNEL_BYTES(capacity) (2 * RING_BYTES(capacity))

/* Attaches this member to its channel with `peer` at `offset`, the same on both sides; the one with
 * the lower member number writes the first ring. `capacity` as for ring_attach(). */
enum shm_status channel_attach(struct region *region, uint64_t offset, uint64_t capacity,
	unsigned int peer, struct channel *channel);
/* Makes the memory at `offset` a channel without messages; for who prepares the region. */
enum shm_status channel_reset(struct region *region, uint64_t offset, uint64_t capacity);

enum shm_status channel_send(
	struct channel *channel, const void *message, uint32_t bytes, uint64_t deadline);

/* Receives one message of at most `room` bytes. A longer one is SHM_CORRUPT: the peer breaks what
 * was agreed. */
enum shm_status channel_receive(
	struct channel *channel, void *message, uint32_t room, uint32_t *bytes, uint64_t deadline);
