/* Going to the background: see background.h. */
#include "workloads/guest/background.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "workloads/guest/json.h"
#include "workloads/shm/clock.h"

static volatile sig_atomic_t told_to_end;

void background_start(struct background *background)
{
	int ends[2];
	unsigned int port;
	pid_t pid;

	if (!background->wanted)
		return;
	if (pipe2(ends, O_CLOEXEC) < 0)
		die_errno("cannot make a pipe");
	pid = fork();
	if (pid < 0)
		die_errno("cannot fork");
	if (pid == 0) {
		close(ends[0]);
		background->ready_fd = ends[1];
		setsid();
		return;
	}
	close(ends[1]);
	if (read(ends[0], &port, sizeof(port)) != sizeof(port)) {
		/* It has printed why. */
		waitpid(pid, NULL, 0);
		_exit(1);
	}
	json_bool("ready", true);
	json_number("pid", (uint64_t)pid);
	if (port)
		json_number("port", port);
	json_print();
	_exit(0);
}

void background_ready(struct background *background, unsigned int port)
{
	const char *output = background->output ? background->output : "/dev/null";
	int fd;

	if (!background->wanted)
		return;
	fd = open(output, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		die_errno("cannot open %s", output);
	/* Whoever waits for the caller's pipes to close must not wait for us. */
	dup2(fd, STDIN_FILENO);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	close(fd);
	if (write(background->ready_fd, &port, sizeof(port)) != sizeof(port))
		die_errno("cannot report being ready");
	close(background->ready_fd);
}

static void note_end(int signal_number)
{
	(void)signal_number;
	told_to_end = 1;
}

void background_endable(void)
{
	struct sigaction action = {.sa_handler = note_end, .sa_flags = SA_RESTART};

	if (sigaction(SIGTERM, &action, NULL) < 0)
		die_errno("cannot prepare for being told to end");
}

bool background_ended(void)
{
	return told_to_end;
}

void background_poll(struct pollfd *pfds, nfds_t count, uint64_t until)
{
	uint64_t now = clock_now();
	uint64_t left = until > now ? until - now : 0;
	struct timespec timeout = {(time_t)(left / 1000000000), (long)(left % 1000000000)};
	sigset_t term, before;
	int status = 0;

	/* Blocked between the question and the sleep, so that the signal cannot come in between. */
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, &before);
	if (!told_to_end)
		status = ppoll(pfds, count, until == UINT64_MAX ? NULL : &timeout, &before);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (status < 0 && errno != EINTR)
		die_errno("cannot wait");
}
