/* Namespaces and the lab's init: see lab.h. Must never leave anything behind on the host. */
#include "harness/lab/lab.h"
#include "harness/base/fs.h"
#include "harness/base/log.h"
#include "harness/base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define LAB_NAMESPACES (CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)

/* Ends of the two pipes between the opener and the init. */
struct wires {
	int alive[2]; /* held open by the opener; its hang-up ends the init */
	int setup[2]; /* the init reports its set-up: one byte 0, or an error text */
};

static char *lab_dir_path(void)
{
	_cleanup_free_ char *runtime = fs_runtime_dir();

	return format_string("%s/lab", runtime);
}

const char *lab_dir(void)
{
	static char *path;

	if (!path)
		path = lab_dir_path();
	return path;
}

/* Hides /dev/kvm behind an empty read-only file. It must look unusable even to root: libvirt learns
 * anew what QEMU can do, seconds each time, as long as it believes that KVM could be had. */
static struct error *mask_kvm(void)
{
	_cleanup_free_ char *empty = format_string("%s/no-kvm", lab_dir());

	if (access("/dev/kvm", F_OK) < 0)
		return NULL;
	try_(fs_write_atomic(empty, "", 0));
	if (mount(empty, "/dev/kvm", NULL, MS_BIND, NULL) < 0 ||
		mount(NULL, "/dev/kvm", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0)
		return error_errno(errno, "cannot hide /dev/kvm in the lab");
	return NULL;
}

static struct error *mount_private(const struct lab_options *options)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return error_errno(errno, "cannot make the lab's mounts private");
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return error_errno(errno, "cannot mount /proc in the lab");
	if (mount("lab", lab_dir(), "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700,size=90%") < 0)
		return error_errno(errno, "cannot mount a tmpfs on %s in the lab", lab_dir());
	_cleanup_free_ char *sys = format_string("%s/sys", lab_dir());

	/* Beside the host's /sys, which stays for cgroups and KSM: this one shows the lab's
	 * network. */
	if (mkdir(sys, 0755) < 0 ||
		mount("sysfs", sys, "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return error_errno(errno, "cannot mount the lab's sysfs on %s", sys);
	return options->mask_kvm ? mask_kvm() : NULL;
}

static struct error *lab_setup(const struct lab_options *options)
{
	try_(mount_private(options));
	if (sethostname(options->name, strlen(options->name)) < 0)
		return error_errno(errno, "cannot set the lab's hostname");
	const char *const lo_up[] = {"ip", "link", "set", "lo", "up", NULL};

	return process_check(lo_up, NULL, deadline_after_ms(10000), NULL);
}

/* Reaps children until `body` has ended and returns its exit status; ends early (and with it the
 * whole lab) when the opener is gone. */
static int reap_until(pid_t body, int alive_fd, const sigset_t *heeded)
{
	int signal_fd = signalfd(-1, heeded, SFD_CLOEXEC | SFD_NONBLOCK);

	if (signal_fd < 0)
		return 125;
	for (;;) {
		struct pollfd pfds[2] = {
			{.fd = signal_fd, .events = POLLIN},
			{.fd = alive_fd, .events = POLLIN},
		};
		struct signalfd_siginfo info;
		int status;
		pid_t pid;

		while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
			if (pid == body)
				return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
							   : WEXITSTATUS(status);
		}
		if (poll(pfds, 2, -1) < 0 && errno != EINTR)
			return 125;
		/* Signals first: lab_settle() comes before its opener's end, and both may be here
		 * now. */
		while (read(signal_fd, &info, sizeof(info)) > 0) {
			if (info.ssi_signo == SIGUSR1)
				alive_fd = -1;
		}
		if (alive_fd >= 0 && (pfds[1].revents & (POLLHUP | POLLERR)))
			return 126;
	}
}

/* Nobody who waits for the end of our opener's output shall wait for the lab. */
static void detach_from_terminal(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	cleanup_close(&null);
}

/* The lab's first process. */
static void __attribute__((noreturn))
lab_init(const struct lab_options *options, struct wires *wires)
{
	sigset_t heeded, before;
	struct error *err;
	pid_t body;

	if (options->detached)
		detach_from_terminal();
	else
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "fleetlab-lab");
	cleanup_close(&wires->alive[1]);
	cleanup_close(&wires->setup[0]);
	signal(SIGINT, SIG_IGN); /* ^C is the opener's business; it ends the lab in order */
	signal(SIGTERM, SIG_DFL);
	err = lab_setup(options);
	if (err) {
		dprintf(wires->setup[1], "E%s", error_message(err));
		_exit(125);
	}
	/* Before there is a body that could send one: an init loses signals that it does not block.
	 */
	sigemptyset(&heeded);
	sigaddset(&heeded, SIGCHLD);
	sigaddset(&heeded, SIGUSR1);
	sigprocmask(SIG_BLOCK, &heeded, &before);
	body = fork();
	if (body == 0) {
		sigprocmask(SIG_SETMASK, &before, NULL);
		cleanup_close(&wires->alive[0]);
		cleanup_close(&wires->setup[1]);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, "fleetlab-body");
		_exit(options->body(options->context));
	}
	if (body < 0 || write(wires->setup[1], "", 1) != 1)
		_exit(125);
	cleanup_close(&wires->setup[1]);
	wires->setup[1] = -1;
	_exit(reap_until(body, wires->alive[0], &heeded));
}

void lab_settle(void)
{
	kill(1, SIGUSR1);
}

static struct error *read_setup(int fd)
{
	char text[512];
	size_t used = 0;
	ssize_t n;

	while (used < sizeof(text) - 1 &&
		(n = read(fd, text + used, sizeof(text) - 1 - used)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		used += (size_t)n;
		if (text[0] == '\0')
			return NULL;
	}
	text[used] = '\0';
	return error_new(ERROR_SETUP, "cannot open a lab: %s",
		used > 1 ? text + 1 : "its first process ended at once");
}

static void wires_close(struct wires *wires)
{
	for (int i = 0; i < 2; i++) {
		cleanup_close(&wires->alive[i]);
		cleanup_close(&wires->setup[i]);
	}
}

struct error *lab_open(const struct lab_options *options, struct lab *lab)
{
	_cleanup_(wires_close) struct wires wires = {{-1, -1}, {-1, -1}};
	struct error *err;
	pid_t pid;

	try_(fs_make_dirs(lab_dir()));
	if (pipe2(wires.alive, O_CLOEXEC) < 0 || pipe2(wires.setup, O_CLOEXEC) < 0)
		return error_errno(errno, "cannot create the lab's pipes");
	pid = (pid_t)syscall(
		SYS_clone, (unsigned long)(LAB_NAMESPACES | SIGCHLD), NULL, NULL, NULL, 0);
	if (pid < 0 && errno == EPERM)
		return error_hint(error_errno(EPERM, "cannot create the lab's namespaces"),
			"run as root, or in a user namespace: unshare -r --map-auto fleetlab …");
	if (pid < 0)
		return error_errno(errno, "cannot create the lab's namespaces");
	if (pid == 0)
		lab_init(options, &wires);
	cleanup_close(&wires.setup[1]);
	wires.setup[1] = -1;
	err = read_setup(wires.setup[0]);
	if (err) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return err;
	}
	*lab = (struct lab){.init_pid = pid, .alive_fd = take_fd(&wires.alive[1])};
	return NULL;
}

static void lab_ended(struct lab *lab)
{
	cleanup_close(&lab->alive_fd);
	*lab = (struct lab){.init_pid = 0, .alive_fd = -1};
}

bool lab_wait(struct lab *lab, struct deadline deadline, int *status)
{
	if (lab->init_pid <= 0)
		return true;
	if (!process_wait(lab->init_pid, deadline, status))
		return false;
	lab_ended(lab);
	return true;
}

void lab_kill(struct lab *lab)
{
	if (lab->init_pid <= 0)
		return;
	kill(lab->init_pid, SIGKILL);
	while (waitpid(lab->init_pid, NULL, 0) < 0 && errno == EINTR)
		;
	lab_ended(lab);
}
