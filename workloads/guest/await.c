/*
 * await: the barrier before a measurement. Says 'r' on the control port when it stands at the
 * barrier, runs its program when it hears 'g', and says 'd' when the program has ended: so the host
 * need not ask the guest anything while something is measured. Must add nothing to the program's
 * own output.
 */
#include "workloads/guest/command.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORT_NAME "org.fleetlab.control.0"
#define PORTS "/sys/class/virtio-ports"

static int has_name(const char *entry)
{
	char path[300], name[64] = "";
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), PORTS "/%s/name", entry);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, name, sizeof(name) - 1);
	close(fd);
	return n >= (ssize_t)strlen(PORT_NAME) && strncmp(name, PORT_NAME, strlen(PORT_NAME)) == 0;
}

static int open_port(void)
{
	DIR *ports = opendir(PORTS);
	const struct dirent *entry;

	while (ports && (entry = readdir(ports))) {
		char path[300];
		int fd;

		if (entry->d_name[0] == '.' || !has_name(entry->d_name))
			continue;
		snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
		closedir(ports);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			die_errno("cannot open %s", path);
		return fd;
	}
	die("this guest has no port %s", PORT_NAME);
}

static void say(int port, char what)
{
	if (write(port, &what, 1) != 1)
		die_errno("cannot write to the control port");
}

static void wait_for_go(int port)
{
	char heard = 0;

	while (heard != 'g') {
		ssize_t n = read(port, &heard, 1);

		if (n == 0 || (n < 0 && errno != EINTR))
			die("the host has left the barrier");
	}
}

void command_await(int argc, char **argv)
{
	int first = argc > 1 && strcmp(argv[1], "--") == 0 ? 2 : 1;
	int port, status;
	pid_t child;

	if (first >= argc)
		die("await: which program?");
	port = open_port();
	say(port, 'r');
	wait_for_go(port);
	child = fork();
	if (child == 0) {
		execvp(argv[first], argv + first);
		die_errno("cannot run %s", argv[first]);
	}
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	say(port, 'd');
	if (child < 0)
		die("cannot start %s", argv[first]);
	_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}
