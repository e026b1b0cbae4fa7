/* The role `fleetlab peer`: a lab with one stack for a fleetlab on another machine, which has
 * started it by ssh and ends it by the end of its input. Not for people. */
#include "harness/cmd/command.h"
#include "harness/base/fs.h"
#include "harness/base/jsonline.h"
#include "harness/base/version.h"
#include "harness/host/facts.h"
#include "harness/host/lock.h"
#include "harness/host/proc.h"
#include "harness/host/qemu.h"
#include "harness/lab/lab.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
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

/* Until the end of our input, of the lab or of the time, whichever is first: an end that has lost
 * its power says nothing. */
static void wait_for_end(const struct lab *lab, struct deadline deadline)
{
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, lab->init_pid, 0);
	struct pollfd pfds[2] = {
		{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};
	char ignored[256];

	while (!deadline_passed(deadline)) {
		int ready = poll(pfds, 2, deadline_left_ms(deadline));

		if (ready == 0 || (ready < 0 && errno == EINTR))
			continue;
		if (pfds[1].revents || read(STDIN_FILENO, ignored, sizeof(ignored)) <= 0)
			return;
	}
}

/* sshd's process, from which all here descends: it starts a session for the shell, or whatever that
 * has become. */
static pid_t session_parent(void)
{
	struct proc_stat stat;

	return proc_read_stat(getsid(0), &stat) && stat.parent > 0 ? stat.parent : getppid();
}

struct words {
	int64_t lifetime_ms;
	const char *from; /* the boot id of who asks */
};

static struct error *parse(int argc, char **argv, struct words *words)
{
	static const struct option options[] = {
		{"for", required_argument, NULL, 'f'}, {"from", required_argument, NULL, 'b'}, {0}};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'f')
			words->lifetime_ms = 1000 * strtoll(optarg, NULL, 10);
		else if (option == 'b')
			words->from = optarg;
		else
			return command_bad_option(argc, argv);
	}
	if (optind < argc || words->lifetime_ms <= 0 || !words->from)
		return error_new(ERROR_USAGE, "peer: wants --for SECONDS --from BOOT-ID");
	return NULL;
}

static struct error *run(int argc, char **argv, int *exit_status)
{
	_cleanup_(accelerator_deinit) struct accelerator accelerator = {0};
	_cleanup_(lab_kill) struct lab lab = {.alive_fd = -1};
	struct deadline deadline = deadline_after_ms(PROBE_TIMEOUT_MS);
	_cleanup_free_ char *boot = fs_read_line("/proc/sys/kernel/random/boot_id");
	_cleanup_host_lock_ struct host_lock *lock = NULL;
	_cleanup_json_ json_t *host = NULL;
	struct words words = {0};
	bool is_here;
	int ready[2];
	char byte;

	(void)exit_status;
	try_(parse(argc, argv, &words));
	is_here = boot && strcmp(boot, words.from) == 0;
	/* Where both ends are one host, the run there has its lock. */
	if (!is_here)
		try_(host_lock_acquire("the peer of another host", deadline_after_ms(0), &lock));
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
		json_pack("{s:s, s:i, s:i, s:s, s:b, s:O}", "version", version, "session",
			(int)session_parent(), "init", (int)lab.init_pid, "directory", lab_dir(),
			"is_here", (int)is_here, "host", host),
		"the other machine"));
	wait_for_end(&lab, deadline_after_ms(words.lifetime_ms));
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
