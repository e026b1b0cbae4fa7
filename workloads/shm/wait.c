/*
 * Waiting and waking: see wait.h. Must never lose a wake-up: a waiter announces itself, looks
 * again, and only then sleeps; a waker changes the object, and only then looks for announcements.
 */
#include "workloads/shm/wait.h"

#include <poll.h>
#include <sched.h>

#include "workloads/shm/clock.h"
#include "workloads/shm/doorbell.h"
#include "workloads/shm/members.h"

/* How often a sleeper looks after its peers; also the longest delay of a bell that a hostile member
 * has made ring in vain. */
#define CHECK_INTERVAL_NS UINT64_C(20000000)

/* Reading the clock may cost a microsecond in a guest, a look at the object some nanoseconds. */
#define LOOKS_PER_CLOCK 64

#define YIELDS_BEFORE_DOZE 200
#define DOZE_MIN_NS 20000
#define DOZE_MAX_NS 1000000

static bool spin(const struct wait *wait, uint64_t spin_ns)
{
	uint64_t end = 0;

	if (wait->ready(wait->object))
		return true;
	while (spin_ns) {
		for (int i = 0; i < LOOKS_PER_CLOCK; i++) {
			if (wait->ready(wait->object))
				return true;
			__builtin_ia32_pause();
		}
		if (!end)
			end = clock_now() + spin_ns;
		else if (clock_now() >= end)
			break;
	}
	return false;
}

static enum shm_status check_peers(struct region *region, const struct wait *wait)
{
	uint32_t awaited = wait->awaited(wait->object);

	shm_try(member_check(region, region->member, false));
	for (unsigned int i = 0; awaited; i++, awaited >>= 1) {
		if ((awaited & 1) && i != region->member)
			shm_try(member_check(region, i, wait->leaving_is_death));
	}
	return SHM_OK;
}

/* One sleep until the doorbell. */
static enum shm_status sleep_for_bell(
	struct region *region, const struct wait *wait, uint64_t until)
{
	uint32_t own = UINT32_C(1) << region->member;
	enum shm_status status = SHM_OK;
	bool rung = true;

	/*
	 * This and wake()'s fetch_or change the same word, so one comes first. If ours does, the
	 * waker finds our bit and rings. If the waker's does, ours (acquire) sees all it did
	 * before (release), and the look that follows finds the object ready.
	 */
	atomic_fetch_or_explicit(&wait->waiters->members, own, memory_order_acq_rel);
	if (!wait->ready(wait->object)) {
		region->sleeps++;
		status = region->bell->wait(region->bell, until, &rung);
	}
	if (!rung && wait->ready(wait->object))
		region->unrung_wakeups++;
	atomic_fetch_and_explicit(&wait->waiters->members, ~own, memory_order_relaxed);
	return status;
}

static void doze(unsigned int *round)
{
	struct timespec nap = {0, DOZE_MIN_NS};

	if (++*round < YIELDS_BEFORE_DOZE) {
		sched_yield();
		return;
	}
	for (unsigned int i = YIELDS_BEFORE_DOZE; i < *round && nap.tv_nsec < DOZE_MAX_NS; i += 8)
		nap.tv_nsec *= 2;
	ppoll(NULL, 0, &nap, NULL);
}

enum shm_status wait_for(struct region *region, const struct wait *wait, uint64_t deadline)
{
	uint64_t next_check = 0;
	unsigned int round = 0;
	bool slept = false;

	if (spin(wait, region->spin_ns))
		return SHM_OK;
	for (;;) {
		uint64_t now = clock_now();
		enum shm_status status = SHM_OK;

		/* Not at once: most waits are over after their first sleep. */
		if (slept && now >= next_check) {
			status = check_peers(region, wait);
			next_check = now + CHECK_INTERVAL_NS;
		}
		if (status == SHM_OK && now >= deadline)
			status = shm_fail(SHM_TIMEOUT,
				"region %s: the deadline passed while waiting for %s", region->name,
				wait->what);
		/* What a peer did before it left counts, so look once more. */
		if (wait->ready(wait->object))
			return SHM_OK;
		if (status == SHM_PEER_GONE)
			return shm_fail(status, "waiting for %s: %s", wait->what, shm_message());
		shm_try(status);
		if (!region->bell)
			doze(&round);
		else
			shm_try(sleep_for_bell(region, wait,
				deadline < now + CHECK_INTERVAL_NS ? deadline
								   : now + CHECK_INTERVAL_NS));
		slept = true;
		if (wait->ready(wait->object))
			return SHM_OK;
	}
}

enum shm_status wake(struct region *region, struct waiters *waiters)
{
	uint32_t sleeping;

	/* Without a doorbell nobody sleeps. */
	if (!region->bell)
		return SHM_OK;
	/* Not a plain load: see sleep_for_bell(). */
	sleeping = atomic_fetch_or_explicit(&waiters->members, 0, memory_order_acq_rel);
	for (unsigned int i = 0; sleeping; i++, sleeping >>= 1) {
		uint32_t bell;

		if (!(sleeping & 1))
			continue;
		bell = atomic_load_explicit(&region->header->members[i].bell, memory_order_relaxed);
		/* A bell that cannot be rung is its owner's trouble, who corrupted it. */
		if (!bell || bell > UINT16_MAX)
			continue;
		region->rings++;
		shm_try(region->bell->ring(region->bell, bell - 1));
	}
	return SHM_OK;
}
