/* Whoever dies at whatever step of a move: each guest runs on exactly one side, and can be moved
 * again. The last step is an exception that is told: a QEMU that dies after the commit takes its
 * guest with it, as it would have at any other time. */
#include "harness/fleet/test/killing.h"

static void kill_with_one(struct fleet *fleet)
{
	kill_everybody(fleet, 1, MOVE_ZEROCOPY, false, MOVE_PREFLIGHT);
}

static void kill_with_two(struct fleet *fleet)
{
	kill_everybody(fleet, 2, MOVE_ZEROCOPY, false, MOVE_PREFLIGHT);
}

static void kill_one_by_one(struct fleet *fleet)
{
	kill_everybody(fleet, 2, MOVE_ZEROCOPY, true, MOVE_TRANSFER);
}

static void one_guest_lives_on_one_side(void **state)
{
	(void)state;
	struct fleet_spec spec = movable(1);

	live_run(&spec, kill_with_one);
}

static void two_guests_live_on_the_same_side(void **state)
{
	(void)state;
	struct fleet_spec spec = movable(2);

	live_run(&spec, kill_with_two);
}

static void two_guests_one_by_one_do_so_too(void **state)
{
	(void)state;
	struct fleet_spec spec = movable(2);

	live_run(&spec, kill_one_by_one);
}

static void kill_after_commit(struct fleet *fleet)
{
	struct assassin assassin = {.fleet = fleet,
		.party = KILL_TARGET_QEMU,
		.step = MOVE_FINISH,
		.guest = "g0",
		.to = 1};
	const struct move_options options = {
		.deadline = deadline_after_ms(20000), .on_step = strike, .context = &assassin};
	struct move_report report;

	assert_fails(fleet_move(fleet, (unsigned int[]){0}, 1, 1, &options, &report), ERROR_GUEST,
		"lost");
	assert_true(report.lost);
	assert_int_equal(count_qemus("g0"), 0); /* not run again with memory that has gone on */
}

static void a_qemu_that_dies_after_the_commit_takes_its_guest_along(void **state)
{
	(void)state;
	struct fleet_spec spec = movable(1);

	live_run(&spec, kill_after_commit);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_guest_lives_on_one_side),
		cmocka_unit_test(two_guests_live_on_the_same_side),
		cmocka_unit_test(two_guests_one_by_one_do_so_too),
		cmocka_unit_test(a_qemu_that_dies_after_the_commit_takes_its_guest_along),
	};

	return live_main(argc, argv, "kills", tests, ARRAY_SIZE(tests));
}
