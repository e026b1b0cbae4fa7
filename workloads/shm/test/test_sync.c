/* Mutex, semaphore and barrier between processes, and between threads for the sanitizers' sake. */
#include "workloads/shm/test/support.h"

#include <pthread.h>

#include "workloads/shm/ring.h"
#include "workloads/shm/sync.h"

#define MEMBERS 3
#define ROUNDS 2000

struct shared {
	struct shm_mutex mutex;
	struct shm_semaphore semaphore;
	struct shm_barrier barrier;
	uint64_t counter, shadow; /* guarded by `mutex` */
	_Atomic uint32_t inside;
	uint32_t phases[MEMBERS];
};

static uint64_t soon(void)
{
	return deadline_in_ms(DEADLINE_MS);
}

static struct shared *shared_in(struct region *region)
{
	return region_at(region, REGION_PAGE, sizeof(struct shared));
}

static void prepare(struct region *region, void *context)
{
	struct shared *shared = shared_in(region);

	(void)context;
	memset(shared, 0, sizeof(*shared));
	atomic_store(&shared->semaphore.count, 2);
}

static void use_mutex(struct region *region, struct shared *shared)
{
	for (int i = 0; i < ROUNDS; i++) {
		child_check(mutex_lock(region, &shared->mutex, soon()) == SHM_OK);
		child_check(shared->counter == shared->shadow);
		shared->counter++;
		shared->shadow++;
		child_check(mutex_unlock(region, &shared->mutex) == SHM_OK);
	}
}

static void use_semaphore(struct region *region, struct shared *shared)
{
	for (int i = 0; i < ROUNDS; i++) {
		child_check(semaphore_wait(region, &shared->semaphore, soon()) == SHM_OK);
		child_check(atomic_fetch_add(&shared->inside, 1) < 2);
		atomic_fetch_sub(&shared->inside, 1);
		child_check(semaphore_post(region, &shared->semaphore) == SHM_OK);
	}
}

static void use_barrier(struct region *region, struct shared *shared, unsigned int members)
{
	for (uint32_t phase = 1; phase < ROUNDS / 10; phase++) {
		shared->phases[region->member] = phase;
		child_check(barrier_wait(region, &shared->barrier, members, soon()) == SHM_OK);
		for (unsigned int i = 0; i < members; i++)
			child_check(shared->phases[i] == phase);
		child_check(barrier_wait(region, &shared->barrier, members, soon()) == SHM_OK);
	}
}

static void use_all(struct region *region, void *context)
{
	struct shared *shared = shared_in(region);

	(void)context;
	child_check(member_meet(region, MEMBERS, prepare, NULL, soon()) == SHM_OK);
	use_mutex(region, shared);
	use_semaphore(region, shared);
	use_barrier(region, shared, MEMBERS);
	child_check(shared->counter == (uint64_t)MEMBERS * ROUNDS);
	child_check(atomic_load(&shared->semaphore.count) == 2);
	/* A lost ring would show as a sleep that only its time limit ended. */
	child_check(region->unrung_wakeups <= 20);
}

static void between_processes(void **state, bool doorbell)
{
	pid_t pids[MEMBERS];

	for (unsigned int i = 0; i < MEMBERS; i++)
		pids[i] = start_member(state, i, doorbell, use_all, NULL);
	for (unsigned int i = 0; i < MEMBERS; i++)
		expect_success(pids[i]);
}

static void processes_polling(void **state)
{
	between_processes(state, false);
}

static void processes_doorbell(void **state)
{
	between_processes(state, true);
}

/*
 * Two handles over one mapping: only so does a thread sanitizer see that both are the same memory.
 */
struct thread {
	struct region region;
	struct shared *shared;
	struct ring_end end;
	uint8_t bytes[5000];
};

static void *thread_run(void *argument)
{
	struct thread *thread = argument;
	struct region *region = &thread->region;
	unsigned int member = region->member;

	child_check(member_meet(region, 2, NULL, NULL, soon()) == SHM_OK);
	use_mutex(region, thread->shared);
	use_barrier(region, thread->shared, 2);
	for (uint8_t i = 0; i < 100; i++) {
		if (member == 0) {
			memset(thread->bytes, i, sizeof(thread->bytes));
			child_check(ring_write(&thread->end, thread->bytes, sizeof(thread->bytes),
					    soon()) == SHM_OK);
			continue;
		}
		child_check(ring_read(&thread->end, thread->bytes, sizeof(thread->bytes), soon()) ==
			    SHM_OK);
		child_check(thread->bytes[0] == i && thread->bytes[4999] == i);
	}
	return NULL;
}

static void between_threads(void **state)
{
	struct region_options options = scratch_options(*state, 0, false);
	static struct thread threads[2];
	struct region *first = NULL;
	pthread_t second;

	options.address = UINT64_C(0x7ea000000000); /* where a thread sanitizer allows memory */
	options.spin_ns = 100000;
	assert_int_equal(region_open(&options, &first), SHM_OK);
	prepare(first, NULL);
	ring_reset(region_at(first, 2 * REGION_PAGE, RING_BYTES(1024)));
	for (unsigned int i = 0; i < 2; i++) {
		threads[i].region = *first;
		threads[i].shared = shared_in(first);
		threads[i].region.member = i;
		assert_int_equal(
			ring_attach(&threads[i].region, 2 * REGION_PAGE, 1024, !i, &threads[i].end),
			SHM_OK);
	}
	assert_int_equal(member_join(&threads[1].region, soon()), SHM_OK);
	assert_int_equal(pthread_create(&second, NULL, thread_run, &threads[1]), 0);
	thread_run(&threads[0]);
	pthread_join(second, NULL);
	member_leave(&threads[1].region);
	region_close(first);
}

static void misuse_is_refused(void **state)
{
	struct region *region = scratch_open(state, 0, false);
	struct shared *shared = shared_in(region);

	assert_int_equal(member_meet(region, 1, prepare, NULL, soon()), SHM_OK);
	assert_int_equal(mutex_unlock(region, &shared->mutex), SHM_INVALID);
	assert_int_equal(mutex_lock(region, &shared->mutex, soon()), SHM_OK);
	assert_int_equal(mutex_lock(region, &shared->mutex, soon()), SHM_INVALID);
	assert_int_equal(mutex_unlock(region, &shared->mutex), SHM_OK);
	assert_int_equal(barrier_wait(region, &shared->barrier, 0, soon()), SHM_INVALID);
	assert_int_equal(barrier_wait(region, &shared->barrier, 33, soon()), SHM_INVALID);
	atomic_store(&shared->semaphore.count, 0);
	assert_int_equal(
		semaphore_wait(region, &shared->semaphore, deadline_in_ms(20)), SHM_TIMEOUT);
	region_close(region);
}

static void corruption_is_an_error(void **state)
{
	struct region *region = scratch_open(state, 0, false);
	struct shared *shared = shared_in(region);
	static const uint64_t owners[] = {UINT64_MAX, 255, REGION_MEMBERS + 1, 1 << 8};

	assert_int_equal(member_meet(region, 1, prepare, NULL, soon()), SHM_OK);
	for (size_t i = 0; i < 4; i++) {
		atomic_store(&shared->mutex.owner, owners[i]);
		assert_int_equal(mutex_lock(region, &shared->mutex, soon()), SHM_CORRUPT);
		assert_int_not_equal(mutex_take_over(region, &shared->mutex), SHM_OK);
	}
	/* Arrived already, without having called. */
	atomic_store(&shared->barrier.state, 1);
	assert_int_equal(barrier_wait(region, &shared->barrier, 2, soon()), SHM_CORRUPT);
	/* One arrived who is none of us. */
	atomic_store(&shared->barrier.state, 4);
	assert_int_equal(barrier_wait(region, &shared->barrier, 2, soon()), SHM_CORRUPT);
	atomic_store(&shared->semaphore.count, UINT32_MAX);
	assert_int_equal(semaphore_post(region, &shared->semaphore), SHM_CORRUPT);
	region_close(region);
}

static void no_atomics_no_locks(void **state)
{
	struct region *region = scratch_open(state, 0, false);
	struct shared *shared = shared_in(region);

	assert_int_equal(member_meet(region, 1, prepare, NULL, soon()), SHM_OK);
	region->atomics = false;
	assert_int_equal(mutex_lock(region, &shared->mutex, soon()), SHM_SYSTEM);
	assert_non_null(strstr(shm_message(), "maxcpus=2"));
	assert_int_equal(semaphore_wait(region, &shared->semaphore, soon()), SHM_SYSTEM);
	assert_int_equal(barrier_wait(region, &shared->barrier, 1, soon()), SHM_SYSTEM);
	region_close(region);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(processes_polling),
		TEST(processes_doorbell),
		TEST(between_threads),
		TEST(misuse_is_refused),
		TEST(corruption_is_an_error),
		TEST(no_atomics_no_locks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
