/* ^C and SIGTERM: see interrupt.h. */
#include "harness/engine/interrupt.h"

#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t seen;
static int wire[2] = {-1, -1};

static void handle(int number)
{
	seen = number;
	if (write(wire[1], "", 1) < 0)
		seen = number; /* the flag is enough */
}

void interrupt_catch(void)
{
	/* SA_RESETHAND: a second ^C ends the process, and with it the lab. */
	struct sigaction action = {.sa_handler = handle, .sa_flags = (int)SA_RESETHAND};

	if (pipe2(wire, O_CLOEXEC | O_NONBLOCK) < 0)
		return;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
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
