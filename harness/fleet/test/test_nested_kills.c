/* Whoever dies during a move between L1 guests: the mover, a stack in one of them, the target's
 * QEMU there, or a whole L1 guest. The L2 guest runs on exactly one side, as the L1 guests' own
 * kernels see it, and only where no side can have it is it told to be lost. */
#include "harness/fleet/test/live.h"
#include "harness/fleet/fleet_move.h"
#include "harness/fleet/nested.h"

#include <signal.h>

enum victim { MOVER, SOURCE_STACK, TARGET_STACK, TARGET_QEMU, SOURCE_L1, TARGET_L1 };

static const char *const victim_names[] = {"the mover", "the source's stack", "the target's stack",
	"the target's QEMU", "the source's L1 guest", "the target's L1 guest"};

struct killer {
	const struct nested *nested;
	struct fleet *outer;
	enum victim victim;
	enum move_step step;
	unsigned int to;
	bool killed;
};

static struct nested_plan *plan;

/* In an L1 guest; "$1" is a name of QEMU's. */
static void run_in_l1(struct fleet *outer, unsigned int stack, const char *script, const char *name)
{
	const char *const argv[] = {"/bin/sh", "-c", script, "sh", name, NULL};

	assert_int_equal(live_command(outer, stack, argv), 0);
}

static void kill_l1(struct fleet *outer, unsigned int stack)
{
	assert_int_equal(kill(fleet_guest_pid(outer, stack), SIGKILL), 0);
}

static void strike(void *context, enum move_step step, const char *guest, pid_t mover)
{
	static const char kill_stack[] = "kill -9 $(pidof program)";
	/* Seats of this guest other than the one it runs in. */
	static const char kill_qemu[] =
		"for dir in /proc/[0-9]*; do\n"
		"  comm=; read -r comm 2>/dev/null <\"$dir/comm\"\n"
		"  case $comm in qemu-system*) kill -9 \"${dir#/proc/}\" && exit;; esac\n"
		"done; exit 1";
	struct killer *killer = context;

	if (killer->killed || step != killer->step)
		return;
	killer->killed = true;
	switch (killer->victim) {
	case MOVER:
		assert_int_equal(kill(mover, SIGKILL), 0);
		break;
	case SOURCE_STACK:
		run_in_l1(killer->outer, 1 - killer->to, kill_stack, guest);
		break;
	case TARGET_STACK:
		run_in_l1(killer->outer, killer->to, kill_stack, guest);
		break;
	case TARGET_QEMU:
		run_in_l1(killer->outer, killer->to, kill_qemu, guest);
		break;
	case SOURCE_L1:
		kill_l1(killer->outer, 1 - killer->to);
		break;
	case TARGET_L1:
		kill_l1(killer->outer, killer->to);
		break;
	}
}

/* ---- that it is the same guest ---- */

static void mark(struct fleet *inner)
{
	free(live_shell(inner, 0,
		"cd /tmp; head -c 300000 /dev/urandom >a; sha256sum a >a.sum;"
		"(i=0; while :; do i=$((i+1)); echo $i >n; mv n count; sleep 0.05; done) "
		">/dev/null 2>&1 & echo $! >pid"));
}

/* The same boot and bytes, the program goes on, the network answers. */
static void assert_marked(struct fleet *inner)
{
	free(live_shell(inner, 0,
		"ping -c 1 -W 5 10.77.2.254 >/dev/null || exit 2; cd /tmp; sha256sum -c a.sum &&"
		"kill -0 $(cat pid) || exit 1;"
		"c=$(cat count); for i in $(seq 200); do [ $(cat count) -gt $c ] && exit 0;"
		"sleep 0.05; done; exit 4"));
}

static unsigned int count_qemus(const struct nested *nested, unsigned int stack)
{
	struct nested_sight sight;

	assert_ok(nested_look(nested, 0, stack, deadline_after_ms(20000), &sight));
	assert_int_equal(sight.processes, sight.on_nvdimm);
	return sight.processes;
}

/* ---- moves ---- */

static struct error *move_and_kill(struct nested *nested, struct fleet *outer, enum victim victim,
	enum move_step step, int timeout_ms, struct move_report *report)
{
	struct fleet *inner = nested_guests(nested);
	struct killer killer = {.nested = nested,
		.outer = outer,
		.victim = victim,
		.step = step,
		.to = 1 - fleet_guest_stack(inner, 0)};
	const struct move_options options = {
		.deadline = deadline_after_ms(timeout_ms), .on_step = strike, .context = &killer};
	int64_t begin_ns = clock_now_ns();
	struct error *err = fleet_move(inner, (unsigned int[]){0}, 1, killer.to, &options, report);

	assert_true(killer.killed);
	print_message("%s, killed at %s: %s (%.1f s)\n", victim_names[victim], move_step_name(step),
		err ? error_message(err) : "moved", clock_seconds(begin_ns, clock_now_ns()));
	return err;
}

struct strike {
	enum victim victim;
	enum move_step step;
};

static void survive(struct nested *nested, struct fleet *outer, const struct strike *kill)
{
	struct fleet *inner = nested_guests(nested);
	unsigned int from = fleet_guest_stack(inner, 0), now;
	struct move_report report;
	_cleanup_error_ struct error *err =
		move_and_kill(nested, outer, kill->victim, kill->step, 40000, &report);

	now = fleet_guest_stack(inner, 0);
	if (report.lost)
		fail_msg("the guest is lost: %s", error_message(err));
	assert_int_equal(report.moved, err == NULL);
	assert_int_equal(now, err ? from : 1 - from);
	assert_int_equal(count_qemus(nested, now), 1);
	assert_int_equal(count_qemus(nested, 1 - now), 0);
	assert_marked(inner);
}

/* Processes die, the L1 guests live: nobody is lost. */
static void kill_processes(struct fleet *outer)
{
	static const struct strike kills[] = {
		{MOVER, MOVE_TRANSFER},
		{MOVER, MOVE_COMMIT},
		{SOURCE_STACK, MOVE_VERIFY},
		{SOURCE_STACK, MOVE_FINISH},
		{TARGET_STACK, MOVE_TRANSFER},
		{TARGET_STACK, MOVE_COMMIT},
		{TARGET_QEMU, MOVE_TRANSFER},
		{TARGET_QEMU, MOVE_COMMIT},
	};
	_cleanup_(cleanup_nested) struct nested *nested = NULL;

	assert_ok(nested_open(outer, plan, LIVE_DEADLINE, &nested));
	mark(nested_guests(nested));
	for (size_t i = 0; i < ARRAY_SIZE(kills); i++)
		survive(nested, outer, &kills[i]);
}

/* A target that has not been let run is of no use to anybody: the source goes on. */
static void kill_target_before(struct fleet *outer)
{
	_cleanup_(cleanup_nested) struct nested *nested = NULL;
	struct move_report report;
	struct fleet *inner;

	assert_ok(nested_open(outer, plan, LIVE_DEADLINE, &nested));
	inner = nested_guests(nested);
	mark(inner);
	assert_fails(move_and_kill(nested, outer, TARGET_L1, MOVE_VERIFY, 20000, &report),
		ERROR_GUEST, "runs on its old stack again");
	assert_false(report.lost || report.moved);
	assert_int_equal(fleet_guest_stack(inner, 0), 0);
	assert_int_equal(count_qemus(nested, 0), 1);
	assert_marked(inner);
}

/* What was committed runs on the target; that the source's L1 guest is no more is no loss. */
static void kill_source_after(struct fleet *outer)
{
	_cleanup_(cleanup_nested) struct nested *nested = NULL;
	struct move_report report;
	struct fleet *inner;

	assert_ok(nested_open(outer, plan, LIVE_DEADLINE, &nested));
	inner = nested_guests(nested);
	mark(inner);
	assert_ok(move_and_kill(nested, outer, SOURCE_L1, MOVE_FINISH, 20000, &report));
	assert_true(report.moved && !report.lost);
	assert_int_equal(fleet_guest_stack(inner, 0), 1);
	assert_int_equal(count_qemus(nested, 1), 1);
	assert_marked(inner);
}

/* It dies with its machine, as at any other time; what stands on the target is ended. */
static void kill_source_before(struct fleet *outer)
{
	_cleanup_(cleanup_nested) struct nested *nested = NULL;
	struct move_report report;

	assert_ok(nested_open(outer, plan, LIVE_DEADLINE, &nested));
	assert_fails(move_and_kill(nested, outer, SOURCE_L1, MOVE_VERIFY, 20000, &report),
		ERROR_GUEST, "it is lost: its QEMU on the source has ended");
	assert_true(report.lost && !report.moved);
	assert_int_equal(count_qemus(nested, 1), 0);
}

/* Whether it had run there, nobody can tell: so it is not let run on memory that may have gone on.
 */
static void kill_target_at_commit(struct fleet *outer)
{
	_cleanup_(cleanup_nested) struct nested *nested = NULL;
	struct move_report report;

	assert_ok(nested_open(outer, plan, LIVE_DEADLINE, &nested));
	assert_fails(move_and_kill(nested, outer, TARGET_L1, MOVE_COMMIT, 20000, &report),
		ERROR_GUEST, "it is lost");
	assert_true(report.lost && !report.moved);
	assert_int_equal(count_qemus(nested, 0), 0);
}

static void run(void (*body)(struct fleet *outer))
{
	struct fleet_spec spec;

	nested_fleet_spec(plan, &spec);
	live_run(&spec, body);
}

static void a_guest_lives_when_processes_of_l1_die(void **state)
{
	(void)state;
	run(kill_processes);
}

static void it_goes_on_when_the_targets_l1_dies(void **state)
{
	(void)state;
	run(kill_target_before);
}

static void it_has_moved_when_the_sources_l1_dies_at_last(void **state)
{
	(void)state;
	run(kill_source_after);
}

static void it_is_told_to_be_lost_with_the_sources_l1(void **state)
{
	(void)state;
	run(kill_source_before);
}

static void it_does_not_run_twice_when_nobody_can_tell(void **state)
{
	(void)state;
	run(kill_target_at_commit);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_lives_when_processes_of_l1_die),
		cmocka_unit_test(it_goes_on_when_the_targets_l1_dies),
		cmocka_unit_test(it_has_moved_when_the_sources_l1_dies_at_last),
		cmocka_unit_test(it_is_told_to_be_lost_with_the_sources_l1),
		cmocka_unit_test(it_does_not_run_twice_when_nobody_can_tell),
	};
	const struct nested_spec spec = {
		.count = 1, .memory_bytes = {(uint64_t)128 << 20}, .program = FLEETLAB};
	int status;

#ifdef __SANITIZE_ADDRESS__
	puts("skipped: L1 guests do not have the sanitizers' libraries");
	return 0;
#endif
	plan = nested_plan_create(&spec);
	status = live_main(argc, argv, "nested kills", tests, ARRAY_SIZE(tests));
	nested_plan_destroy(plan);
	return status;
}
