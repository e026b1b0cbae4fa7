/* CPU time of a lab's processes: whoever computed, living or reaped, is counted once and in its
 * place. Needs root. */
#include "harness/lab/test/in_lab.h"
#include "harness/lab/cpu_time.h"

#include <fcntl.h>
#include <signal.h>
#include <time.h>

/* What each process of these tests computes, and what ended ones may be rounded by. */
#define WORK_S 0.1
#define TICK_S 0.01

static double own_cpu_s(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

/* A child in a machine that has computed, and then waits (or ends). */
static pid_t worker(const struct machine *machine, bool stays)
{
	int done[2];
	char byte;
	pid_t pid;

	if (pipe2(done, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		return -1;
	if (pid == 0) {
		if (machine_enter(machine) < 0)
			_exit(1);
		while (own_cpu_s() < WORK_S)
			;
		if (write(done[1], "d", 1) != 1 || !stays)
			_exit(0);
		for (;;)
			pause();
	}
	close(done[1]);
	bool worked = read(done[0], &byte, 1) == 1;

	close(done[0]);
	return worked ? pid : -1;
}

static int counts_everybody_once(void *context)
{
	static const struct machine_spec spec = {.number = 1};
	_cleanup_(cleanup_machine) struct machine *machine = NULL;
	const pid_t self = getpid(), nobody = 4000000;
	double lab[3], there[2], here[2], tree, one, none;

	(void)context;
	check_ok(machine_create(&spec, NULL, 0, &machine));
	check_ok(cpu_time_lab(&lab[0]));
	check_ok(cpu_time_machine(machine, &there[0]));
	check_ok(cpu_time_machine(NULL, &here[0]));
	check(there[0] == 0);
	pid_t away = worker(machine, true);
	pid_t ended = worker(NULL, false);

	check(away > 0 && ended > 0 && waitpid(ended, NULL, 0) == ended);
	check_ok(cpu_time_lab(&lab[1]));
	check_ok(cpu_time_machine(machine, &there[1]));
	check_ok(cpu_time_machine(NULL, &here[1]));
	check_ok(cpu_time_processes(&away, 1, &one));
	check_ok(cpu_time_processes(&self, 1, &tree));
	check(lab[1] - lab[0] >= 2 * WORK_S - TICK_S);
	check(there[1] >= WORK_S && there[1] < lab[1] - lab[0] - WORK_S + 2 * TICK_S);
	check(here[1] - here[0] >= WORK_S - TICK_S);
	check(one >= WORK_S && tree >= 2 * WORK_S - TICK_S);
	kill(away, SIGKILL);
	check(waitpid(away, NULL, 0) == away);
	check_ok(cpu_time_lab(&lab[2]));
	check(lab[2] - lab[0] >= 2 * WORK_S - 2 * TICK_S); /* the dead still count */
	_cleanup_error_ struct error *missing = cpu_time_processes(&nobody, 1, &none);

	check(missing && strstr(error_message(missing), "4000000"));
	return 0;
}

static void everybody_counts_once(void **state)
{
	skip_without_root();
	assert_int_equal(run_body(counts_everybody_once, NULL, false), 0);
}

/* ---- reaped while all are read ---- */

/* A process that reaps its child when it is told to. */
static struct {
	pid_t pid;
	int tell[2], told[2];
} reaper;

/* In place of libc's: of each process, when what /proc tells of it has been read. Then, for once,
 * the reaper reaps its child, whose number is larger and which has not been read yet. */
int clock_getcpuclockid(pid_t pid, clockid_t *clock)
{
	char byte = 'r';

	if (pid == reaper.pid) {
		reaper.pid = 0;
		if (write(reaper.tell[1], &byte, 1) != 1 || read(reaper.told[0], &byte, 1) != 1)
			abort();
	}
	*clock = (clockid_t)(~(unsigned int)pid << 3 | 2); /* CPUCLOCK_SCHED of a process */
	return 0;
}

static void __attribute__((noreturn)) reap_when_told(void)
{
	pid_t child = worker(NULL, false);
	char byte = 'w';

	if (child < 0 || write(reaper.told[1], &byte, 1) != 1 ||
		read(reaper.tell[0], &byte, 1) != 1 || waitpid(child, NULL, 0) != child ||
		write(reaper.told[1], &byte, 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static int counts_who_is_reaped_meanwhile(void *context)
{
	double lab[2];
	char byte;
	pid_t pid;

	(void)context;
	check_ok(cpu_time_lab(&lab[0]));
	check(pipe2(reaper.tell, O_CLOEXEC) == 0 && pipe2(reaper.told, O_CLOEXEC) == 0);
	pid = fork();
	check(pid >= 0);
	if (pid == 0)
		reap_when_told();
	check(read(reaper.told[0], &byte, 1) == 1);
	reaper.pid = pid;
	check_ok(cpu_time_lab(&lab[1]));
	check(reaper.pid == 0);
	check(lab[1] - lab[0] >= WORK_S - TICK_S);
	kill(pid, SIGKILL);
	check(waitpid(pid, NULL, 0) == pid);
	return 0;
}

static void who_is_reaped_meanwhile_counts(void **state)
{
	skip_without_root();
	assert_int_equal(run_body(counts_who_is_reaped_meanwhile, NULL, false), 0);
}

static void a_listing_of_elsewhere_is_read_with_care(void **state)
{
	static const char listing[] = "1 (init) S 0 1 1 0 -1 0 0 0 0 0 10 20 300 400 20 0 1 0 1\n"
				      "7 (a) b) (c) S 1 7 7 0 -1 0 0 0 0 0 1 2 3 4 20 0 1 0 1\n"
				      "9 (x\n"
				      "8 (child) R 7 7 7 0 -1 0 0 0 0 0 50 0 0 0 20 0 1 0 1\n"
				      "6 (loop) R 6 7 7 0 -1 0 0 0 0 0 50 0 0 0 20 0 1 0 1\n"
				      "rubbish ) ) )\n"
				      "77";
	long ticks = sysconf(_SC_CLK_TCK);
	const pid_t seven = 7, loop = 6, cut = 9;
	double seconds;

	(void)state;
	assert_ok(cpu_time_listing(listing, &seven, 1, &seconds));
	assert_true(seconds * (double)ticks > 59.5 && seconds * (double)ticks < 60.5);
	assert_ok(cpu_time_listing(listing, &loop, 1, &seconds));
	assert_fails(cpu_time_listing(listing, &cut, 1, &seconds), ERROR_SETUP, "process 9");
	assert_fails(cpu_time_listing("", &seven, 1, &seconds), ERROR_SETUP, "process 7");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		lab_test(everybody_counts_once),
		lab_test(who_is_reaped_meanwhile_counts),
		cmocka_unit_test(a_listing_of_elsewhere_is_read_with_care),
	};

	return cmocka_run_group_tests(tests, enter_own_host, NULL);
}
