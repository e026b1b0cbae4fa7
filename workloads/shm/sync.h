/*
 * Mutex, counting semaphore and barrier between VMs. They live in the region's data pages; all zero
 * is a valid new object. Futexes do not cross kernels, so waiting is by wait.h.
 */
#pragma once

#include "workloads/shm/wait.h"

struct shm_mutex {
	/* 0: free; else the owner's generation << 8 | its member number + 1. */
	alignas(REGION_LINE) _Atomic uint64_t owner;
	struct waiters waiters;
};

struct shm_semaphore {
	alignas(REGION_LINE) _Atomic uint32_t count;
	struct waiters waiters;
};

struct shm_barrier {
	/* Phase << 32 | the members that have arrived in it, one bit each. */
	alignas(REGION_LINE) _Atomic uint64_t state;
	struct waiters waiters;
};

/*
 * SHM_PEER_GONE when the owner has died holding it: what it guards may be half changed. Who can put
 * that right takes the mutex over with mutex_take_over(), which fails when the owner is alive.
 * Not recursive: locking twice is SHM_INVALID.
 */
enum shm_status mutex_lock(struct region *region, struct shm_mutex *mutex, uint64_t deadline);
enum shm_status mutex_take_over(struct region *region, struct shm_mutex *mutex);
enum shm_status mutex_unlock(struct region *region, struct shm_mutex *mutex);

/* Anybody may post, so the death (not the leaving) of any member we have met is SHM_PEER_GONE. */
enum shm_status semaphore_wait(
	struct region *region, struct shm_semaphore *semaphore, uint64_t deadline);
enum shm_status semaphore_post(struct region *region, struct shm_semaphore *semaphore);

/*
 * Waits until members 0 … count − 1 have all arrived; what each did before is seen by all after.
 * After a failure the barrier is unusable. SHM_PEER_GONE names a member that cannot arrive any
 * more.
 */
enum shm_status barrier_wait(
	struct region *region, struct shm_barrier *barrier, unsigned int count, uint64_t deadline);
