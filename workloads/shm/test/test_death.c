/*
 * A member that is killed in the middle of anything is an error for those who wait for it, never a
 * hang and never just a deadline passed.
 */
#include "workloads/shm/test/support.h"

#include "workloads/shm/channel.h"
#include "workloads/shm/sync.h"

#define CAPACITY 1024

struct shared {
	struct shm_mutex mutex;
	struct shm_semaphore semaphore;
	struct shm_barrier barrier;
	_Atomic uint32_t reached; /* the child is where it shall die */
};

static uint64_t soon(void)
{
	return deadline_in_ms(DEADLINE_MS);
}

static struct shared *shared_in(struct region *region)
{
	return region_at(region, REGION_PAGE, sizeof(struct shared));
}

#define CHANNEL_AT (2 * REGION_PAGE)

static void prepare(struct region *region, void *context)
{
	(void)context;
	memset(shared_in(region), 0, sizeof(struct shared));
	channel_reset(region, CHANNEL_AT, CAPACITY);
}

static void stop_here(struct shared *shared)
{
	atomic_store(&shared->reached, 1);
	for (;;)
		pause();
}

static void hold_mutex(struct region *region, void *context)
{
	struct shared *shared = shared_in(region);

	(void)context;
	child_check(member_meet(region, 2, prepare, NULL, soon()) == SHM_OK);
	child_check(mutex_lock(region, &shared->mutex, soon()) == SHM_OK);
	stop_here(shared);
}

static void only_stand(struct region *region, void *context)
{
	(void)context;
	child_check(member_meet(region, 2, prepare, NULL, soon()) == SHM_OK);
	stop_here(shared_in(region));
}

/* Sends the beginning of a message, and no more. */
static void break_off(struct region *region, void *context)
{
	struct channel channel;
	uint32_t length = 500;

	(void)context;
	child_check(channel_attach(region, CHANNEL_AT, CAPACITY, 0, &channel) == SHM_OK);
	child_check(member_meet(region, 2, prepare, NULL, soon()) == SHM_OK);
	child_check(ring_write(&channel.out, &length, sizeof(length), soon()) == SHM_OK);
	child_check(ring_write(&channel.out, "half", 4, soon()) == SHM_OK);
	stop_here(shared_in(region));
}

struct meeting {
	struct region *region;
	struct shared *shared;
	pid_t pid;
};

/* Meets a child that does `function` and waits until it has come to its end there. */
static struct meeting meet(void **state, bool doorbell, member_function function)
{
	struct meeting meeting = {.pid = start_member(state, 1, doorbell, function, NULL)};

	meeting.region = scratch_open(state, 0, doorbell);
	meeting.shared = shared_in(meeting.region);
	assert_int_equal(member_meet(meeting.region, 2, prepare, NULL, soon()), SHM_OK);
	await_word(&meeting.shared->reached, 1, meeting.pid);
	return meeting;
}

static void expect_gone(enum shm_status status)
{
	if (status != SHM_PEER_GONE)
		fail_msg("status %d: %s", status, shm_message());
	assert_non_null(strstr(shm_message(), "peer 1 of region"));
}

static void in_the_mutex(void **state, bool doorbell)
{
	struct meeting meeting = meet(state, doorbell, hold_mutex);

	assert_int_equal(mutex_take_over(meeting.region, &meeting.shared->mutex), SHM_INVALID);
	end_member(meeting.pid);
	expect_gone(mutex_lock(meeting.region, &meeting.shared->mutex, soon()));
	assert_int_equal(mutex_take_over(meeting.region, &meeting.shared->mutex), SHM_OK);
	assert_int_equal(mutex_unlock(meeting.region, &meeting.shared->mutex), SHM_OK);
	assert_int_equal(mutex_lock(meeting.region, &meeting.shared->mutex, soon()), SHM_OK);
	region_close(meeting.region);
}

static void mutex_polling(void **state)
{
	in_the_mutex(state, false);
}

static void mutex_doorbell(void **state)
{
	in_the_mutex(state, true);
}

static void before_the_barrier(void **state)
{
	struct meeting meeting = meet(state, true, only_stand);

	end_member(meeting.pid);
	expect_gone(barrier_wait(meeting.region, &meeting.shared->barrier, 2, soon()));
	region_close(meeting.region);
}

static void instead_of_posting(void **state)
{
	struct meeting meeting = meet(state, false, only_stand);

	end_member(meeting.pid);
	expect_gone(semaphore_wait(meeting.region, &meeting.shared->semaphore, soon()));
	region_close(meeting.region);
}

static void in_the_message(void **state, bool doorbell)
{
	struct meeting meeting = meet(state, doorbell, break_off);
	struct channel channel;
	uint8_t message[500];
	uint32_t bytes;

	assert_int_equal(channel_attach(meeting.region, CHANNEL_AT, CAPACITY, 1, &channel), SHM_OK);
	end_member(meeting.pid);
	expect_gone(channel_receive(&channel, message, sizeof(message), &bytes, soon()));
	region_close(meeting.region);
}

static void message_polling(void **state)
{
	in_the_message(state, false);
}

static void message_doorbell(void **state)
{
	in_the_message(state, true);
}

static void with_the_ring_full(void **state)
{
	static uint8_t bytes[2 * CAPACITY];
	struct meeting meeting = meet(state, true, only_stand);
	struct channel channel;

	assert_int_equal(channel_attach(meeting.region, CHANNEL_AT, CAPACITY, 1, &channel), SHM_OK);
	end_member(meeting.pid);
	expect_gone(channel_send(&channel, bytes, sizeof(bytes), soon()));
	region_close(meeting.region);
}

/* The host ends a guest and says so: no heartbeat need be waited for. */
static void declared_by_the_host(void **state)
{
	struct meeting meeting = meet(state, false, only_stand);

	meeting.region->peer_timeout_ns = UINT64_MAX;
	region_declare_gone(meeting.region->header, 1);
	expect_gone(barrier_wait(meeting.region, &meeting.shared->barrier, 2, soon()));
	assert_non_null(strstr(shm_message(), "its generation went from 1 to 2"));
	end_member(meeting.pid);
	region_close(meeting.region);
}

static void lives_on(struct region *region, void *context)
{
	struct shared *shared = shared_in(region);

	(void)context;
	child_check(member_meet(region, 2, prepare, NULL, soon()) == SHM_OK);
	/* Much longer than the peer timeout, without touching the library. */
	poll(NULL, 0, 4 * PEER_TIMEOUT_MS);
	child_check(barrier_wait(region, &shared->barrier, 2, soon()) == SHM_OK);
}

/* Slow is not dead: the heartbeat goes on while a member computes. */
static void slowness_is_not_death(void **state)
{
	pid_t pid = start_member(state, 1, false, lives_on, NULL);
	struct region *region = scratch_open(state, 0, false);

	assert_int_equal(member_meet(region, 2, prepare, NULL, soon()), SHM_OK);
	assert_int_equal(barrier_wait(region, &shared_in(region)->barrier, 2, soon()), SHM_OK);
	expect_success(pid);
	region_close(region);
}

/* What a member did before it left on purpose still counts. */
static void post_and_leave(struct region *region, void *context)
{
	(void)context;
	child_check(member_meet(region, 2, prepare, NULL, soon()) == SHM_OK);
	child_check(semaphore_post(region, &shared_in(region)->semaphore) == SHM_OK);
}

static void leaving_keeps_what_was_given(void **state)
{
	pid_t pid = start_member(state, 1, false, post_and_leave, NULL);
	struct region *region = scratch_open(state, 0, false);
	struct shared *shared = shared_in(region);

	assert_int_equal(member_meet(region, 2, prepare, NULL, soon()), SHM_OK);
	expect_success(pid);
	assert_int_equal(semaphore_wait(region, &shared->semaphore, soon()), SHM_OK);
	assert_int_equal(
		semaphore_wait(region, &shared->semaphore, deadline_in_ms(100)), SHM_TIMEOUT);
	region_close(region);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(mutex_polling),
		TEST(mutex_doorbell),
		TEST(before_the_barrier),
		TEST(instead_of_posting),
		TEST(message_polling),
		TEST(message_doorbell),
		TEST(with_the_ring_full),
		TEST(declared_by_the_host),
		TEST(slowness_is_not_death),
		TEST(leaving_keeps_what_was_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
