/* Braking the guests of a lab: see handicap.h. Must never leave a guest stopped. */
#include "harness/engine/handicap.h"
#include "harness/base/clock.h"
#include "harness/base/fs.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* Long beside the kernel's time slices, short beside what is measured. */
#define PERIOD_MS 20.0
/* Guests come and go; looking for them costs CPU time that the guests then lack. */
#define LOOK_EVERY 10
#define STOP_MS 5000

enum { MOST_GUESTS = 256 };

DEFINE_CLEANUP(dir, DIR *, closedir)

static size_t find_guests(pid_t guests[MOST_GUESTS])
{
	_cleanup_(cleanup_dir) DIR *dir = opendir("/proc");
	struct dirent *entry;
	size_t count = 0;

	while (dir && count < MOST_GUESTS && (entry = readdir(dir))) {
		_cleanup_free_ char *path = NULL;
		_cleanup_free_ char *name = NULL;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		path = format_string("/proc/%s/comm", entry->d_name);
		name = fs_read_line(path);
		if (name && strncmp(name, "qemu-system", 11) == 0)
			guests[count++] = (pid_t)strtol(entry->d_name, NULL, 10);
	}
	return count;
}

static void signal_all(const pid_t *guests, size_t count, int number)
{
	for (size_t i = 0; i < count; i++)
		kill(guests[i], number);
}

/* Waits; true when the caller has hung up. */
static bool pause_ms(int wire, double ms)
{
	struct pollfd pfd = {.fd = wire, .events = POLLIN};
	struct timespec time = {.tv_nsec = (long)(ms * (double)NSEC_PER_MSEC)};

	return ppoll(&pfd, 1, &time, NULL) > 0;
}

static void brake_until_hung_up(double slowdown, int in, int out)
{
	double share = 1 - 1 / slowdown, stopped_s = 0, stopped;
	int64_t begin = clock_now_ns();
	pid_t guests[MOST_GUESTS];
	size_t count = 0;
	bool over = false;

	for (unsigned int turn = 0; !over; turn++) {
		int64_t stop;

		if (turn % LOOK_EVERY == 0)
			count = find_guests(guests);
		stop = clock_now_ns();
		signal_all(guests, count, SIGSTOP);
		over = pause_ms(in, PERIOD_MS * share);
		signal_all(guests, count, SIGCONT);
		if (count > 0)
			stopped_s += clock_seconds(stop, clock_now_ns());
		over = over || pause_ms(in, PERIOD_MS * (1 - share));
	}
	stopped = stopped_s / clock_seconds(begin, clock_now_ns());
	if (write(out, &stopped, sizeof(stopped)) < 0)
		_exit(1);
}

/* In a lab the first process is the lab's, forked from this program. Anywhere else, guests of
 * others would be stopped. */
static bool is_in_lab(void)
{
	char first[4096] = "", own[4096] = "";

	return getpid() != 1 && readlink("/proc/1/exe", first, sizeof(first) - 1) > 0 &&
	       readlink("/proc/self/exe", own, sizeof(own) - 1) > 0 && strcmp(first, own) == 0;
}

struct error *handicap_start(double slowdown, struct handicap_brake *brake)
{
	int to[2], from[2];
	pid_t pid;

	if (slowdown < HANDICAP_LEAST || slowdown > HANDICAP_MOST)
		return error_new(ERROR_SETUP, "a slowdown of %g: it must be from %g to %g",
			slowdown, HANDICAP_LEAST, HANDICAP_MOST);
	if (!is_in_lab())
		return error_new(ERROR_INTERNAL, "guests can be braked in a lab only");
	if (pipe2(to, O_CLOEXEC) < 0)
		return error_errno(errno, "cannot create a pipe for the drill's brake");
	if (pipe2(from, O_CLOEXEC) < 0) {
		close(to[0]);
		close(to[1]);
		return error_errno(errno, "cannot create a pipe for the drill's brake");
	}
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(to[1]);
		brake_until_hung_up(slowdown, to[0], from[1]);
		_exit(0);
	}
	close(to[0]);
	close(from[1]);
	*brake = (struct handicap_brake){.pid = pid, .wire = {from[0], to[1]}};
	if (pid > 0)
		return NULL;
	brake->pid = 0;
	close(from[0]);
	close(to[1]);
	return error_errno(errno, "cannot start the drill's brake");
}

void handicap_stop(struct handicap_brake *brake, double *stopped)
{
	struct pollfd pfd = {.fd = brake->wire[0], .events = POLLIN};
	pid_t guests[MOST_GUESTS];
	bool told;

	*stopped = 0;
	if (!brake->pid)
		return;
	/* What the trial has forked may still hold the wire: a byte says that it is over. */
	told = write(brake->wire[1], "", 1) == 1 && poll(&pfd, 1, STOP_MS) > 0 &&
	       read(brake->wire[0], stopped, sizeof(*stopped)) == sizeof(*stopped);
	close(brake->wire[1]);
	close(brake->wire[0]);
	/* Once it has told it has nothing left to do, and until then it may hold guests. */
	kill(brake->pid, SIGKILL);
	while (waitpid(brake->pid, NULL, 0) < 0 && errno == EINTR)
		;
	brake->pid = 0;
	if (told)
		return;
	*stopped = 0;
	signal_all(guests, find_guests(guests), SIGCONT);
}
