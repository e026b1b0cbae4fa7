/* Downloads before the first trial: see provide.h. A mechanism downloads in a process of its own,
 * so that ^C need not wait for it. */
#include "harness/engine/provide.h"
#include "harness/base/clock.h"
#include "harness/base/log.h"
#include "harness/engine/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* Mechanisms have deadlines of their own; this is for one that has hung. */
#define DEADLINE_MS 300000

void needs_add(struct needs *needs, const struct mechanism *mechanism, const char *name)
{
	for (size_t i = 0; i < needs->count; i++) {
		if (needs->items[i].mechanism == mechanism &&
			strcmp(needs->items[i].name, name) == 0)
			return;
	}
	if (needs->count < NEEDS_MAX)
		needs->items[needs->count++] = (struct need){mechanism, name};
}

/* The child's: says why it failed, or nothing. */
static void __attribute__((noreturn)) download(const struct need *need, int out)
{
	struct error *err;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	err = need->mechanism->provide(need->name);
	if (err && write(out, error_message(err), strlen(error_message(err))) < 0)
		_exit(2);
	_exit(err ? 1 : 0);
}

/* Reads what the child says until it has ended; false when it has not and must be ended. */
static bool listen_to(int fd, char *said, size_t room)
{
	struct deadline deadline = deadline_after_ms(DEADLINE_MS);
	size_t used = 0;

	while (!interrupted() && !deadline_passed(deadline)) {
		struct pollfd pfds[2] = {
			{.fd = fd, .events = POLLIN},
			{.fd = interrupt_fd(), .events = POLLIN},
		};
		ssize_t n;

		if (poll(pfds, 2, deadline_left_ms(deadline)) <= 0 || !pfds[0].revents)
			continue;
		n = read(fd, said + used, room - 1 - used);
		if (n <= 0)
			return true;
		used += (size_t)n;
		said[used] = '\0';
	}
	return false;
}

static struct error *provide(const struct need *need)
{
	char said[2048] = "";
	int pair[2], status = 0;
	bool ended;
	pid_t pid;

	if (pipe2(pair, O_CLOEXEC) < 0)
		return error_errno(errno, "cannot create a pipe for a download");
	pid = fork();
	if (pid == 0)
		download(need, pair[1]);
	close(pair[1]);
	ended = pid > 0 && listen_to(pair[0], said, sizeof(said));
	close(pair[0]);
	if (pid < 0)
		return error_errno(errno, "cannot start a download");
	if (!ended)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!ended && interrupted())
		return error_new(ERROR_INTERRUPTED, "interrupted");
	if (status != 0)
		log_warning("%s, which %s needs, could not be downloaded: %s", need->name,
			need->mechanism->name,
			*said	? said
			: ended ? "the download crashed"
				: "it did not end");
	return NULL;
}

struct error *needs_provide(const struct needs *needs)
{
	for (size_t i = 0; i < needs->count; i++)
		try_(provide(&needs->items[i]));
	return NULL;
}
