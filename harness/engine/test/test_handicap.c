/* A drill's brake: what has a guest's name runs slower by the factor, and at full speed again
 * afterwards; nothing else is touched, and outside a lab nothing is braked at all. Needs root. */
#include "harness/lab/test/in_lab.h"

#include "harness/base/clock.h"
#include "harness/engine/handicap.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>

#define SLOWDOWN 2.0
#define MEASURE_MS 600

/* A process that says every millisecond whether it runs: a line of text a beat. */
struct beater {
	pid_t pid;
	int beats;
};

static int start_beater(const char *name, struct beater *beater)
{
	int pair[2];

	if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	beater->pid = fork();
	if (beater->pid == 0) {
		struct timespec beat = {.tv_nsec = NSEC_PER_MSEC};

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, name);
		while (write(pair[1], "b", 1) == 1)
			nanosleep(&beat, NULL);
		_exit(0);
	}
	close(pair[1]);
	beater->beats = pair[0];
	return beater->pid < 0 ? -1 : 0;
}

static size_t take_beats(const struct beater *beater)
{
	char buffer[4096];
	size_t count = 0;

	for (ssize_t n; (n = read(beater->beats, buffer, sizeof(buffer))) > 0;)
		count += (size_t)n;
	return count;
}

/* Beats of both while the time passes: a pace, whatever the machine's. */
static void measure(
	const struct beater *guest, const struct beater *other, size_t *of_guest, size_t *of_other)
{
	struct pollfd nothing = {.fd = -1};

	take_beats(guest);
	take_beats(other);
	poll(&nothing, 1, MEASURE_MS);
	*of_guest = take_beats(guest);
	*of_other = take_beats(other);
}

static char state_of(pid_t pid)
{
	_cleanup_free_ char *path = format_string("/proc/%d/stat", (int)pid);
	_cleanup_free_ char *line = fs_read_line(path);
	const char *end = line ? strrchr(line, ')') : NULL;

	return end ? end[2] : '?';
}

static int brake(void *context)
{
	struct handicap_brake brake = {0};
	struct beater guest, other;
	size_t of_guest, of_other;
	double stopped;

	(void)context;
	check(start_beater("qemu-system-x86", &guest) == 0);
	check(start_beater("client", &other) == 0);
	check_ok(handicap_start(SLOWDOWN, &brake));
	measure(&guest, &other, &of_guest, &of_other);
	handicap_stop(&brake, &stopped);
	/* Half of the time, by its own account and by the beats of one that was not braked. */
	check(stopped > 0.2 && stopped < 0.8);
	check((double)of_guest < 0.8 * (double)of_other);
	check(of_guest > 0);
	check(state_of(guest.pid) != 'T');
	measure(&guest, &other, &of_guest, &of_other);
	check((double)of_guest > 0.6 * (double)of_other);
	handicap_stop(&brake, &stopped); /* again: harmless */
	check(stopped == 0);
	return 0;
}

static void guests_are_braked_and_let_go(void **state)
{
	skip_without_root();
	assert_int_equal(run_body(brake, NULL, false), 0);
}

/* The brake itself is stopped, at a moment when it holds the guest. */
static bool freeze_while_it_holds(pid_t brake, pid_t guest)
{
	struct deadline deadline = SOON;

	while (!deadline_passed(deadline)) {
		kill(brake, SIGSTOP);
		while (state_of(brake) != 'T' && !deadline_passed(deadline))
			;
		if (state_of(guest) == 'T')
			return true;
		kill(brake, SIGCONT);
	}
	return false;
}

static int brake_and_freeze(void *context)
{
	struct handicap_brake brake = {0};
	struct beater guest;
	double stopped;
	pid_t pid;

	(void)context;
	check(start_beater("qemu-system-x86", &guest) == 0);
	check_ok(handicap_start(SLOWDOWN, &brake));
	pid = brake.pid;
	check(freeze_while_it_holds(pid, guest.pid));
	handicap_stop(&brake, &stopped);
	check(stopped == 0);
	check(state_of(guest.pid) != 'T');
	check(kill(pid, 0) < 0 && errno == ESRCH); /* nor is it a zombie */
	return 0;
}

static void a_brake_that_must_be_killed_leaves_no_guest_stopped(void **state)
{
	skip_without_root();
	assert_int_equal(run_body(brake_and_freeze, NULL, false), 0);
}

static int brake_nothing(void *context)
{
	struct handicap_brake brake = {0};
	double stopped;

	(void)context;
	check_ok(handicap_start(SLOWDOWN, &brake));
	handicap_stop(&brake, &stopped);
	check(stopped == 0);
	return 0;
}

static void without_guests_nothing_is_claimed(void **state)
{
	skip_without_root();
	assert_int_equal(run_body(brake_nothing, NULL, false), 0);
}

static void nothing_is_braked_outside_a_lab(void **state)
{
	struct handicap_brake brake = {0};

	(void)state;
	assert_fails(handicap_start(SLOWDOWN, &brake), ERROR_INTERNAL, "in a lab only");
	assert_fails(handicap_start(0.5, &brake), ERROR_SETUP, "must be from");
	assert_int_equal(brake.pid, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		lab_test(guests_are_braked_and_let_go),
		lab_test(a_brake_that_must_be_killed_leaves_no_guest_stopped),
		lab_test(without_guests_nothing_is_claimed),
		cmocka_unit_test(nothing_is_braked_outside_a_lab),
	};

	return cmocka_run_group_tests(tests, enter_own_host, NULL);
}
