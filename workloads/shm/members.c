/*
 * The member table: see members.h. Must never declare a member dead that only was slow to be looked
 * at: what counts is how long *we* have watched a heartbeat stand still.
 */
#include "workloads/shm/members.h"

#include <pthread.h>
#include <poll.h>
#include <stdlib.h>

#include "workloads/shm/clock.h"
#include "workloads/shm/doorbell.h"

struct beat {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t stop_changed;
	bool stop;
	_Atomic uint64_t *heartbeat;
};

static struct region_member *entry(const struct region *region, unsigned int member)
{
	return &region->header->members[member];
}

static void *beat_run(void *argument)
{
	struct beat *beat = argument;
	struct timespec next;

	clock_gettime(CLOCK_MONOTONIC, &next);
	pthread_mutex_lock(&beat->lock);
	while (!beat->stop) {
		atomic_fetch_add_explicit(beat->heartbeat, 1, memory_order_relaxed);
		next.tv_nsec += MEMBER_HEARTBEAT_MS * 1000000;
		if (next.tv_nsec >= 1000000000) {
			next.tv_nsec -= 1000000000;
			next.tv_sec++;
		}
		pthread_cond_timedwait(&beat->stop_changed, &beat->lock, &next);
		/* After a pause of the whole guest: go on from now, do not catch up. */
		if (clock_now() > (uint64_t)next.tv_sec * 1000000000 + 1000000000)
			clock_gettime(CLOCK_MONOTONIC, &next);
	}
	pthread_mutex_unlock(&beat->lock);
	return NULL;
}

static enum shm_status beat_start(struct region *region)
{
	struct beat *beat = calloc(1, sizeof(*beat));
	pthread_condattr_t attributes;

	if (!beat)
		return shm_fail(SHM_SYSTEM, "out of memory");
	beat->heartbeat = &entry(region, region->member)->heartbeat;
	pthread_mutex_init(&beat->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&beat->stop_changed, &attributes);
	pthread_condattr_destroy(&attributes);
	if (pthread_create(&beat->thread, NULL, beat_run, beat) != 0) {
		pthread_cond_destroy(&beat->stop_changed);
		pthread_mutex_destroy(&beat->lock);
		free(beat);
		return shm_fail(SHM_SYSTEM, "cannot start the heartbeat's thread");
	}
	region->beat = beat;
	return SHM_OK;
}

static void beat_stop(struct region *region)
{
	struct beat *beat = region->beat;

	if (!beat)
		return;
	pthread_mutex_lock(&beat->lock);
	beat->stop = true;
	pthread_cond_signal(&beat->stop_changed);
	pthread_mutex_unlock(&beat->lock);
	pthread_join(beat->thread, NULL);
	pthread_cond_destroy(&beat->stop_changed);
	pthread_mutex_destroy(&beat->lock);
	free(beat);
	region->beat = NULL;
}

/* A place that looks occupied: by someone alive, or by one who was killed there? The clock is read
 * before each look: we may be kept from the processor for longer than the proof takes, and what has
 * beaten meanwhile lives. */
static enum shm_status await_place(struct region *region, uint64_t deadline)
{
	struct region_member *own = entry(region, region->member);
	uint64_t heartbeat = atomic_load_explicit(&own->heartbeat, memory_order_relaxed);
	uint64_t proof = clock_now() + region->peer_timeout_ns;

	for (;;) {
		uint64_t now = clock_now();
		uint32_t state = atomic_load_explicit(&own->state, memory_order_acquire);

		if (state == MEMBER_ABSENT || state == MEMBER_LEFT)
			return SHM_OK;
		if (atomic_load_explicit(&own->heartbeat, memory_order_relaxed) != heartbeat)
			return shm_fail(SHM_INVALID,
				"region %s already has a member %u, and it is alive", region->name,
				region->member);
		if (now >= proof)
			return SHM_OK;
		if (now >= deadline)
			return shm_fail(SHM_TIMEOUT,
				"region %s: could not tell in time whether its member %u is alive",
				region->name, region->member);
		poll(NULL, 0, 1);
	}
}

enum shm_status member_join(struct region *region, uint64_t deadline)
{
	struct region_member *own = entry(region, region->member);

	shm_try(await_place(region, deadline));
	region->generation =
		atomic_fetch_add_explicit(&own->generation, 1, memory_order_acq_rel) + 1;
	atomic_store_explicit(&own->following, 0, memory_order_relaxed);
	atomic_store_explicit(
		&own->bell, region->bell ? region->bell->self + 1 : 0, memory_order_relaxed);
	/* Release: who sees the state sees the generation and the bell. */
	atomic_store_explicit(&own->state, MEMBER_STARTING, memory_order_release);
	region->joined = true;
	return beat_start(region);
}

static void ring_everybody(struct region *region)
{
	for (unsigned int i = 0; region->bell && i < REGION_MEMBERS; i++) {
		uint32_t bell = atomic_load_explicit(&entry(region, i)->bell, memory_order_relaxed);

		if (region->watches[i].watched && bell)
			region->bell->ring(region->bell, bell - 1);
	}
}

void member_leave(struct region *region)
{
	struct region_member *own;

	beat_stop(region);
	if (!region->joined)
		return;
	region->joined = false;
	own = entry(region, region->member);
	/* A successor may have our place already, if we were taken for dead. */
	if (atomic_load_explicit(&own->generation, memory_order_relaxed) != region->generation)
		return;
	/* Release: who sees that we left sees all we did before. */
	atomic_store_explicit(&own->state, MEMBER_LEFT, memory_order_release);
	ring_everybody(region);
}

static void watch(struct region *region, unsigned int member)
{
	struct region_watch *watched = &region->watches[member];
	struct region_member *other = entry(region, member);

	watched->generation = atomic_load_explicit(&other->generation, memory_order_acquire);
	watched->heartbeat = atomic_load_explicit(&other->heartbeat, memory_order_relaxed);
	watched->seen_ns = clock_now();
	watched->watched = true;
}

enum shm_status member_check(struct region *region, unsigned int member, bool leaving_is_death)
{
	struct region_watch *watched = &region->watches[member];
	struct region_member *other = entry(region, member);
	uint32_t generation = atomic_load_explicit(&other->generation, memory_order_acquire);
	uint64_t heartbeat;
	uint64_t now = clock_now();

	if (member == region->member && generation != region->generation)
		return shm_fail(SHM_PEER_GONE,
			"this member %u of region %s has been declared gone: its generation went "
			"from %u to %u",
			member, region->name, region->generation, generation);
	if (!watched->watched)
		watch(region, member);
	if (generation != watched->generation)
		return shm_fail(SHM_PEER_GONE,
			"peer %u of region %s is gone: its generation went from %u to %u", member,
			region->name, watched->generation, generation);
	if (atomic_load_explicit(&other->state, memory_order_acquire) == MEMBER_LEFT)
		return leaving_is_death ? shm_fail(SHM_PEER_GONE,
						  "peer %u of region %s is gone: it has left",
						  member, region->name)
					: SHM_OK;
	heartbeat = atomic_load_explicit(&other->heartbeat, memory_order_relaxed);
	if (heartbeat != watched->heartbeat) {
		watched->heartbeat = heartbeat;
		watched->seen_ns = now;
	} else if (now > watched->seen_ns && now - watched->seen_ns > region->peer_timeout_ns) {
		return shm_fail(SHM_PEER_GONE,
			"peer %u of region %s is gone: no heartbeat for %llu ms", member,
			region->name, (unsigned long long)((now - watched->seen_ns) / 1000000));
	}
	return SHM_OK;
}

/* Whether every follower has answered this leader's generation, which only a living one can. */
static unsigned int first_missing(const struct region *region, unsigned int count)
{
	for (unsigned int i = 1; i < count; i++) {
		const struct region_member *other = entry(region, i);

		if (atomic_load_explicit(&other->state, memory_order_acquire) != MEMBER_PRESENT ||
			atomic_load_explicit(&other->following, memory_order_acquire) !=
				region->generation)
			return i;
	}
	return count;
}

static enum shm_status fail_late(const struct region *region, unsigned int missing)
{
	return shm_fail(
		SHM_TIMEOUT, "region %s: member %u did not come in time", region->name, missing);
}

/* Short naps: meeting is before anything is measured, and no bell is known yet. */
static bool nap_until(uint64_t deadline)
{
	struct timespec nap = {0, 200000};

	ppoll(NULL, 0, &nap, NULL);
	return clock_now() < deadline;
}

static enum shm_status lead(struct region *region, unsigned int count, uint64_t deadline)
{
	unsigned int missing;

	while ((missing = first_missing(region, count)) < count) {
		if (!nap_until(deadline))
			return fail_late(region, missing);
	}
	for (unsigned int i = 1; i < count; i++)
		watch(region, i);
	for (unsigned int i = 1; i < count; i++)
		/* Release: who is admitted sees the objects prepared for it. */
		atomic_store_explicit(&entry(region, i)->admitted, region->watches[i].generation,
			memory_order_release);
	return SHM_OK;
}

static enum shm_status follow(struct region *region, unsigned int count, uint64_t deadline)
{
	struct region_member *leader = entry(region, 0);
	struct region_member *own = entry(region, region->member);
	uint32_t leading = 0;

	for (;;) {
		uint32_t generation =
			atomic_load_explicit(&leader->generation, memory_order_acquire);

		if (atomic_load_explicit(&leader->state, memory_order_acquire) == MEMBER_PRESENT &&
			generation != leading) {
			leading = generation;
			atomic_store_explicit(&own->following, leading, memory_order_release);
		}
		if (leading && atomic_load_explicit(&own->admitted, memory_order_acquire) ==
				       region->generation)
			break;
		if (!nap_until(deadline))
			return fail_late(region, leading ? count - 1 : 0);
	}
	for (unsigned int i = 0; i < count; i++) {
		if (i != region->member)
			watch(region, i);
	}
	region->watches[0].generation = leading;
	return SHM_OK;
}

enum shm_status member_meet(struct region *region, unsigned int count,
	void (*prepare)(struct region *region, void *context), void *context, uint64_t deadline)
{
	struct region_member *own = entry(region, region->member);

	if (!region->joined)
		return shm_fail(SHM_READ_ONLY,
			"region %s is read-only for this guest: it can look, not take part",
			region->name);
	if (region->member >= count || count > REGION_MEMBERS)
		return shm_fail(SHM_INVALID, "member %u cannot be one of %u (at most %d)",
			region->member, count, REGION_MEMBERS);
	if (region->member == 0 && prepare)
		prepare(region, context);
	atomic_store_explicit(&own->state, MEMBER_PRESENT, memory_order_release);
	if (region->member == 0)
		return lead(region, count, deadline);
	return follow(region, count, deadline);
}
