/* Two guests talk through a region; both are moved, one after the other and at the same time, and
 * the conversation goes on, verified by themselves. They do nothing about it. */
#include "harness/fleet/fleet_move.h"
#include "harness/fleet/test/live.h"
#include "harness/host/proc.h"
#include "mechanisms/shmipc/region_service.h"

#include <time.h>

static const struct region_spec ring = {"ring", "members", REGION_PAPER_PAGES};

/* Moves these guests, all together, to whichever stack they are not on. */
static void move(struct fleet *fleet, const unsigned int guests[], size_t count)
{
	const struct move_options options = {.method = MOVE_ZEROCOPY, .deadline = LIVE_DEADLINE};
	struct move_report reports[2] = {0};

	assert_ok(fleet_move(
		fleet, guests, count, 1 - fleet_guest_stack(fleet, guests[0]), &options, reports));
	for (size_t i = 0; i < count; i++)
		assert_true(reports[i].moved && reports[i].same_memory);
}

/* Waits until the members have written to the first ring's head again. */
static void see_it_go_on(const struct region *region)
{
	struct deadline deadline = deadline_after_ms(20000);
	const struct timespec pause = {0, 1000000};
	unsigned char before[256];
	size_t size;
	const unsigned char *memory = region_memory(region, &size);

	assert_true(size > REGION_PAGE_BYTES + sizeof(before));
	memcpy(before, memory + REGION_PAGE_BYTES, sizeof(before));
	while (memcmp(before, memory + REGION_PAGE_BYTES, sizeof(before)) == 0) {
		if (deadline_passed(deadline))
			fail_msg("deadline passed while waiting for the guests to go on talking");
		nanosleep(&pause, NULL);
	}
}

static uint64_t region_inode(pid_t qemu)
{
	_cleanup_free_ char *maps = NULL;
	struct proc_map map;
	uint64_t inode = 0;

	assert_ok(proc_read_maps(qemu, &maps));
	for (const char *at = maps; proc_next_map(&at, &map);) {
		if (memmem(map.name, map.name_length, "/regions/ring", 13))
			inode = map.inode;
	}
	return inode;
}

static void plug_region(struct fleet *fleet, bool doorbell, struct region **region)
{
	const char *const wait[] = {"/sbin/fleetlab-guest", "wait-device", NULL};

	assert_ok(region_create(&ring, region));
	if (doorbell)
		assert_ok(region_serve_doorbells(*region, 2));
	for (unsigned int i = 0; i < 2; i++) {
		struct plug_spec plugs[2];
		json_t *result = NULL;

		assert_ok(doorbell ? region_doorbell_plugs(&ring, "members", i, plugs)
				   : region_plugs(
					     &ring, "members", REGION_READ_WRITE, PLUG_ALL, plugs));
		fleet->spec.plugs = plugs;
		fleet->spec.plug_count = 2;
		assert_ok(plug_in(fleet, &fleet->guests[i]));
		fleet->spec.plug_count = 0;
		free((char *)plugs[0].arguments);
		free((char *)plugs[1].arguments);
		assert_ok(fleet_run_json(fleet, i, wait, LIVE_DEADLINE, &result));
		json_decref(result);
		if (doorbell)
			free(live_shell(fleet, i, "modprobe -a vfio-pci vfio_iommu_type1"));
	}
}

static void begin_talking(
	struct fleet *fleet, const char *mode, const char *runs, struct guest_job jobs[2])
{
	const char *const asker[] = {"/sbin/fleetlab-guest", "shm-pingpong", "--role=a", mode,
		"--pages=1025", "--ints=1024", runs, "--deadline-ms=100000", NULL};
	const char *const answerer[] = {"/sbin/fleetlab-guest", "shm-pingpong", "--role=b", mode,
		"--pages=1025", "--deadline-ms=100000", NULL};

	assert_ok(fleet_prepare(fleet, 1, answerer, LIVE_DEADLINE, &jobs[1]));
	assert_ok(fleet_prepare(fleet, 0, asker, LIVE_DEADLINE, &jobs[0]));
	assert_ok(fleet_release(fleet, jobs, 2));
}

static void end_talking(struct fleet *fleet, const struct guest_job jobs[2])
{
	for (unsigned int i = 0; i < 2; i++) {
		_cleanup_(exec_result_deinit) struct exec_result output = {0};
		_cleanup_json_ json_t *said = NULL;

		assert_ok(fleet_finish(fleet, &jobs[i], LIVE_DEADLINE, &output));
		assert_ok(job_json(fleet, &jobs[i], &output, &said));
		if (i == 0)
			assert_true(json_is_true(json_object_get(said, "verified")));
	}
}

static void talk_and_move(struct fleet *fleet, bool doorbell)
{
	static const unsigned int both[] = {0, 1};
	struct guest_job jobs[2];
	struct region *region;
	ino_t inode;

	plug_region(fleet, doorbell, &region);
	inode = region_inode(fleet->guests[0].pid);
	assert_true(inode > 0);
	/* Far more round trips than the moves take time for. */
	if (doorbell)
		begin_talking(fleet, "--mode=doorbell", "--runs=40000", jobs);
	else
		begin_talking(fleet, "--mode=polling", "--runs=60000", jobs);
	see_it_go_on(region);
	move(fleet, &both[0], 1);
	see_it_go_on(region);
	move(fleet, &both[1], 1);
	see_it_go_on(region);
	move(fleet, both, 2);
	see_it_go_on(region);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(region_inode(fleet->guests[i].pid), inode);
	end_talking(fleet, jobs);
	region_destroy(region);
}

static void talk_by_polling(struct fleet *fleet)
{
	talk_and_move(fleet, false);
}

static void talk_by_doorbell(struct fleet *fleet)
{
	talk_and_move(fleet, true);
}

static struct fleet_spec talkers(void)
{
	return (struct fleet_spec){.image = {.kind = "tiny"},
		.count = 2,
		.memory_bytes = 128 << 20,
		.vcpus = 1,
		.start = FLEET_TEMPLATE,
		.ram = RAM_SHARED,
		.stack_count = 2};
}

static void a_conversation_moves_along(void **state)
{
	(void)state;
	struct fleet_spec spec = talkers();

	live_run(&spec, talk_by_polling);
}

static void so_does_one_by_doorbell(void **state)
{
	(void)state;
	static const char *const machine[] = {
		"-machine", "kernel-irqchip=split", "-device", "intel-iommu,intremap=on", NULL};
	struct fleet_spec spec = talkers();

	spec.qemu_args = machine;
	spec.kernel_args = "intel_iommu=on";
	live_run(&spec, talk_by_doorbell);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_conversation_moves_along),
		cmocka_unit_test(so_does_one_by_doorbell),
	};

	return live_main(argc, argv, "moving regions", tests, ARRAY_SIZE(tests));
}
