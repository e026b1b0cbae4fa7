/*
 * collect: ends a command that runs in the background and prints what it has found. Must never
 * signal a process that is not this program.
 */
#include "workloads/guest/command.h"
#include "workloads/shm/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A process that has ended may have left its number to another. */
static bool is_ours(uint64_t pid)
{
	struct stat own, its;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/exe", pid);
	return stat("/proc/self/exe", &own) == 0 && stat(path, &its) == 0 &&
	       own.st_dev == its.st_dev && own.st_ino == its.st_ino;
}

/* A descriptor that becomes readable when the process ends; -1 when it has ended. */
static int open_process(uint64_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);

	if (fd < 0 && errno != ESRCH)
		die_errno("cannot watch process %" PRIu64, pid);
	if (fd >= 0 && !is_ours(pid)) {
		close(fd);
		return -1;
	}
	return fd;
}

static void await_end(int fd, uint64_t pid, uint64_t deadline_ms)
{
	uint64_t deadline = deadline_in_ms(deadline_ms);
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	for (;;) {
		uint64_t now = clock_now();
		uint64_t left = now < deadline ? (deadline - now) / 1000000 + 1 : 0;
		int ready = poll(&pfd, 1, (int)left);

		if (ready > 0)
			return;
		if (ready < 0 && errno != EINTR)
			die_errno("cannot wait for process %" PRIu64, pid);
		if (ready == 0)
			die("process %" PRIu64 " has not ended within %" PRIu64 " ms", pid,
				deadline_ms);
	}
}

static void print_file(const char *path)
{
	char bytes[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t total = 0;
	ssize_t got;

	if (fd < 0)
		die_errno("cannot read %s", path);
	while ((got = read(fd, bytes, sizeof(bytes))) > 0)
		total += fwrite(bytes, 1, (size_t)got, stdout);
	if (got < 0)
		die_errno("cannot read %s", path);
	close(fd);
	if (!total)
		die("%s is empty: the command ended without a result", path);
	fflush(stdout);
}

void command_collect(int argc, char **argv)
{
	uint64_t pid = 0, deadline_ms = 10000;
	const char *output = NULL;
	bool wait = false;
	const struct option_row rows[] = {
		{"pid", OPTION_NUMBER, &pid, 1, INT32_MAX, "of the command, as it printed"},
		{"output", OPTION_TEXT, &output, 0, 0, "the file that its --output named"},
		{"wait", OPTION_FLAG, &wait, 0, 0, "let it end by itself"},
		{"deadline-ms", OPTION_NUMBER, &deadline_ms, 1, INT32_MAX,
			"how long that may take (10000)"},
		{0},
	};
	int fd;

	options_parse(rows, argc, argv);
	if (!pid || !output)
		die("--pid and --output: which command's result?");
	fd = open_process(pid);
	if (fd >= 0) {
		if (!wait && syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0) < 0 &&
			errno != ESRCH)
			die_errno("cannot tell process %" PRIu64 " to end", pid);
		await_end(fd, pid, deadline_ms);
		close(fd);
	}
	print_file(output);
}
