/* The ring between VMs: see ring.h. */
#include "workloads/shm/ring.h"

#include "workloads/shm/copy.h"

/* Polling: small enough that the other side copies out while we copy in, large enough that telling
 * it does not matter. */
#define CHUNK 8192

void ring_reset(struct ring *ring)
{
	memset(ring, 0, sizeof(*ring));
}

enum shm_status ring_attach(struct region *region, uint64_t offset, uint64_t capacity,
	unsigned int peer, struct ring_end *end)
{
	struct ring *ring;
	uint64_t chunk;

	if (capacity < REGION_LINE || capacity & (capacity - 1))
		return shm_fail(SHM_INVALID,
			"a ring's capacity is a power of two from %d, not %llu", REGION_LINE,
			(unsigned long long)capacity);
	if (peer >= REGION_MEMBERS)
		return shm_fail(SHM_INVALID, "a region has no member %u", peer);
	if (!region->writable)
		return shm_fail(
			SHM_READ_ONLY, "region %s is read-only for this guest", region->name);
	ring = region_at(region, offset, RING_BYTES(capacity));
	if (!ring)
		return SHM_INVALID;
	/* A ring costs more than a copy: half a ring at once, so that neither side waits for all.
	 */
	chunk = region->bell || CHUNK > capacity / 2 ? capacity / 2 : CHUNK;
	*end = (struct ring_end){.region = region,
		.ring = ring,
		.data = (uint8_t *)(ring + 1),
		.capacity = capacity,
		.chunk = chunk,
		.peer = peer};
	return SHM_OK;
}

static uint32_t ring_awaited(const void *object)
{
	const struct ring_end *end = object;

	return UINT32_C(1) << end->peer;
}

/* Acquire: with the index come the bytes (for a reader) or the leave to overwrite them. */
static bool head_moved(const void *object)
{
	const struct ring_end *end = object;

	return atomic_load_explicit(&end->ring->head, memory_order_acquire) != end->theirs;
}

static bool tail_moved(const void *object)
{
	const struct ring_end *end = object;

	return atomic_load_explicit(&end->ring->tail, memory_order_acquire) != end->theirs;
}

static enum shm_status fail_index(
	const struct ring_end *end, const char *name, uint64_t from, uint64_t to)
{
	return shm_fail(SHM_CORRUPT,
		"region %s: member %u moved a ring's %s from %llu to %llu, which cannot be",
		end->region->name, end->peer, name, (unsigned long long)from,
		(unsigned long long)to);
}

/* Waits until there is room; `theirs` then is a tail that has been checked. */
static enum shm_status await_room(struct ring_end *end, uint64_t deadline)
{
	const struct wait wait = {
		tail_moved, ring_awaited, end, &end->ring->writers, true, "room in a ring"};
	uint64_t tail;

	/* Not looked up before it is needed: the tail's line is the other side's. */
	if (end->mine - end->theirs < end->capacity)
		return SHM_OK;
	shm_try(wait_for(end->region, &wait, deadline));
	tail = atomic_load_explicit(&end->ring->tail, memory_order_acquire);
	if (tail == end->theirs || tail - end->theirs > end->mine - end->theirs)
		return fail_index(end, "tail", end->theirs, tail);
	end->theirs = tail;
	return SHM_OK;
}

static enum shm_status await_bytes(struct ring_end *end, uint64_t deadline)
{
	const struct wait wait = {
		head_moved, ring_awaited, end, &end->ring->readers, true, "bytes in a ring"};
	uint64_t head;

	if (end->theirs != end->mine)
		return SHM_OK;
	shm_try(wait_for(end->region, &wait, deadline));
	head = atomic_load_explicit(&end->ring->head, memory_order_acquire);
	if (head - end->mine > end->capacity || head == end->mine)
		return fail_index(end, "head", end->mine, head);
	end->theirs = head;
	return SHM_OK;
}

static uint64_t smallest(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t d = a < b ? a : b;

	return d < c ? d : c;
}

/* How far one can go from `index` before the ring's end. */
static uint64_t contiguous(const struct ring_end *end)
{
	return end->capacity - (end->mine & (end->capacity - 1));
}

enum shm_status ring_write(
	struct ring_end *end, const void *from, uint64_t bytes, uint64_t deadline)
{
	const uint8_t *in = from;

	while (bytes) {
		uint64_t part;

		shm_try(await_room(end, deadline));
		part = smallest(bytes, end->capacity - (end->mine - end->theirs), contiguous(end));
		part = part < end->chunk ? part : end->chunk;
		shm_copy(end->data + (end->mine & (end->capacity - 1)), in, part);
		end->mine += part;
		in += part;
		bytes -= part;
		/* Release: the bytes before the index that covers them. */
		atomic_store_explicit(&end->ring->head, end->mine, memory_order_release);
		shm_try(wake(end->region, &end->ring->readers));
	}
	return SHM_OK;
}

enum shm_status ring_read(struct ring_end *end, void *to, uint64_t bytes, uint64_t deadline)
{
	uint8_t *out = to;

	while (bytes) {
		uint64_t part;

		shm_try(await_bytes(end, deadline));
		part = smallest(bytes, end->theirs - end->mine, contiguous(end));
		shm_copy(out, end->data + (end->mine & (end->capacity - 1)), part);
		end->mine += part;
		out += part;
		bytes -= part;
		/* Release: our reading of the bytes before the leave to overwrite them. */
		atomic_store_explicit(&end->ring->tail, end->mine, memory_order_release);
		shm_try(wake(end->region, &end->ring->writers));
	}
	return SHM_OK;
}
