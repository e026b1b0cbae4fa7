/*
 * Who is in a region: taking a place, meeting the others, noticing that one is gone. A member is
 * told dead by its generation (it was replaced, or the host declared it gone), its state (it left)
 * or its heartbeat (it was killed).
 */
#pragma once

#include "workloads/shm/region.h"

#define MEMBER_HEARTBEAT_MS 50

/* Called by region_open() and region_close(). */
enum shm_status member_join(struct region *region, uint64_t deadline);
void member_leave(struct region *region);

/*
 * Meets members 0 … count − 1: returns when all are there and have seen each other, and watches
 * them from then on. Member 0 leads: before anyone is admitted it calls `prepare` (may be NULL),
 * which makes the objects in the data pages, whatever an earlier use has left there.
 */
enum shm_status member_meet(struct region *region, unsigned int count,
	void (*prepare)(struct region *region, void *context), void *context, uint64_t deadline);

/* SHM_OK while the member seems alive; else SHM_PEER_GONE and a message that says how one knows.
 * `leaving_is_death`: whether a member that left on purpose counts as gone. */
enum shm_status member_check(struct region *region, unsigned int member, bool leaving_is_death);
