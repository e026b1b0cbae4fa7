/*
 * shm-pingpong: the paper's experiment through a shared region (section 5.2). Everything that
 * counts is in the library's ring; this only chooses sizes and places.
 */
#include "workloads/guest/pingpong.h"
#include "workloads/guest/shm_common.h"

#include <string.h>

#include "workloads/guest/json.h"
#include "workloads/shm/members.h"
#include "workloads/shm/ring.h"

struct shm_transport {
	struct transport transport;
	struct ring_end out, in;
};

static void shm_send(struct transport *transport, const void *from, size_t bytes)
{
	struct shm_transport *shm = (struct shm_transport *)transport;

	shm_check(ring_write(&shm->out, from, bytes, shm_deadline()));
}

static void shm_receive(struct transport *transport, void *to, size_t bytes)
{
	struct shm_transport *shm = (struct shm_transport *)transport;

	shm_check(ring_read(&shm->in, to, bytes, shm_deadline()));
}

/* Enough to keep both sides at work, little enough to stay in their caches. */
#define RING_CAPACITY_MAX (UINT64_C(256) << 10)

/* The largest two rings that the data pages have room for, up to a sensible size. */
static uint64_t ring_capacity(const struct region *region)
{
	uint64_t capacity = REGION_LINE;

	while (capacity < RING_CAPACITY_MAX &&
		2 * RING_BYTES(2 * capacity) <= region->bytes - REGION_PAGE)
		capacity *= 2;
	return capacity;
}

static void prepare(struct region *region, void *context)
{
	uint64_t capacity = *(uint64_t *)context;

	ring_reset(region_at(region, REGION_PAGE, RING_BYTES(capacity)));
	ring_reset(region_at(region, REGION_PAGE + RING_BYTES(capacity), RING_BYTES(capacity)));
}

static void attach(struct region *region, struct shm_transport *shm, uint64_t capacity)
{
	uint64_t first = REGION_PAGE;
	uint64_t second = first + RING_BYTES(capacity);
	unsigned int peer = !region->member;

	shm_check(ring_attach(region, region->member ? second : first, capacity, peer, &shm->out));
	shm_check(ring_attach(region, region->member ? first : second, capacity, peer, &shm->in));
}

void command_shm_pingpong(int argc, char **argv)
{
	struct shm_options options = SHM_DEFAULTS;
	struct pingpong_options pingpong = PINGPONG_DEFAULTS;
	const char *role = "";
	uint64_t ring = 0;
	const struct option_row rows[] = {
		{"role", OPTION_TEXT, &role, 0, 0, "a (asks and measures) or b (answers)"},
		SHM_ROWS(&options),
		PINGPONG_ROWS(&pingpong),
		{"ring", OPTION_NUMBER, &ring, REGION_LINE, UINT64_C(1) << 40,
			"bytes of a ring, a power of two, the same on both sides (256 KiB)"},
		{0},
	};
	struct shm_transport shm = {.transport = {shm_send, shm_receive, 0, 0}};
	struct region *region;

	options_parse(rows, argc, argv);
	if (strcmp(role, "a") != 0 && strcmp(role, "b") != 0)
		die("--role: '%s' is neither a nor b", role);
	options.member = *role == 'b';
	region = shm_begin(&options);
	if (!ring)
		ring = ring_capacity(region);
	/* Before anyone is met: the prepared rings must be where the size says. */
	if (region->writable)
		attach(region, &shm, ring);
	shm_check(member_meet(region, 2, prepare, &ring, shm_deadline()));
	if (*role == 'a')
		pingpong_ask(&shm.transport, &pingpong);
	else
		pingpong_answer(&shm.transport);
	json_number("ring_bytes", ring);
	json_number("bytes_written", shm.out.mine);
	json_number("bytes_read", shm.in.mine);
	shm_report(region);
	json_print();
}
