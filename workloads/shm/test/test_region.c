/* Regions and members: what is refused, what is noticed. */
#include "workloads/shm/test/support.h"

#include <sys/mman.h>

#include "workloads/shm/ring.h"

static enum shm_status try_open(void **state, struct region_options options)
{
	struct region *region = NULL;
	enum shm_status status = region_open(&options, &region);

	(void)state;
	region_close(region);
	return status;
}

static void opens_at_the_chosen_address(void **state)
{
	struct region_options options = scratch_options(*state, 0, false);
	struct region *region = NULL;

	options.address = UINT64_C(0x7d0000000000);
	options.pages = 33;
	assert_int_equal(region_open(&options, &region), SHM_OK);
	assert_int_equal((uintptr_t)region->header, options.address);
	assert_int_equal(region->bytes, 33 * REGION_PAGE);
	/* What does not belong to the region is out of reach. */
	assert_int_equal(
		msync((char *)region->header + 33 * REGION_PAGE, REGION_PAGE, MS_ASYNC), -1);
	region_close(region);
}

static void refuses_a_taken_address(void **state)
{
	struct region_options options = scratch_options(*state, 0, false);
	int obstacle = memfd_create("obstacle", MFD_CLOEXEC);
	void *there = (void *)(uintptr_t)(REGION_DEFAULT_ADDRESS + 8 * REGION_PAGE);

	assert_int_equal(ftruncate(obstacle, REGION_PAGE), 0);
	assert_ptr_equal(
		mmap(there, REGION_PAGE, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, obstacle, 0),
		there);
	assert_int_equal(try_open(state, options), SHM_INVALID);
	assert_non_null(strstr(shm_message(), "is taken"));
	assert_non_null(strstr(shm_message(), "obstacle"));
	/* And what is there is still there. */
	assert_int_equal(msync(there, REGION_PAGE, MS_ASYNC), 0);
	munmap(there, REGION_PAGE);
	close(obstacle);
	assert_int_equal(try_open(state, options), SHM_OK);
}

static void refuses_a_crooked_address(void **state)
{
	struct region_options options = scratch_options(*state, 0, false);

	options.address = REGION_DEFAULT_ADDRESS + 1;
	assert_int_equal(try_open(state, options), SHM_INVALID);
	assert_non_null(strstr(shm_message(), "multiple"));
	options.address = UINT64_C(0xffff800000000000); /* the kernel's half */
	assert_int_not_equal(try_open(state, options), SHM_OK);
}

static void reads_only_what_it_may(void **state)
{
	struct region_options options = scratch_options(*state, 1, false);
	struct region *writer = scratch_open(state, 0, false);
	struct region *reader = NULL;
	struct ring_end end;

	options.read_only = true;
	options.address = UINT64_C(0x7d0000000000);
	assert_int_equal(region_open(&options, &reader), SHM_OK);
	assert_false(reader->writable);
	assert_int_equal(member_meet(reader, 2, NULL, NULL, deadline_in_ms(10)), SHM_READ_ONLY);
	assert_int_equal(ring_attach(reader, REGION_PAGE, 64, 0, &end), SHM_READ_ONLY);
	assert_int_equal(mprotect(reader->header, REGION_PAGE, PROT_READ | PROT_WRITE), -1);
	region_close(reader);
	region_close(writer);
}

/* Writes a word of the header as a hostile member would. */
static void poke(void **state, size_t offset, uint64_t value, size_t bytes)
{
	const struct scratch *scratch = *state;
	int fd = open(scratch->file, O_RDWR | O_CLOEXEC);

	assert_int_equal(pwrite(fd, &value, bytes, (off_t)offset), bytes);
	close(fd);
}

static void refuses_a_wrong_header(void **state)
{
	struct region_options options = scratch_options(*state, 0, false);
	static const uint32_t bad_pages[] = {0, 1, PAGES + 1, UINT32_MAX};

	options.deadline_ms = 20;
	poke(state, offsetof(struct region_header, magic), REGION_FORMATTING, 8);
	assert_int_equal(try_open(state, options), SHM_TIMEOUT);
	poke(state, offsetof(struct region_header, magic), 12345, 8);
	assert_int_equal(try_open(state, options), SHM_CORRUPT);
	poke(state, offsetof(struct region_header, magic), 0, 8);
	assert_int_equal(try_open(state, options), SHM_OK);
	for (size_t i = 0; i < 4; i++) {
		poke(state, offsetof(struct region_header, pages), bad_pages[i], 4);
		assert_int_equal(try_open(state, options), SHM_CORRUPT);
	}
	poke(state, offsetof(struct region_header, pages), PAGES, 4);
	poke(state, offsetof(struct region_header, version), 99, 4);
	assert_int_equal(try_open(state, options), SHM_CORRUPT);
}

static void refuses_what_is_too_small(void **state)
{
	struct region_options options = scratch_options(*state, 0, false);
	const struct scratch *scratch = *state;

	options.pages = PAGES + 1;
	assert_int_equal(try_open(state, options), SHM_INVALID);
	options.pages = 0;
	assert_int_equal(truncate(scratch->file, REGION_PAGE), 0);
	assert_int_equal(try_open(state, options), SHM_INVALID);
	options.member = REGION_MEMBERS;
	assert_int_equal(try_open(state, options), SHM_INVALID);
}

static void bounds_what_is_asked_for(void **state)
{
	struct region *region = scratch_open(state, 0, false);
	char *start = (char *)region->header;
	uint64_t end = PAGES * REGION_PAGE;

	assert_ptr_equal(region_at(region, REGION_PAGE, 64), start + REGION_PAGE);
	assert_non_null(region_at(region, end - 64, 64));
	assert_null(region_at(region, 0, 64));
	assert_null(region_at(region, end - 64, 65));
	assert_null(region_at(region, REGION_PAGE + 8, 64));
	assert_null(region_at(region, REGION_PAGE, UINT64_MAX));
	assert_null(region_at(region, UINT64_MAX - 63, 64));
	assert_true(region_contains(region, start + REGION_PAGE, 8, 8));
	assert_true(region_contains(region, start + end - 8, 8, 8));
	assert_false(region_contains(region, start + end - 8, 9, 8));
	assert_false(region_contains(region, start + REGION_PAGE + 4, 8, 8));
	assert_false(region_contains(region, start, 8, 8));
	assert_false(region_contains(region, start - 8, 8, 8));
	assert_false(region_contains(region, NULL, 8, 8));
	assert_false(region_contains(region, start + REGION_PAGE, UINT64_MAX, 8));
	region_close(region);
}

static void sleep_through(struct region *region, void *context)
{
	(void)region;
	(void)context;
	for (;;)
		pause();
}

static void one_place_one_member(void **state)
{
	struct region_options options = scratch_options(*state, 1, false);
	pid_t pid = start_member(state, 1, false, sleep_through, NULL);
	struct region *looker = scratch_open(state, 0, false);

	await_word(&looker->header->members[1].state, MEMBER_STARTING, pid);
	options.address = UINT64_C(0x7d0000000000);
	assert_int_equal(try_open(state, options), SHM_INVALID);
	assert_non_null(strstr(shm_message(), "already has a member 1"));
	end_member(pid);
	/* Killed, it has left its place looking occupied; a successor finds that out. */
	assert_int_equal(atomic_load(&looker->header->members[1].state), MEMBER_STARTING);
	assert_int_equal(try_open(state, options), SHM_OK);
	assert_int_equal(atomic_load(&looker->header->members[1].generation), 2);
	region_close(looker);
}

static void follow_and_leave(struct region *region, void *context)
{
	child_check(member_meet(region, 2, NULL, NULL, deadline_in_ms(DEADLINE_MS)) == SHM_OK);
	child_check(*(volatile int *)region_at(region, REGION_PAGE, 4) == 77);
	if (context)
		sleep_through(region, NULL);
}

static void prepare(struct region *region, void *context)
{
	*(int *)region_at(region, REGION_PAGE, 4) = *(int *)context;
}

static void meets_and_notices_leaving(void **state)
{
	int mark = 77;
	pid_t pid = start_member(state, 1, false, follow_and_leave, NULL);
	struct region *region = scratch_open(state, 0, false);

	assert_int_equal(
		member_meet(region, 2, prepare, &mark, deadline_in_ms(DEADLINE_MS)), SHM_OK);
	expect_success(pid);
	assert_int_equal(member_check(region, 1, false), SHM_OK);
	assert_int_equal(member_check(region, 1, true), SHM_PEER_GONE);
	assert_non_null(strstr(shm_message(), "it has left"));
	region_close(region);
}

static void the_host_declares_gone(void **state)
{
	int mark = 77;
	pid_t pid = start_member(state, 1, false, follow_and_leave, &mark);
	struct region *region = scratch_open(state, 0, false);

	assert_int_equal(
		member_meet(region, 2, prepare, &mark, deadline_in_ms(DEADLINE_MS)), SHM_OK);
	assert_int_equal(member_check(region, 1, true), SHM_OK);
	region_declare_gone(region->header, 1);
	assert_int_equal(member_check(region, 1, true), SHM_PEER_GONE);
	assert_non_null(strstr(shm_message(), "its generation went from 1 to 2"));
	end_member(pid);
	region_declare_gone(region->header, 0);
	assert_int_equal(member_check(region, 0, true), SHM_PEER_GONE);
	region_close(region);
}

static void waits_for_members_until_the_deadline(void **state)
{
	struct region *region = scratch_open(state, 0, false);

	assert_int_equal(member_meet(region, 3, NULL, NULL, deadline_in_ms(20)), SHM_TIMEOUT);
	assert_non_null(strstr(shm_message(), "member 1 did not come"));
	assert_int_equal(member_meet(region, 0, NULL, NULL, deadline_in_ms(20)), SHM_INVALID);
	assert_int_equal(member_meet(region, REGION_MEMBERS + 1, NULL, NULL, deadline_in_ms(20)),
		SHM_INVALID);
	region_close(region);
}

/* A place left by one who was killed must not pass for one who has come. */
static void is_not_met_by_the_dead(void **state)
{
	int mark = 77;
	pid_t pid = start_member(state, 1, false, follow_and_leave, &mark);
	struct region *region = scratch_open(state, 0, false);

	assert_int_equal(
		member_meet(region, 2, prepare, &mark, deadline_in_ms(DEADLINE_MS)), SHM_OK);
	end_member(pid);
	region_close(region);
	region = scratch_open(state, 0, false);
	assert_int_equal(atomic_load(&region->header->members[1].state), MEMBER_PRESENT);
	assert_int_equal(member_meet(region, 2, prepare, &mark, deadline_in_ms(50)), SHM_TIMEOUT);
	region_close(region);
}

/* ---- a joiner that is kept from the processor ---- */

static const _Atomic uint64_t *beating; /* a nap lasts until this has changed, and for long */

/* In place of libc's. */
int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	const struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000};

	if (beating) {
		uint64_t before = atomic_load(beating), end = deadline_in_ms(PEER_TIMEOUT_MS);

		while (atomic_load(beating) == before || clock_now() < end)
			sched_yield();
		beating = NULL;
	}
	return ppoll(fds, count, timeout_ms < 0 ? NULL : &timeout, NULL);
}

/* Who wakes up when the time of the proof is over has no proof yet. */
static void a_late_joiner_takes_nobodys_place(void **state)
{
	struct region_options options = scratch_options(*state, 1, false);
	pid_t pid = start_member(state, 1, false, sleep_through, NULL);
	struct region *region = scratch_open(state, 0, false);
	struct region_member *taken = &region->header->members[1];

	await_word(&taken->state, MEMBER_STARTING, pid);
	options.address = UINT64_C(0x7d0000000000);
	beating = &taken->heartbeat;
	assert_int_equal(try_open(state, options), SHM_INVALID);
	assert_non_null(strstr(shm_message(), "it is alive"));
	assert_null(beating);
	end_member(pid);
	assert_int_equal(try_open(state, options), SHM_OK);
	region_close(region);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(opens_at_the_chosen_address),
		TEST(refuses_a_taken_address),
		TEST(refuses_a_crooked_address),
		TEST(reads_only_what_it_may),
		TEST(refuses_a_wrong_header),
		TEST(refuses_what_is_too_small),
		TEST(bounds_what_is_asked_for),
		TEST(one_place_one_member),
		TEST(meets_and_notices_leaving),
		TEST(the_host_declares_gone),
		TEST(waits_for_members_until_the_deadline),
		TEST(is_not_met_by_the_dead),
		TEST(a_late_joiner_takes_nobodys_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
