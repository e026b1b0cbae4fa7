/* What tests of moves in which somebody dies share: at every step each of those that take part, and
 * then that each guest lives once, on the same side, and can be moved again. */
#pragma once

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
