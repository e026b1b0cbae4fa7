/*
 * Locks between VMs: see sync.h. Orderings: taking is acquire, giving is release, so that what was
 * done under the lock is seen by the next owner; looking before trying is relaxed or acquire.
 */
#include "workloads/shm/sync.h"

#include "workloads/shm/members.h"

#define OWNER_BITS 8
#define OWNER_MASK UINT64_C(0xff)

static uint64_t own_word(const struct region *region)
{
	return (uint64_t)region->generation << OWNER_BITS | (region->member + 1);
}

struct mutex_wait {
	struct shm_mutex *mutex;
	uint64_t seen; /* the owner who is waited for */
};

static bool mutex_changed(const void *object)
{
	const struct mutex_wait *wait = object;

	return atomic_load_explicit(&wait->mutex->owner, memory_order_acquire) != wait->seen;
}

static uint32_t mutex_awaited(const void *object)
{
	const struct mutex_wait *wait = object;

	return UINT32_C(1) << ((wait->seen & OWNER_MASK) - 1);
}

static enum shm_status check_owner(struct region *region, uint64_t seen)
{
	uint64_t owner = (seen & OWNER_MASK) - 1;
	uint32_t generation;

	if (owner >= REGION_MEMBERS || seen >> OWNER_BITS > UINT32_MAX)
		return shm_fail(SHM_CORRUPT, "region %s: a mutex has no valid owner (0x%llx)",
			region->name, (unsigned long long)seen);
	if (seen == own_word(region))
		return shm_fail(SHM_INVALID, "region %s: this member holds the mutex already",
			region->name);
	generation = atomic_load_explicit(
		&region->header->members[owner].generation, memory_order_acquire);
	if (generation != seen >> OWNER_BITS)
		return shm_fail(SHM_PEER_GONE,
			"peer %u of region %s is gone and held the mutex: its generation went from "
			"%u to %u",
			(unsigned int)owner, region->name, (uint32_t)(seen >> OWNER_BITS),
			generation);
	return SHM_OK;
}

enum shm_status mutex_lock(struct region *region, struct shm_mutex *mutex, uint64_t deadline)
{
	struct mutex_wait object = {.mutex = mutex};
	struct wait wait = {
		mutex_changed, mutex_awaited, &object, &mutex->waiters, true, "a mutex"};

	shm_try(region_check_atomics(region));

	for (;;) {
		uint64_t seen = 0;
		enum shm_status status;

		if (atomic_compare_exchange_strong_explicit(&mutex->owner, &seen, own_word(region),
			    memory_order_acquire, memory_order_relaxed))
			return SHM_OK;
		status = check_owner(region, seen);
		object.seen = seen;
		/* The owner may have unlocked and left since we looked. */
		if (status != SHM_OK && mutex_changed(&object))
			continue;
		shm_try(status);
		shm_try(wait_for(region, &wait, deadline));
	}
}

enum shm_status mutex_take_over(struct region *region, struct shm_mutex *mutex)
{
	uint64_t seen = atomic_load_explicit(&mutex->owner, memory_order_acquire);
	enum shm_status status = seen ? check_owner(region, seen) : SHM_OK;

	if (seen && status == SHM_OK)
		status = member_check(region, (unsigned int)(seen & OWNER_MASK) - 1, true);
	if (seen && status == SHM_OK)
		return shm_fail(SHM_INVALID, "region %s: the mutex's owner is alive", region->name);
	if (seen && status != SHM_PEER_GONE)
		return status;
	if (!atomic_compare_exchange_strong_explicit(&mutex->owner, &seen, own_word(region),
		    memory_order_acquire, memory_order_relaxed))
		return shm_fail(
			SHM_INVALID, "region %s: another member took the mutex over", region->name);
	return SHM_OK;
}

enum shm_status mutex_unlock(struct region *region, struct shm_mutex *mutex)
{
	uint64_t expected = own_word(region);

	if (!atomic_compare_exchange_strong_explicit(
		    &mutex->owner, &expected, 0, memory_order_release, memory_order_relaxed))
		return shm_fail(SHM_INVALID, "region %s: this member does not hold the mutex",
			region->name);
	return wake(region, &mutex->waiters);
}

struct semaphore_wait {
	struct shm_semaphore *semaphore;
	const struct region *region;
};

static bool semaphore_positive(const void *object)
{
	const struct semaphore_wait *wait = object;

	return atomic_load_explicit(&wait->semaphore->count, memory_order_relaxed) > 0;
}

static uint32_t semaphore_awaited(const void *object)
{
	const struct semaphore_wait *wait = object;
	uint32_t awaited = 0;

	for (unsigned int i = 0; i < REGION_MEMBERS; i++) {
		if (wait->region->watches[i].watched)
			awaited |= UINT32_C(1) << i;
	}
	return awaited;
}

enum shm_status semaphore_wait(
	struct region *region, struct shm_semaphore *semaphore, uint64_t deadline)
{
	struct semaphore_wait object = {semaphore, region};
	struct wait wait = {semaphore_positive, semaphore_awaited, &object, &semaphore->waiters,
		false, "a semaphore"};

	shm_try(region_check_atomics(region));

	for (;;) {
		uint32_t count = atomic_load_explicit(&semaphore->count, memory_order_relaxed);

		while (count) {
			if (atomic_compare_exchange_weak_explicit(&semaphore->count, &count,
				    count - 1, memory_order_acquire, memory_order_relaxed))
				return SHM_OK;
		}
		shm_try(wait_for(region, &wait, deadline));
	}
}

enum shm_status semaphore_post(struct region *region, struct shm_semaphore *semaphore)
{
	uint32_t before = atomic_fetch_add_explicit(&semaphore->count, 1, memory_order_release);

	if (before == UINT32_MAX)
		return shm_fail(SHM_CORRUPT, "region %s: a semaphore overflowed", region->name);
	return wake(region, &semaphore->waiters);
}

struct barrier_wait {
	struct shm_barrier *barrier;
	uint32_t phase; /* the one we arrived in */
	uint32_t all;
};

static bool barrier_passed(const void *object)
{
	const struct barrier_wait *wait = object;
	uint64_t state = atomic_load_explicit(&wait->barrier->state, memory_order_acquire);

	return state >> 32 != wait->phase;
}

static uint32_t barrier_awaited(const void *object)
{
	const struct barrier_wait *wait = object;
	uint64_t state = atomic_load_explicit(&wait->barrier->state, memory_order_acquire);

	return state >> 32 == wait->phase ? wait->all & ~(uint32_t)state : 0;
}

enum shm_status barrier_wait(
	struct region *region, struct shm_barrier *barrier, unsigned int count, uint64_t deadline)
{
	uint32_t own = UINT32_C(1) << region->member;
	uint64_t state = atomic_load_explicit(&barrier->state, memory_order_relaxed);
	struct barrier_wait object = {.barrier = barrier};
	struct wait wait = {
		barrier_passed, barrier_awaited, &object, &barrier->waiters, true, "a barrier"};
	uint64_t next;

	shm_try(region_check_atomics(region));
	if (!count || count > REGION_MEMBERS || region->member >= count)
		return shm_fail(SHM_INVALID, "member %u cannot be one of %u at a barrier",
			region->member, count);
	object.all = count == 32 ? UINT32_MAX : (UINT32_C(1) << count) - 1;
	do {
		object.phase = (uint32_t)(state >> 32);
		if (((uint32_t)state & own) || ((uint32_t)state & ~object.all))
			return shm_fail(SHM_CORRUPT,
				"region %s: a barrier for %u has been broken (arrived: 0x%x)",
				region->name, count, (uint32_t)state);
		next = state | own;
		if ((uint32_t)next == object.all)
			next = (uint64_t)(object.phase + 1) << 32;
		/* Release what we did before; acquire, in the last to arrive, what all did. */
	} while (!atomic_compare_exchange_weak_explicit(
		&barrier->state, &state, next, memory_order_acq_rel, memory_order_relaxed));
	if (!(uint32_t)next)
		return wake(region, &barrier->waiters);
	return wait_for(region, &wait, deadline);
}
