/* ^C and SIGTERM: see interrupt.h. */
#include "harness/engine/interrupt.h"

#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/time.h>
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
	sigaction(SIGALRM, &action, NULL);
}

void interrupt_after_ms(int64_t ms)
{
	struct itimerval timer = {.it_value = {ms / 1000, ms % 1000 * 1000}};

	if (ms <= 0)
		timer = (struct itimerval){0};
	setitimer(ITIMER_REAL, &timer, NULL);
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
