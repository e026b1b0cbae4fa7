/*
 * A byte ring for one producer and one consumer in different VMs. Its two indexes count bytes since
 * the beginning and only grow; each side keeps its own in private memory and believes the other's
 * only within bounds, so a hostile peer can spoil the data but not the memory.
 */
#pragma once

#include "workloads/shm/wait.h"

struct ring {
	alignas(REGION_LINE) _Atomic uint64_t head; /* bytes ever put in: the producer's */
	alignas(REGION_LINE) _Atomic uint64_t tail; /* bytes ever taken out: the consumer's */
	struct waiters readers;
	struct waiters writers;
	/* Followed by its bytes, as many as both sides were told. */
};

/* One side's handle, in private memory. */
struct ring_end {
	struct region *region;
	struct ring *ring;
	uint8_t *data;
	uint64_t capacity;
	uint64_t chunk;	 /* bytes moved before the other side is told */
	uint64_t mine;	 /* our index */
	uint64_t theirs; /* the other's, as last checked */
	unsigned int peer;
};

/* Room a ring of `capacity` bytes takes in the region. */
#define RING_BYTES(capacity) (sizeof(struct ring) + (capacity))

/*
 * Attaches to the ring at `offset` in the region, whose capacity is a power of two of at least
 * 64. The memory must be zero, or ring_reset() by the one who prepares it.
 */
enum shm_status ring_attach(struct region *region, uint64_t offset, uint64_t capacity,
	unsigned int peer, struct ring_end *end);
void ring_reset(struct ring *ring);

/*
 * Put in or take out all of `bytes`, of any number: more than fits flows through while the other
 * side works. After a failure the ring may hold part of it, and is of no more use.
 */
enum shm_status ring_write(
	struct ring_end *end, const void *from, uint64_t bytes, uint64_t deadline);
enum shm_status ring_read(struct ring_end *end, void *to, uint64_t bytes, uint64_t deadline);
