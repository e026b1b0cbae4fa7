/* Moves that are struck while a step is being taken, and by what does not die but hangs or cannot
 * be started anew: each guest still runs on exactly one side, whatever became of the others. And
 * what moves leave behind. */
#include "harness/fleet/test/moving.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/pidfd.h>

/* ---- in the midst of a step ---- */

enum victim { HIT_MOVER, HIT_SOURCE_STACK, HIT_TARGET_STACK, HIT_TARGET_QEMU, VICTIMS };

static const char *const victim_names[] = {
	"the mover", "the source's stack", "the target's stack", "the target's QEMU"};

struct striker {
	struct fleet *fleet;
	enum victim victim;
	enum move_step step;
	unsigned int to;
	int delay_ms;
	pthread_t thread;
	int pidfd;
	bool started;
};

static void *strike_later(void *context)
{
	struct striker *striker = context;

	poll(NULL, 0, striker->delay_ms); /* a moment within the step: it is what is tested */
	pidfd_send_signal(striker->pidfd, SIGKILL, NULL, 0);
	return NULL;
}

static void begin_strike(void *context, enum move_step step, const char *guest, pid_t mover)
{
	struct striker *striker = context;
	const struct fleet *fleet = striker->fleet;
	const pid_t victims[] = {
		[HIT_MOVER] = mover,
		[HIT_SOURCE_STACK] = fleet_stack_pid(fleet, 1 - striker->to),
		[HIT_TARGET_STACK] = fleet_stack_pid(fleet, striker->to),
		[HIT_TARGET_QEMU] = step == striker->step ? target_qemu(fleet, guest) : 0,
	};

	if (striker->started || step != striker->step)
		return;
	striker->pidfd = pidfd_open(victims[striker->victim], 0);
	assert_true(striker->pidfd >= 0);
	striker->started = true;
	assert_int_equal(pthread_create(&striker->thread, NULL, strike_later, striker), 0);
}

/* The order in which things happen is the host's: only what must hold in all of them is asked. */
static void move_and_strike(struct fleet *fleet, enum move_method method, enum victim victim,
	enum move_step step, int delay_ms)
{
	struct striker striker = {.fleet = fleet,
		.victim = victim,
		.step = step,
		.to = 1 - fleet_guest_stack(fleet, 0),
		.delay_ms = delay_ms};
	/* So slow that precopy is under way for long. */
	const struct move_options options = {.method = method,
		.bandwidth_bytes_s = method == MOVE_PRECOPY ? 16 << 20 : 0,
		.deadline = deadline_after_ms(40000),
		.on_step = begin_strike,
		.context = &striker};
	struct move_report report;
	bool gone = false;
	_cleanup_error_ struct error *err =
		fleet_move(fleet, (unsigned int[]){0}, 1, striker.to, &options, &report);

	assert_true(striker.started);
	pthread_join(striker.thread, NULL);
	close(striker.pidfd);
	print_message("%s, killed %d ms after %s of %s has begun: %s\n", victim_names[victim],
		delay_ms, move_step_name(step), move_method_name(method),
		err ? error_message(err) : "moved");
	assert_false(report.lost);
	assert_int_equal(report.moved, err == NULL);
	assert_int_equal(fleet_guest_stack(fleet, 0), err ? 1 - striker.to : striker.to);
	assert_one_qemu(fleet, 0);
	assert_marked(fleet, 0);
	/* Struck when the move was over it is dead still. */
	if (victim == HIT_SOURCE_STACK || victim == HIT_TARGET_STACK)
		assert_ok(stacks_revive(fleet,
			fleet_stack_socket(
				fleet, victim == HIT_TARGET_STACK ? striker.to : 1 - striker.to),
			LIVE_DEADLINE, &gone));
}

enum { SEED = 20, STRIKES = 3, LATEST_MS = 40 };

static void strike_zerocopy(struct fleet *fleet)
{
	unsigned int seed = SEED;

	mark_guest(fleet, 0);
	/* A QEMU that dies in this short time may have committed: its guest may go along. */
	for (int victim = 0; victim < HIT_TARGET_QEMU; victim++) {
		for (int i = 0; i < STRIKES; i++) {
			move_and_strike(fleet, MOVE_ZEROCOPY, (enum victim)victim, MOVE_TRANSFER,
				rand_r(&seed) % LATEST_MS);
			move_and_strike(fleet, MOVE_ZEROCOPY, (enum victim)victim, MOVE_COMMIT,
				rand_r(&seed) % LATEST_MS / 4);
		}
	}
}

static void strike_precopy(struct fleet *fleet)
{
	unsigned int seed = SEED;

	mark_guest(fleet, 0);
	for (int victim = 0; victim < VICTIMS; victim++)
		move_and_strike(fleet, MOVE_PRECOPY, (enum victim)victim, MOVE_TRANSFER,
			20 + rand_r(&seed) % LATEST_MS);
}

static void a_guest_lives_when_a_step_is_struck(void **state)
{
	(void)state;
	struct fleet_spec spec = movable(1);

	live_run(&spec, strike_zerocopy);
}

static void a_guest_that_is_being_copied_lives(void **state)
{
	(void)state;
	struct fleet_spec spec = movable(1);

	spec.ram = RAM_PRIVATE;
	live_run(&spec, strike_precopy);
}

/* ---- what hangs ---- */

static void stop_target(void *context, enum move_step step, const char *guest, pid_t mover)
{
	const struct fleet *fleet = context;

	(void)mover;
	if (step == MOVE_TRANSFER && strcmp(guest, "g0") == 0)
		assert_int_equal(kill(target_qemu(fleet, guest), SIGSTOP), 0);
}

static void move_to_one_that_hangs(struct fleet *fleet)
{
	static const unsigned int guests[] = {0, 1};
	const struct move_options options = {
		.deadline = deadline_after_ms(5000), .on_step = stop_target, .context = fleet};
	struct move_report reports[2];

	mark_guest(fleet, 0);
	mark_guest(fleet, 1);
	assert_fails(fleet_move(fleet, guests, 2, 1, &options, reports), ERROR_GUEST,
		"all guests run on their old stack again");
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(fleet_guest_stack(fleet, i), 0);
		assert_one_qemu(fleet, i);
		assert_marked(fleet, i);
	}
}

static void a_target_that_hangs_keeps_nobody_from_going_back(void **state)
{
	(void)state;
	struct fleet_spec spec = movable(2);

	live_run(&spec, move_to_one_that_hangs);
}

/* ---- stacks that cannot be started anew ---- */

struct deserter {
	struct fleet *fleet;
	enum move_step step;
};

static void kill_target_stack(void *context, enum move_step step, const char *guest, pid_t mover)
{
	const struct deserter *deserter = context;

	(void)guest;
	(void)mover;
	if (step == deserter->step)
		kill(fleet_stack_pid(deserter->fleet, 1), SIGKILL);
}

/* As between L1 guests: a stack in one of those dies with it, for good. */
static void lose_target(struct fleet *fleet, enum move_step step)
{
	struct deserter deserter = {.fleet = fleet, .step = step};
	const struct move_options options = {.deadline = deadline_after_ms(20000),
		.on_step = kill_target_stack,
		.context = &deserter};
	struct move_report report;
	struct fleet_item item = {0};
	bool gone = false;
	pid_t left;

	assert_ok(fleet_item_init(fleet, 0, 1, MOVE_ZEROCOPY, &item));
	assert_fails(move_run(&item.item, 1, &options, &report), ERROR_GUEST,
		"the guest runs on its old stack again");
	assert_false(report.lost);
	assert_false(report.moved);
	left = find_qemu(item.name);
	if (left > 0)
		assert_int_equal(kill(left, SIGKILL), 0); /* stopped, and of no use to anybody */
	assert_marked(fleet, 0);
	assert_ok(stacks_revive(fleet, fleet_stack_socket(fleet, 1), LIVE_DEADLINE, &gone));
	fleet_item_deinit(&item);
}

static void lose_target_at_each_step(struct fleet *fleet)
{
	mark_guest(fleet, 0);
	for (int step = MOVE_PREFLIGHT; step < MOVE_COMMIT; step++)
		lose_target(fleet, (enum move_step)step);
}

static void a_guest_needs_no_target_to_go_back(void **state)
{
	(void)state;
	struct fleet_spec spec = movable(1);

	live_run(&spec, lose_target_at_each_step);
}

/* ---- what is left ---- */

static unsigned int count_open(pid_t pid)
{
	_cleanup_free_ char *path = format_string("/proc/%d/fd", (int)pid);
	DIR *dir = opendir(path);
	unsigned int count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static void move_often(struct fleet *fleet)
{
	const struct move_options options = {.deadline = LIVE_DEADLINE};
	struct deadline deadline = LIVE_DEADLINE;
	struct move_report report;
	unsigned int before[2];

	for (unsigned int i = 0; i < 2; i++)
		before[i] = count_open(fleet_stack_pid(fleet, i));
	for (unsigned int to = 1; to < 7; to++)
		assert_ok(fleet_move(fleet, (unsigned int[]){0}, 1, to % 2, &options, &report));
	/* A stack notices the end of the last mover's connections when it gets to it. */
	for (unsigned int i = 0; i < 2; i++) {
		while (count_open(fleet_stack_pid(fleet, i)) > before[i]) {
			if (deadline_passed(deadline))
				fail_msg("stack %u has %u descriptors open, not %u", i,
					count_open(fleet_stack_pid(fleet, i)), before[i]);
			poll(NULL, 0, 5);
		}
	}
}

static void moves_leave_nothing_open_in_the_stacks(void **state)
{
	(void)state;
	struct fleet_spec spec = movable(1);

	live_run(&spec, move_often);
}

/* ---- a mover that does not come up ---- */

static bool next_child_hangs, a_child_hung;

static void hang_in_child(void)
{
	while (next_child_hangs)
		pause();
}

static void go_on_in_parent(void)
{
	a_child_hung |= next_child_hangs;
	next_child_hangs = false;
}

static void move_by_the_second_mover(struct fleet *fleet)
{
	const struct move_options options = {.deadline = LIVE_DEADLINE};
	struct move_report report;

	mark_guest(fleet, 0);
	assert_int_equal(pthread_atfork(NULL, go_on_in_parent, hang_in_child), 0);
	next_child_hangs = true;
	assert_ok(fleet_move(fleet, (unsigned int[]){0}, 1, 1, &options, &report));
	assert_true(a_child_hung);
	assert_int_equal(fleet_guest_stack(fleet, 0), 1);
	assert_one_qemu(fleet, 0);
	assert_marked(fleet, 0);
}

static void a_mover_that_hangs_at_once_is_started_anew(void **state)
{
	(void)state;
	struct fleet_spec spec = movable(1);

	live_run(&spec, move_by_the_second_mover);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mover_that_hangs_at_once_is_started_anew),
		cmocka_unit_test(a_guest_lives_when_a_step_is_struck),
		cmocka_unit_test(a_guest_that_is_being_copied_lives),
		cmocka_unit_test(a_target_that_hangs_keeps_nobody_from_going_back),
		cmocka_unit_test(a_guest_needs_no_target_to_go_back),
		cmocka_unit_test(moves_leave_nothing_open_in_the_stacks),
	};

	return live_main(argc, argv, "strikes", tests, ARRAY_SIZE(tests));
}
