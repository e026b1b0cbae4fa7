/* ^C and SIGTERM: see interrupt.h. */
#include "harness/engine/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

static volatile sig_atomic_t seen; /* the first signal */
static int wire[2] = {-1, -1};

static void handle(int number)
{
	if (!seen)
		seen = number;
	if (write(wire[1], "", 1) < 0)
		return; /* the flag is enough */
}

void interrupt_catch(void)
{
	/* SA_RESETHAND: a second ^C ends the process, and with it the lab. */
	struct sigaction action = {.sa_handler = handle, .sa_flags = (int)SA_RESETHAND};

	if (wire[0] >= 0 || pipe2(wire, O_CLOEXEC | O_NONBLOCK) < 0)
		return;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	action.sa_flags = 0; /* there are two timers */
	sigaction(SIGALRM, &action, NULL);
}

/* The host's clock may be set back, and then as much time must not go by once more; it may be set
 * forward, and neither that nor sleep is seen by the monotonic clock. So there are two. */
static timer_t timers[2];
static size_t timer_count;

static struct error *arm(clockid_t clock, int flags, time_t seconds)
{
	/* A time of zero would disarm it. */
	const struct itimerspec spec = {.it_value = {.tv_sec = seconds, .tv_nsec = 1}};

	if (timer_create(clock, NULL, &timers[timer_count]) < 0)
		return error_errno(errno, "cannot create a timer");
	return timer_settime(timers[timer_count++], flags, &spec, NULL) < 0
		       ? error_errno(errno, "cannot set a timer")
		       : NULL;
}

struct error *interrupt_at(time_t when)
{
	time_t left = when - time(NULL);

	while (timer_count > 0)
		timer_delete(timers[--timer_count]); /* a parent's is not there */
	if (when == 0)
		return NULL;
	try_(arm(CLOCK_REALTIME, TIMER_ABSTIME, when));
	return arm(CLOCK_BOOTTIME, 0, left > 0 ? left : 0);
}

bool interrupted_by_time(void)
{
	return seen == SIGALRM;
}

bool interrupted(void)
{
	return seen != 0;
}

int interrupted_by(void)
{
	return seen;
}

int interrupt_fd(void)
{
	return wire[0];
}
