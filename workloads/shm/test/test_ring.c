/* Rings and channels between processes, and what hostile peers may try on them. */
#include "workloads/shm/test/support.h"

#include "workloads/shm/channel.h"

#define CAPACITY 1024
#define MESSAGE_MAX (5 * CAPACITY + 3)
#define MESSAGES 400

static uint64_t soon(void)
{
	return deadline_in_ms(DEADLINE_MS);
}

static uint8_t byte_at(uint64_t position, uint32_t salt)
{
	return (uint8_t)(position * 131 + (position >> 8) * 7 + salt * 29);
}

static uint32_t length_of(uint32_t message)
{
	return message % 7 == 0 ? 0 : message * 7919 % MESSAGE_MAX;
}

static void prepare(struct region *region, void *context)
{
	(void)context;
	channel_reset(region, REGION_PAGE, CAPACITY);
}

static void attach(struct region *region, struct channel *channel)
{
	child_check(
		channel_attach(region, REGION_PAGE, CAPACITY, !region->member, channel) == SHM_OK);
	child_check(member_meet(region, 2, prepare, NULL, soon()) == SHM_OK);
}

/* Sends all messages back as they come, each byte plus one. */
static void echo(struct region *region, void *context)
{
	static uint8_t message[MESSAGE_MAX];
	struct channel channel;

	(void)context;
	attach(region, &channel);
	for (uint32_t i = 0; i < MESSAGES; i++) {
		uint32_t bytes;

		child_check(
			channel_receive(&channel, message, MESSAGE_MAX, &bytes, soon()) == SHM_OK);
		for (uint32_t k = 0; k < bytes; k++)
			message[k]++;
		child_check(channel_send(&channel, message, bytes, soon()) == SHM_OK);
	}
}

static void messages_of_all_lengths(void **state, bool doorbell)
{
	static uint8_t message[MESSAGE_MAX];
	pid_t pid = start_member(state, 1, doorbell, echo, NULL);
	struct region *region = scratch_open(state, 0, doorbell);
	struct channel channel;

	attach(region, &channel);
	for (uint32_t i = 0; i < MESSAGES; i++) {
		uint32_t length = length_of(i);
		uint32_t bytes;

		for (uint32_t k = 0; k < length; k++)
			message[k] = byte_at(k, i);
		assert_int_equal(channel_send(&channel, message, length, soon()), SHM_OK);
		memset(message, 0, sizeof(message));
		assert_int_equal(
			channel_receive(&channel, message, MESSAGE_MAX, &bytes, soon()), SHM_OK);
		assert_int_equal(bytes, length);
		for (uint32_t k = 0; k < length; k++)
			assert_int_equal(message[k], (uint8_t)(byte_at(k, i) + 1));
	}
	expect_success(pid);
	/* A lost ring would show as a sleep that only its time limit ended. */
	assert_true(region->unrung_wakeups <= MESSAGES / 20);
	if (doorbell)
		assert_true(region->sleeps > 0);
	region_close(region);
}

static void messages_polling(void **state)
{
	messages_of_all_lengths(state, false);
}

static void messages_doorbell(void **state)
{
	messages_of_all_lengths(state, true);
}

#define STREAM 300007 /* a prime, so that parts and ring never line up */

static void stream_out(struct region *region, void *context)
{
	static uint8_t bytes[STREAM];
	struct channel channel;

	(void)context;
	attach(region, &channel);
	for (uint64_t i = 0; i < STREAM; i++)
		bytes[i] = byte_at(i, 5);
	for (uint64_t done = 0, part = 1; done < STREAM; part = part * 3 % 4001 + 1) {
		uint64_t now = part < STREAM - done ? part : STREAM - done;

		child_check(ring_write(&channel.out, bytes + done, now, soon()) == SHM_OK);
		done += now;
	}
}

static void wraps_around(void **state)
{
	static uint8_t bytes[STREAM];
	pid_t pid = start_member(state, 1, false, stream_out, NULL);
	struct region *region = scratch_open(state, 0, false);
	struct channel channel;

	attach(region, &channel);
	for (uint64_t done = 0, part = 1; done < STREAM; part = part * 5 % 3001 + 1) {
		uint64_t now = part < STREAM - done ? part : STREAM - done;

		assert_int_equal(ring_read(&channel.in, bytes + done, now, soon()), SHM_OK);
		done += now;
	}
	for (uint64_t i = 0; i < STREAM; i++)
		assert_int_equal(bytes[i], byte_at(i, 5));
	expect_success(pid);
	region_close(region);
}

/* Alone in the region, with the peer's hand played by the test. */
struct alone {
	struct region *region;
	struct channel channel;
};

static struct alone begin_alone(void **state)
{
	struct alone alone = {.region = scratch_open(state, 0, false)};

	assert_int_equal(member_meet(alone.region, 1, prepare, NULL, soon()), SHM_OK);
	assert_int_equal(
		channel_attach(alone.region, REGION_PAGE, CAPACITY, 1, &alone.channel), SHM_OK);
	return alone;
}

static void hostile_head(void **state)
{
	static const uint64_t heads[] = {
		CAPACITY + 1, UINT64_MAX, UINT64_C(1) << 63, UINT64_MAX - CAPACITY};
	uint8_t bytes[64];

	for (size_t i = 0; i < 4; i++) {
		struct alone alone = begin_alone(state);

		atomic_store(&alone.channel.in.ring->head, heads[i]);
		assert_int_equal(
			ring_read(&alone.channel.in, bytes, sizeof(bytes), soon()), SHM_CORRUPT);
		region_close(alone.region);
	}
}

static void hostile_head_goes_back(void **state)
{
	struct alone alone = begin_alone(state);
	uint8_t bytes[64];

	atomic_store(&alone.channel.in.ring->head, 64);
	assert_int_equal(ring_read(&alone.channel.in, bytes, 64, soon()), SHM_OK);
	atomic_store(&alone.channel.in.ring->head, 10);
	assert_int_equal(ring_read(&alone.channel.in, bytes, 1, soon()), SHM_CORRUPT);
	region_close(alone.region);
}

static void hostile_tail(void **state)
{
	static const uint64_t tails[] = {CAPACITY + 1, UINT64_MAX, UINT64_C(1) << 63};
	static uint8_t bytes[CAPACITY];

	for (size_t i = 0; i < 3; i++) {
		struct alone alone = begin_alone(state);

		assert_int_equal(ring_write(&alone.channel.out, bytes, CAPACITY, soon()), SHM_OK);
		atomic_store(&alone.channel.out.ring->tail, tails[i]);
		assert_int_equal(ring_write(&alone.channel.out, bytes, 1, soon()), SHM_CORRUPT);
		region_close(alone.region);
	}
}

static void own_index_is_not_believed(void **state)
{
	struct alone alone = begin_alone(state);
	uint8_t bytes[64] = {0};

	/* The peer moves *our* head: it is only what we tell others, not what we go by. */
	atomic_store(&alone.channel.out.ring->head, UINT64_C(1) << 40);
	assert_int_equal(ring_write(&alone.channel.out, bytes, sizeof(bytes), soon()), SHM_OK);
	assert_int_equal(atomic_load(&alone.channel.out.ring->head), sizeof(bytes));
	region_close(alone.region);
}

static void hostile_length(void **state)
{
	struct alone alone = begin_alone(state);
	uint32_t length = UINT32_MAX;
	uint8_t room[32];
	uint32_t bytes = 5;

	memcpy(alone.channel.in.data, &length, sizeof(length));
	atomic_store(&alone.channel.in.ring->head, 100);
	assert_int_equal(
		channel_receive(&alone.channel, room, sizeof(room), &bytes, soon()), SHM_CORRUPT);
	assert_int_equal(bytes, 5);
	assert_int_equal(
		channel_receive(&alone.channel, room, sizeof(room), &bytes, soon()), SHM_INVALID);
	region_close(alone.region);
}

static void waits_until_the_deadline(void **state)
{
	struct region *region = scratch_open(state, 0, false);
	static uint8_t bytes[CAPACITY + 1];
	struct channel channel;
	uint32_t length;

	assert_int_equal(member_meet(region, 1, prepare, NULL, soon()), SHM_OK);
	assert_int_equal(channel_attach(region, REGION_PAGE, CAPACITY, 1, &channel), SHM_OK);
	assert_int_equal(
		channel_receive(&channel, bytes, 8, &length, deadline_in_ms(20)), SHM_TIMEOUT);
	/* Nothing had come, so nothing is broken. */
	assert_int_equal(
		channel_receive(&channel, bytes, 8, &length, deadline_in_ms(20)), SHM_TIMEOUT);
	assert_int_equal(
		channel_send(&channel, bytes, sizeof(bytes), deadline_in_ms(20)), SHM_TIMEOUT);
	assert_int_equal(channel_send(&channel, bytes, 1, deadline_in_ms(20)), SHM_INVALID);
	region_close(region);
}

static void refuses_bad_shapes(void **state)
{
	struct region *region = scratch_open(state, 0, false);
	struct ring_end end;
	struct channel channel;

	assert_int_equal(ring_attach(region, REGION_PAGE, 1000, 1, &end), SHM_INVALID);
	assert_int_equal(ring_attach(region, REGION_PAGE, 0, 1, &end), SHM_INVALID);
	assert_int_equal(ring_attach(region, REGION_PAGE, 32, 1, &end), SHM_INVALID);
	assert_int_equal(ring_attach(region, 0, 64, 1, &end), SHM_INVALID);
	assert_int_equal(ring_attach(region, REGION_PAGE, UINT64_C(1) << 63, 1, &end), SHM_INVALID);
	assert_int_equal(ring_attach(region, REGION_PAGE, 64, REGION_MEMBERS, &end), SHM_INVALID);
	assert_int_equal(channel_attach(region, REGION_PAGE, 64, 0, &channel), SHM_INVALID);
	region_close(region);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(messages_polling),
		TEST(messages_doorbell),
		TEST(wraps_around),
		TEST(hostile_head),
		TEST(hostile_head_goes_back),
		TEST(hostile_tail),
		TEST(own_index_is_not_believed),
		TEST(hostile_length),
		TEST(waits_until_the_deadline),
		TEST(refuses_bad_shapes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
