/*
 * What waits for the host's word on the control port.
 *
 * later: one of this program's own commands, whose words come through the port. A template is saved
 * while its `later` waits; each clone's then goes on with its own words, without starting a
 * program. Says 'r' when it waits, 'd' when the command has succeeded, 'x' when not.
 *
 * await: the barrier before a measurement. Says 'r' on the control port when it stands at the
 * barrier, runs its program when it hears 'g', and says 'd' when the program has ended: so the host
 * need not ask the guest anything while something is measured. Must add nothing to the program's
 * own output.
 */
#include "workloads/guest/command.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
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

static int later_port = -1;

/* die() has ended the command: the host must not wait for it. */
static void say_failed(void)
{
	if (later_port >= 0 && write(later_port, "x", 1) != 1)
		_exit(1);
}

/* A byte from the port. A clone begins with no host at the other end (reads give 0 bytes): the
 * kernel tells by SIGIO when one has come. */
static void read_byte(int port, char *byte)
{
	const struct timespec second = {.tv_sec = 1};
	sigset_t io;
	ssize_t n;

	sigemptyset(&io);
	sigaddset(&io, SIGIO);
	while ((n = read(port, byte, 1)) != 1) {
		if (n < 0 && errno != EINTR)
			die_errno("cannot read the control port");
		if (n == 0)
			sigtimedwait(&io, NULL, &second);
	}
}

static void ask_for_signals(int port)
{
	sigset_t io;

	sigemptyset(&io);
	sigaddset(&io, SIGIO);
	sigprocmask(SIG_BLOCK, &io, NULL);
	if (fcntl(port, F_SETOWN, getpid()) < 0 ||
		fcntl(port, F_SETFL, fcntl(port, F_GETFL) | O_ASYNC) < 0)
		die_errno("cannot hear of the host's coming");
}

/* One line of words from the port; what is longer than `size` is refused. */
static void read_line(int port, char *line, size_t size)
{
	ask_for_signals(port);
	for (size_t used = 0; used < size; used++) {
		read_byte(port, line + used);
		if (line[used] == '\n') {
			line[used] = '\0';
			return;
		}
	}
	die("the host's line is longer than %zu bytes", size);
}

void command_later(int argc, char **argv)
{
	static char line[4096];
	char *words[64];
	char *rest = line, *word;
	int count = 0;

	options_parse(&(struct option_row){0}, argc, argv);
	later_port = open_port();
	atexit(say_failed);
	say(later_port, 'r');
	read_line(later_port, line, sizeof(line));
	while ((word = strsep(&rest, " ")) && count < 63) {
		if (*word)
			words[count++] = word;
	}
	words[count] = NULL;
	if (count == 0)
		die("later: the host named no command");
	run_command(count, words);
	say(later_port, 'd');
	later_port = -1;
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
