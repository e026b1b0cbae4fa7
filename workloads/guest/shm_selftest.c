/*
 * shm-selftest: all of the library at once between M members, with totals that only come out right
 * when nothing was lost, doubled or torn.
 */
#include "workloads/guest/shm_common.h"

#include <inttypes.h>
#include <string.h>

#include "workloads/guest/content.h"
#include "workloads/guest/json.h"
#include "workloads/shm/channel.h"
#include "workloads/shm/clock.h"
#include "workloads/shm/members.h"
#include "workloads/shm/sync.h"

#define CHANNEL_CAPACITY 4096
#define MESSAGE_MAX 6000 /* larger than the channel's rings */

struct objects {
	struct shm_barrier barrier;
	struct shm_mutex mutex;
	struct shm_semaphore tokens;
	alignas(REGION_LINE) uint64_t counter; /* guarded by `mutex` */
	alignas(REGION_LINE) uint64_t shadow;  /* as well, in a line of its own */
	alignas(REGION_LINE) _Atomic uint64_t holders, most_holders;
	alignas(REGION_LINE) uint64_t phases[REGION_MEMBERS];
};

struct test {
	struct region *region;
	struct objects *objects;
	unsigned int members;
	uint64_t rounds;
};

/* Channel i joins members i and i + 1; with two members there is one, with more there is a circle.
 */
static uint64_t channel_offset(unsigned int index)
{
	return REGION_PAGE +
	       (sizeof(struct objects) + REGION_LINE - 1) / REGION_LINE * REGION_LINE +
	       index * CHANNEL_BYTES(CHANNEL_CAPACITY);
}

static void prepare(struct region *region, void *context)
{
	struct test *test = context;

	memset(test->objects, 0, sizeof(*test->objects));
	for (unsigned int i = 0; i < test->members; i++)
		shm_check(channel_reset(region, channel_offset(i), CHANNEL_CAPACITY));
	for (unsigned int i = 0; i < (test->members + 1) / 2; i++)
		shm_check(semaphore_post(region, &test->objects->tokens));
}

static void meet_at_barrier(struct test *test)
{
	shm_check(
		barrier_wait(test->region, &test->objects->barrier, test->members, shm_deadline()));
}

static void test_mutex(struct test *test)
{
	struct objects *objects = test->objects;

	for (uint64_t i = 0; i < test->rounds; i++) {
		shm_check(mutex_lock(test->region, &objects->mutex, shm_deadline()));
		if (objects->counter != objects->shadow)
			die("two members were under the mutex at once");
		objects->counter++;
		objects->shadow++;
		shm_check(mutex_unlock(test->region, &objects->mutex));
	}
	meet_at_barrier(test);
	if (objects->counter != test->rounds * test->members)
		die("the mutex lost increments: %" PRIu64 " of %" PRIu64, objects->counter,
			test->rounds * test->members);
}

static void test_semaphore(struct test *test)
{
	struct objects *objects = test->objects;
	uint64_t tokens = (test->members + 1) / 2;

	for (uint64_t i = 0; i < test->rounds; i++) {
		uint64_t holders;

		shm_check(semaphore_wait(test->region, &objects->tokens, shm_deadline()));
		holders = atomic_fetch_add(&objects->holders, 1) + 1;
		if (holders > tokens)
			die("the semaphore let %" PRIu64 " in, it has %" PRIu64, holders, tokens);
		atomic_fetch_sub(&objects->holders, 1);
		shm_check(semaphore_post(test->region, &objects->tokens));
	}
	meet_at_barrier(test);
	if (atomic_load(&objects->tokens.count) != tokens)
		die("the semaphore ended with %u rather than %" PRIu64,
			atomic_load(&objects->tokens.count), tokens);
	meet_at_barrier(test);
}

static void test_barrier(struct test *test)
{
	for (uint64_t phase = 1; phase <= test->rounds; phase++) {
		test->objects->phases[test->region->member] = phase;
		meet_at_barrier(test);
		for (unsigned int i = 0; i < test->members; i++) {
			if (test->objects->phases[i] != phase)
				die("phase %" PRIu64 ": member %u passed the barrier early", phase,
					i);
		}
		meet_at_barrier(test);
	}
}

static uint32_t message_length(uint64_t round)
{
	/* Every length from nothing to more than the ring, in a scattered order. */
	return (uint32_t)(round * 2477 % (MESSAGE_MAX / 4)) * 4;
}

static void send_message(struct test *test, struct channel *channel, uint64_t round)
{
	static uint32_t message[MESSAGE_MAX / 4];
	uint32_t bytes = message_length(round);

	content_fill(message, bytes / 4, (uint32_t)round * 37 + test->region->member);
	shm_check(channel_send(channel, message, bytes, shm_deadline()));
}

static void receive_message(struct channel *channel, unsigned int from, uint64_t round)
{
	static uint32_t message[MESSAGE_MAX / 4];
	uint32_t bytes;

	shm_check(channel_receive(channel, message, sizeof(message), &bytes, shm_deadline()));
	if (bytes != message_length(round))
		die("message %" PRIu64 " has %u bytes rather than %u", round, bytes,
			message_length(round));
	if (content_check(message, bytes / 4, (uint32_t)round * 37 + from, 0) != bytes / 4)
		die("message %" PRIu64 " from member %u arrived damaged", round, from);
}

/* Each to its successor, each from its predecessor. Member 0 sends first, or all would fill up. */
static void test_channel(struct test *test)
{
	unsigned int own = test->region->member;
	unsigned int next = (own + 1) % test->members;
	unsigned int previous = (own + test->members - 1) % test->members;
	struct channel out, in;

	shm_check(channel_attach(test->region, channel_offset(own), CHANNEL_CAPACITY, next, &out));
	shm_check(channel_attach(
		test->region, channel_offset(previous), CHANNEL_CAPACITY, previous, &in));
	for (uint64_t round = 0; round < test->rounds; round++) {
		if (own == 0)
			send_message(test, &out, round);
		receive_message(&in, previous, round);
		if (own != 0)
			send_message(test, &out, round);
	}
	meet_at_barrier(test);
}

static void timed(const char *name, void (*function)(struct test *test), struct test *test)
{
	uint64_t start = clock_now();

	meet_at_barrier(test);
	function(test);
	json_number(name, clock_now() - start);
}

void command_shm_selftest(int argc, char **argv)
{
	struct shm_options options = SHM_DEFAULTS;
	struct test test = {.rounds = 1000};
	const struct option_row rows[] = {
		SHM_ROWS(&options),
		SHM_MEMBER_ROWS(&options),
		{"rounds", OPTION_NUMBER, &test.rounds, 1, 100000000,
			"of each test, the same in all members (1000)"},
		{0},
	};

	options_parse(rows, argc, argv);
	test.members = (unsigned int)options.members;
	if (test.members < 2)
		die("--members: at least 2 test each other");
	test.region = shm_begin(&options);
	test.objects = region_at(test.region, REGION_PAGE, sizeof(*test.objects));
	if (!test.objects)
		die("%s", shm_message());
	shm_check(member_meet(test.region, test.members, prepare, &test, shm_deadline()));
	timed("mutex_ns", test_mutex, &test);
	timed("semaphore_ns", test_semaphore, &test);
	timed("barrier_ns", test_barrier, &test);
	timed("channel_ns", test_channel, &test);
	json_number("rounds", test.rounds);
	shm_report(test.region);
	json_bool("verified", true);
	json_print();
}
