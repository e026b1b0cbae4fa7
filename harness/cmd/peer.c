/* The role `fleetlab peer`: a lab with one stack for a fleetlab on another machine, which has
 * started it by ssh and ends it by the end of its input. Not for people. */
#include "harness/cmd/command.h"
#include "harness/base/fs.h"
#include "harness/base/jsonline.h"
#include "harness/base/version.h"
#include "harness/host/facts.h"
#include "harness/host/qemu.h"
#include "harness/lab/lab.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>

enum { PROBE_TIMEOUT_MS = 120000 };

/* Becomes the stack; what asks it comes in through the lab's directory. */
static int become_stack(void *context)
{
	_cleanup_free_ char *socket = format_string("%s/stack0.sock", lab_dir());
	_cleanup_free_ char *root = format_string("%s/stack0", lab_dir());
	_cleanup_free_ char *logs = format_string("%s/log", lab_dir());
	int fd, ready = *(int *)context;
	struct error *err = fs_make_dirs(logs); /* of QEMUs */

	if (!err)
		err = unix_listen(socket, &fd);
	if (err) {
		error_destroy(err);
		return 1;
	}
	_cleanup_free_ char *number = format_string("%d", fd);

	fcntl(fd, F_SETFD, 0);
	if (write(ready, "r", 1) != 1)
		return 1;
	execl("/proc/self/exe", "fleetlab", "stack", "--root", root, "--listen-fd", number,
		(char *)NULL);
	return 127;
}

/* Until the end of our input or of the lab, whichever is first. */
static void wait_for_end(const struct lab *lab)
{
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, lab->init_pid, 0);
	struct pollfd pfds[2] = {
		{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};
	char ignored[256];

	for (;;) {
		if (poll(pfds, 2, -1) < 0 && errno == EINTR)
			continue;
		if (pfds[1].revents || read(STDIN_FILENO, ignored, sizeof(ignored)) <= 0)
			return;
	}
}

static struct error *run(int argc, char **argv, int *exit_status)
{
	_cleanup_(accelerator_deinit) struct accelerator accelerator = {0};
	_cleanup_(lab_kill) struct lab lab = {.alive_fd = -1};
	struct deadline deadline = deadline_after_ms(PROBE_TIMEOUT_MS);
	_cleanup_json_ json_t *host = NULL;
	int ready[2];
	char byte;

	(void)argv;
	(void)exit_status;
	if (argc > 1)
		return error_new(ERROR_USAGE, "peer: takes no arguments");
	try_(accelerator_find(QEMU_DEFAULT, NULL, deadline, &accelerator));
	try_(host_facts(QEMU_DEFAULT, &accelerator, deadline, &host));
	if (pipe2(ready, O_CLOEXEC) < 0)
		return error_errno(errno, "cannot create a pipe");
	const struct lab_options options = {.name = "fleetlab-peer",
		.mask_kvm = strcmp(accelerator.name, "kvm") != 0,
		.body = become_stack,
		.context = &ready[1]};

	try_(lab_open(&options, &lab));
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		return error_new(ERROR_SETUP, "the peer's stack did not start");
	_cleanup_free_ char *version = format_string("%s %s", fleetlab_version, fleetlab_commit);
	try_(jsonline_send(STDOUT_FILENO,
		json_pack("{s:s, s:i, s:i, s:O}", "version", version, "session", (int)getppid(),
			"init", (int)lab.init_pid, "host", host),
		"the other machine"));
	wait_for_end(&lab);
	lab_kill(&lab);
	/* Whoever hears this knows that nothing is left; often nobody is there any more. */
	error_destroy(
		jsonline_send(STDOUT_FILENO, json_pack("{s:b}", "ended", 1), "the other machine"));
	return NULL;
}

const struct command command_peer = {
	.name = "peer",
	.arguments = "",
	.help = "Serves a stack to another machine; started by fleetlab itself, over ssh.\n",
	.run = run,
};
