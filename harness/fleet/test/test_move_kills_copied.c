/* Whoever dies at whatever step of a move that copies memory, or hands it over by QEMU's own means:
 * see test_move_kills.c. */
#include "harness/fleet/test/killing.h"

static void kill_precopy(struct fleet *fleet)
{
	kill_everybody(fleet, 1, MOVE_PRECOPY, false, MOVE_TRANSFER);
}

/* Once the commit is under way its memory is on both sides. */
static void kill_postcopy(struct fleet *fleet)
{
	mark_guest(fleet, 0);
	for (int step = MOVE_TRANSFER; step <= MOVE_COMMIT; step++) {
		for (int party = KILL_MOVER; party <= KILL_TARGET_QEMU; party++)
			move_and_kill(fleet, 1, MOVE_POSTCOPY, false, (enum party_killed)party,
				(enum move_step)step, 0);
	}
}

static void kill_cpr(struct fleet *fleet)
{
	kill_everybody(fleet, 1, MOVE_CPR, false, MOVE_RECEIVE);
}

static void a_guest_that_is_copied_lives_on_one_side(void **state)
{
	(void)state;
	struct fleet_spec spec = movable(1);

	live_run(&spec, kill_precopy);
}

static void so_does_one_before_its_pages_follow_it(void **state)
{
	(void)state;
	struct fleet_spec spec = movable(1);

	spec.ram = RAM_PRIVATE;
	live_run(&spec, kill_postcopy);
}

static void so_does_one_whose_memory_is_handed_over(void **state)
{
	(void)state;
	struct fleet_spec spec = movable(1);

	if (!has_cpr())
		skip();
	spec.qemu_args = cpr_arguments;
	live_run(&spec, kill_cpr);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_that_is_copied_lives_on_one_side),
		cmocka_unit_test(so_does_one_before_its_pages_follow_it),
		cmocka_unit_test(so_does_one_whose_memory_is_handed_over),
	};

	return live_main(argc, argv, "kills of copying moves", tests, ARRAY_SIZE(tests));
}
