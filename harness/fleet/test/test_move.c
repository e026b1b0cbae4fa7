/* Moves of real guests between two stacks, each way of them, and what is refused. */
#include "harness/fleet/test/moving.h"

#include <math.h>

/* One guest there and back; its memory, its programs, its network and its disk go along. */
static void go_there_and_back(struct fleet *fleet, enum move_method method)
{
	const struct move_options options = {
		.method = method, .populate = true, .deadline = LIVE_DEADLINE};
	struct move_report report;

	mark_guest(fleet, 0);
	for (unsigned int to = 1; to < 4; to++) {
		assert_ok(fleet_move(fleet, (unsigned int[]){0}, 1, to % 2, &options, &report));
		assert_true(report.moved);
		assert_int_equal(report.target_pid, fleet_guest_pid(fleet, 0));
		assert_int_equal(fleet_guest_stack(fleet, 0), to % 2);
		assert_one_qemu(fleet, 0);
		assert_port_of(fleet, 0, to % 2 ? "g0n0b" : "g0n0");
		assert_marked(fleet, 0);
		print_message("%s: total %.1f ms, transfer %.0f ms, downtime %.1f ms (QEMU: %.0f), "
			      "verify %.1f "
			      "ms, receive %.0f ms, populate %.0f ms, %llu kB, %llu pages\n",
			move_method_name(method), report.total_ms, report.transfer_ms,
			report.downtime_ms, report.qemu_downtime_ms, report.verify_ms,
			report.receive_ms, report.populate_ms,
			(unsigned long long)report.sent_bytes >> 10,
			(unsigned long long)report.digest_pages);
		assert_true(report.downtime_ms > 0);
		assert_int_equal(report.same_memory, method == MOVE_ZEROCOPY);
	}
}

static void go_zerocopy(struct fleet *fleet)
{
	go_there_and_back(fleet, MOVE_ZEROCOPY);
}

static void go_precopy(struct fleet *fleet)
{
	go_there_and_back(fleet, MOVE_PRECOPY);
}

static void go_postcopy(struct fleet *fleet)
{
	go_there_and_back(fleet, MOVE_POSTCOPY);
}

static void a_guest_is_moved_without_copying(void **state)
{
	(void)state;
	struct fleet_spec spec = movable(1);

	live_run(&spec, go_zerocopy);
}

static void a_guest_is_moved_by_precopy(void **state)
{
	(void)state;
	struct fleet_spec spec = movable(1);

	live_run(&spec, go_precopy);
	spec.ram = RAM_PRIVATE;
	live_run(&spec, go_precopy);
}

static void a_guest_is_moved_by_postcopy(void **state)
{
	(void)state;
	struct fleet_spec spec = movable(1);

	live_run(&spec, go_postcopy);
}

static void a_cold_guest_is_moved(void **state)
{
	(void)state;
	static const struct nic_spec e1000[] = {{"lan", "e1000"}};
	struct fleet_spec spec = movable(1);

	spec.start = FLEET_COLD;
	spec.nics = e1000;
	live_run(&spec, go_zerocopy);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_is_moved_without_copying),
		cmocka_unit_test(a_guest_is_moved_by_precopy),
		cmocka_unit_test(a_guest_is_moved_by_postcopy),
		cmocka_unit_test(a_cold_guest_is_moved),
	};

	return live_main(argc, argv, "moves", tests, ARRAY_SIZE(tests));
}
