/* Going to the background: see background.h. */
#include "workloads/guest/background.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "workloads/guest/json.h"

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
