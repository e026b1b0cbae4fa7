/*
 * The one way to wait in a region: spin for a bounded time, then sleep until the doorbell rings, or
 * yield and doze where there is none. Every wait has a deadline and looks after those it waits for.
 */
#pragma once

#include "workloads/shm/region.h"

/* Members that sleep until an object changes, one bit each. Part of the object, in the region. */
struct waiters {
	alignas(REGION_LINE) _Atomic uint32_t members;
};

struct wait {
	bool (*ready)(const void *object);	 /* reads what is waited for, with acquire */
	uint32_t (*awaited)(const void *object); /* members without whom it cannot come */
	const void *object;
	struct waiters *waiters;
	bool leaving_is_death; /* see member_check() */
	const char *what;      /* for messages: "waiting for …" */
};

/*
 * Returns SHM_OK as soon as `ready`. The state that made it ready may have passed again since: the
 * caller takes what it waited for by an atomic operation and waits again when that fails.
 */
enum shm_status wait_for(struct region *region, const struct wait *wait, uint64_t deadline);

/* Rings those who sleep on an object; called after the change that they wait for. */
enum shm_status wake(struct region *region, struct waiters *waiters);
