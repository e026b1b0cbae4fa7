/* Whoever dies at whatever step of a move: each guest runs on exactly one side, and can be moved
 * again. The last step is an exception that is told: a QEMU that dies after the commit takes its
 * guest with it, as it would have at any other time. */
#include "harness/fleet/test/moving.h"

#include <signal.h>
#include <sys/wait.h>

enum party_killed { KILL_MOVER, KILL_SOURCE_STACK, KILL_TARGET_STACK, KILL_TARGET_QEMU };

static const char *const party_names[] = {
	"the mover", "the source's stack", "the target's stack", "the target's QEMU"};

struct assassin {
	struct fleet *fleet;
	enum party_killed party;
	enum move_step step;
	const char *guest; /* at this one's step */
	unsigned int to;
	bool killed;
};

static void strike(void *context, enum move_step step, const char *guest, pid_t mover)
{
	struct assassin *assassin = context;
	struct fleet *fleet = assassin->fleet;
	pid_t victim = 0;

	if (assassin->killed || step != assassin->step || strcmp(guest, assassin->guest) != 0)
		return;
	switch (assassin->party) {
	case KILL_MOVER:
		victim = mover;
		break;
	case KILL_SOURCE_STACK:
		victim = fleet_stack_pid(fleet, 1 - assassin->to);
		break;
	case KILL_TARGET_STACK:
		victim = fleet_stack_pid(fleet, assassin->to);
		break;
	case KILL_TARGET_QEMU:
		victim = target_qemu(fleet, guest);
		break;
	}
	assassin->killed = victim > 0;
	if (victim > 0)
		kill(victim, SIGKILL);
}

static const char *const guest_names[] = {"g0", "g1"};

/* One move of `count` guests in which somebody dies; then each lives once, on the same side. */
static void move_and_kill(struct fleet *fleet, unsigned int count, enum move_method method,
	bool one_by_one, enum party_killed party, enum move_step step, unsigned int victim)
{
	const unsigned int guests[] = {0, 1};
	struct assassin assassin = {.fleet = fleet,
		.party = party,
		.step = step,
		.guest = guest_names[victim],
		.to = 1 - fleet_guest_stack(fleet, 0)};
	const struct move_options options = {.method = method,
		.one_by_one = one_by_one,
		.deadline = deadline_after_ms(20000),
		.on_step = strike,
		.context = &assassin};
	struct move_report reports[2];
	_cleanup_error_ struct error *err =
		fleet_move(fleet, guests, count, assassin.to, &options, reports);

	if (party == KILL_TARGET_QEMU && step <= MOVE_RECEIVE)
		assert_false(assassin.killed); /* there is none yet */
	else
		assert_true(assassin.killed);
	for (unsigned int i = 0; i < count; i++) {
		if (reports[i].lost)
			fail_msg("%s is lost: %s", guest_names[i], error_message(err));
		if (reports[i].moved == (err != NULL))
			fail_msg("%s: moved %d, error %s", guest_names[i], reports[i].moved,
				err ? error_message(err) : "none");
		assert_int_equal(fleet_guest_stack(fleet, i), err ? 1 - assassin.to : assassin.to);
		assert_one_qemu(fleet, i);
		assert_marked(fleet, i);
	}
	print_message("%s, killed at %s of %s: %s\n", party_names[party], move_step_name(step),
		guest_names[victim], err ? error_message(err) : "all moved");
}

static void kill_everybody(struct fleet *fleet, unsigned int count, enum move_method method,
	bool one_by_one, enum move_step first)
{
	for (unsigned int i = 0; i < count; i++)
		mark_guest(fleet, i);
	for (int step = first; step < MOVE_STEP_COUNT; step++) {
		for (int party = KILL_MOVER; party <= KILL_TARGET_QEMU; party++) {
			if (step == MOVE_FINISH && party == KILL_TARGET_QEMU)
				continue;
			move_and_kill(fleet, count, method, one_by_one, (enum party_killed)party,
				(enum move_step)step, count - 1);
		}
	}
}

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

static void so_does_a_guest_that_is_copied(void **state)
{
	(void)state;
	struct fleet_spec spec = movable(1);

	live_run(&spec, kill_precopy);
}

static void so_does_a_guest_before_its_pages_follow_it(void **state)
{
	(void)state;
	struct fleet_spec spec = movable(1);

	spec.ram = RAM_PRIVATE;
	live_run(&spec, kill_postcopy);
}

static void so_does_a_guest_whose_memory_is_handed_over(void **state)
{
	(void)state;
	struct fleet_spec spec = movable(1);

	if (!has_cpr())
		skip();
	spec.qemu_args = cpr_arguments;
	live_run(&spec, kill_cpr);
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
		cmocka_unit_test(so_does_a_guest_that_is_copied),
		cmocka_unit_test(so_does_a_guest_before_its_pages_follow_it),
		cmocka_unit_test(so_does_a_guest_whose_memory_is_handed_over),
		cmocka_unit_test(a_qemu_that_dies_after_the_commit_takes_its_guest_along),
	};

	return live_main(argc, argv, "kills", tests, ARRAY_SIZE(tests));
}
