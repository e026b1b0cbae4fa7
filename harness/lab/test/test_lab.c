/* Labs in real namespaces: what runs inside sees only itself, and whoever dies, nothing is left. A
 * process in the lab holds a pipe open: its end proves the end of that process. Needs root. */
#include "harness/lab/test/in_lab.h"
#include "harness/lab/network.h"

#include <dirent.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>

/* A pipe out of the lab. The body writes a byte when it is up; end of file is the end of all. */
struct witness {
	int ours, theirs;
	int ask[2]; /* asks a settled body; -1 without one */
};

static struct witness witness_open(void)
{
	int pair[2];

	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	return (struct witness){pair[0], pair[1], {-1, -1}};
}

static void await_up(struct witness *witness)
{
	struct pollfd pfd = {.fd = witness->ours, .events = POLLIN};
	char byte;

	assert_int_equal(poll(&pfd, 1, TEST_TIMEOUT_MS), 1);
	assert_int_equal(read(witness->ours, &byte, 1), 1);
}

static void assert_all_ended(struct witness *witness)
{
	struct pollfd pfd = {.fd = witness->ours, .events = POLLIN};
	char byte;

	assert_int_equal(poll(&pfd, 1, TEST_TIMEOUT_MS), 1);
	assert_int_equal(read(witness->ours, &byte, 1), 0);
	close(take_fd(&witness->ours));
}

static int __attribute__((noreturn)) wait_for_ever(void)
{
	for (;;)
		pause();
}

/* The body: a child and a grandchild in a session of its own, which ignore what can be ignored. */
static int family(void *context)
{
	const struct witness *witness = context;

	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (fork() == 0) {
		if (fork() == 0) {
			setsid();
			if (write(witness->theirs, "u", 1) != 1)
				return 1;
		}
		return wait_for_ever();
	}
	return wait_for_ever();
}

static void open_family(struct witness *witness, struct lab *lab)
{
	struct lab_options options = {.name = "test", .body = family, .context = witness};

	*witness = witness_open();
	assert_ok(lab_open(&options, lab));
	close(take_fd(&witness->theirs));
	await_up(witness);
}

/* ---- what a lab is ---- */

static int sees_only_itself(void *context)
{
	DIR *dir = opendir("/proc");
	sigset_t blocked;
	int processes = 0;
	char name[64];

	(void)context;
	check(dir);
	for (struct dirent *entry; (entry = readdir(dir));)
		processes += isdigit((unsigned char)entry->d_name[0]) != 0;
	closedir(dir);
	check(processes == 2); /* the init and this one */
	check(getppid() == 1);
	check(sigprocmask(SIG_SETMASK, NULL, &blocked) == 0 && sigisemptyset(&blocked));
	check(gethostname(name, sizeof(name)) == 0 && strcmp(name, "test-lab") == 0);
	return 0;
}

static void the_body_sees_only_itself(void **state)
{
	skip_without_root();
	assert_int_equal(run_body(sees_only_itself, NULL, false), 0);
}

static int has_only_loopback(void *context)
{
	struct if_nameindex *devices = if_nameindex();
	_cleanup_free_ char *flags = NULL;
	_cleanup_free_ char *path = format_string("%s/sys/class/net/lo/flags", lab_dir());
	_cleanup_free_ char *host_device = format_string("%s/sys/class/net/host0", lab_dir());

	(void)context;
	check(devices && devices[0].if_name && strcmp(devices[0].if_name, "lo") == 0);
	check(!devices[1].if_name);
	if_freenameindex(devices);
	check((flags = fs_read_line(path)) && strtol(flags, NULL, 16) & IFF_UP);
	check(access(host_device, F_OK) < 0);
	return 0;
}

static void the_network_is_empty(void **state)
{
	skip_without_root();
	assert_int_equal(run_body(has_only_loopback, NULL, false), 0);
}

static int builds_a_network(void *context)
{
	static const struct link_spec links[] = {
		{"lan", "10.77.0.254/24", 0, 0}, {"other", NULL, 0, 0}};
	static const struct port_spec ports[] = {{"g0n0", "lan", NULL}, {"g0n1", "other", NULL}};
	static const struct port_spec lost[] = {{"g1n0", "nowhere", NULL}};
	uint64_t frames = 7, bytes = 7;

	(void)context;
	check(!network_create(links, 2, ports, 2));
	check(if_nametoindex("lan") && if_nametoindex("other") && if_nametoindex("g0n1"));
	check(!network_counters("g0n0", &frames, &bytes) && frames == 0 && bytes == 0);
	_cleanup_error_ struct error *unknown = network_counters("g9n0", &frames, &bytes);
	_cleanup_error_ struct error *nowhere = network_create(links, 0, lost, 1);
	_cleanup_error_ struct error *twice = network_create(links, 2, ports, 2);

	check(unknown && strstr(error_message(unknown), "g9n0"));
	check(nowhere && strstr(error_message(nowhere), "'nowhere'"));
	check(twice);
	return 0;
}

static void links_and_ports_are_made_and_vanish(void **state)
{
	skip_without_root();
	assert_int_equal(run_body(builds_a_network, NULL, false), 0);
}

static int shapes_a_link(void *context)
{
	static const struct link_spec links[] = {{"slow", NULL, 1000, 500}};
	static const struct port_spec ports[] = {{"g0n0", "slow", NULL}};
	const char *const try_netem[] = {"tc", "qdisc", "add", "dev", "lo", "root", "netem", NULL};
	const char *const show[] = {"tc", "qdisc", "show", "dev", "g0n0", NULL};
	_cleanup_error_ struct error *unknown = process_check(try_netem, NULL, SOON, NULL);
	_cleanup_error_ struct error *err = network_create(links, 1, ports, 1);
	_cleanup_free_ char *shape = NULL;

	(void)context;
	if (unknown) {
		check(err && strstr(error_message(err), "tc"));
		return 77;
	}
	check(!err && !process_check(show, NULL, SOON, &shape));
	check(strstr(shape, "netem") && strstr(shape, "rate 1Mbit") &&
		strstr(shape, "delay 500us"));
	return 0;
}

static void a_link_is_shaped(void **state)
{
	skip_without_root();
	int result = run_body(shapes_a_link, NULL, false);

	if (result == 77) {
		print_message("skipped: this kernel has no netem\n");
		skip();
	}
	assert_int_equal(result, 0);
}

static int writes_in_its_directory(void *context)
{
	_cleanup_free_ char *file = format_string("%s/%s", lab_dir(), "test-private");
	struct stat st;

	(void)context;
	check(access(file, F_OK) < 0); /* nothing of an earlier lab */
	check(!fs_write_atomic(file, "x", 1));
	check(stat(lab_dir(), &st) == 0 && (st.st_mode & 0777) == 0700);
	return 0;
}

static void the_directory_is_private_and_vanishes(void **state)
{
	skip_without_root();
	_cleanup_free_ char *file = format_string("%s/%s", lab_dir(), "test-private");

	for (int i = 0; i < 2; i++) {
		assert_int_equal(run_body(writes_in_its_directory, NULL, false), 0);
		assert_int_equal(access(file, F_OK), -1);
	}
}

static int cannot_use_kvm(void *context)
{
	(void)context;
	check(open("/dev/kvm", O_RDWR | O_CLOEXEC) < 0 && errno == EROFS);
	return 0;
}

static int can_open_kvm(void *context)
{
	(void)context;
	check(open("/dev/kvm", O_RDWR | O_CLOEXEC) >= 0);
	return 0;
}

static void kvm_is_hidden_when_asked(void **state)
{
	skip_without_root();
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		print_message("skipped: this host has no /dev/kvm to hide\n");
		skip();
	}
	close(fd);
	assert_int_equal(run_body(cannot_use_kvm, NULL, true), 0);
	assert_int_equal(run_body(can_open_kvm, NULL, false), 0);
	fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0); /* the host still has its own */
	close(fd);
}

static int returns_its_context(void *context)
{
	return *(int *)context;
}

static int dies_of_a_signal(void *context)
{
	return raise(*(int *)context);
}

static void the_end_of_the_body_is_told(void **state)
{
	skip_without_root();
	int status = 42, number = SIGKILL;

	assert_int_equal(run_body(returns_its_context, &status, false), 42);
	assert_int_equal(run_body(dies_of_a_signal, &number, false), 128 + SIGKILL);
}

static int leaves_orphans(void *context)
{
	const struct witness *witness = context;

	if (fork() == 0) {
		if (write(witness->theirs, "u", 1) != 1)
			return 1;
		return wait_for_ever();
	}
	return 0;
}

static void the_end_of_the_body_ends_its_children(void **state)
{
	skip_without_root();
	struct witness witness = witness_open();

	assert_int_equal(run_body(leaves_orphans, &witness, false), 0);
	close(take_fd(&witness.theirs));
	char bytes[2];

	assert_in_range(read(witness.ours, bytes, 2), 0, 1); /* it may have been quicker */
	assert_all_ended(&witness);
}

/* ---- whoever dies ---- */

static void killing_the_init_ends_everything(void **state)
{
	skip_without_root();
	struct witness witness;
	_cleanup_(lab_kill) struct lab lab;
	int status;

	open_family(&witness, &lab);
	assert_int_equal(kill(lab.init_pid, SIGKILL), 0);
	assert_all_ended(&witness);
	assert_true(lab_wait(&lab, SOON, &status));
	assert_int_equal(status, SIGKILL);
}

static void lab_kill_ends_everything(void **state)
{
	skip_without_root();
	struct witness witness;
	struct lab lab;
	int status;

	open_family(&witness, &lab);
	assert_false(lab_wait(&lab, deadline_after_ms(0), &status));
	lab_kill(&lab);
	assert_all_ended(&witness);
	lab_kill(&lab);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* and nothing is left to reap */
	assert_int_equal(errno, ECHILD);
}

/* The init's first child, by the host's eyes. */
static pid_t body_of(const struct lab *lab)
{
	_cleanup_free_ char *path =
		format_string("/proc/%d/task/%d/children", lab->init_pid, lab->init_pid);
	_cleanup_free_ char *text = fs_read_line(path);

	assert_non_null(text);
	return (pid_t)strtol(text, NULL, 10);
}

static void killing_the_body_ends_everything(void **state)
{
	skip_without_root();
	struct witness witness;
	_cleanup_(lab_kill) struct lab lab;
	int status;

	open_family(&witness, &lab);
	pid_t body = body_of(&lab);

	assert_true(body > 1);
	assert_int_equal(kill(body, SIGKILL), 0);
	assert_all_ended(&witness);
	assert_true(lab_wait(&lab, SOON, &status));
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 128 + SIGKILL);
}

static void letting_go_of_the_lab_ends_everything(void **state)
{
	skip_without_root();
	struct witness witness;
	_cleanup_(lab_kill) struct lab lab;
	int status;

	open_family(&witness, &lab);
	close(take_fd(&lab.alive_fd));
	assert_all_ended(&witness);
	assert_true(lab_wait(&lab, SOON, &status));
	assert_int_equal(WEXITSTATUS(status), 126);
}

/* Opens a lab in a process of its own, which is then killed. */
static pid_t open_in_a_child(bool detached, lab_body *body, struct witness *witness, pid_t *init)
{
	int pids[2];

	assert_int_equal(pipe2(pids, O_CLOEXEC), 0);
	pid_t opener = fork();

	if (opener == 0) {
		struct lab_options options = {
			.name = "test", .detached = detached, .body = body, .context = witness};
		struct lab lab;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (lab_open(&options, &lab) ||
			write(pids[1], &lab.init_pid, sizeof(lab.init_pid)) < 0)
			_exit(1);
		close(witness->theirs);
		_exit(wait_for_ever());
	}
	close(take_fd(&witness->theirs));
	close(pids[1]);
	assert_int_equal(read(pids[0], init, sizeof(*init)), sizeof(*init));
	close(pids[0]);
	await_up(witness);
	return opener;
}

static void killing_the_opener_ends_everything(void **state)
{
	skip_without_root();
	struct witness witness = witness_open();
	pid_t init, opener = open_in_a_child(false, family, &witness, &init);
	int status;

	assert_int_equal(kill(opener, SIGKILL), 0);
	assert_true(process_wait(opener, SOON, &status));
	assert_all_ended(&witness);
}

static void a_detached_lab_that_has_not_settled_ends_too(void **state)
{
	skip_without_root();
	struct witness witness = witness_open();
	pid_t init, opener = open_in_a_child(true, family, &witness, &init);
	int status;

	assert_int_equal(kill(opener, SIGKILL), 0);
	assert_true(process_wait(opener, SOON, &status));
	assert_all_ended(&witness);
}

/* Leaves a process to the init and returns once the init has reaped it. */
static void make_an_orphan(void)
{
	int pids[2];
	pid_t orphan = 0;

	if (pipe2(pids, O_CLOEXEC) < 0)
		_exit(1);
	pid_t parent = fork();

	if (parent == 0) {
		orphan = fork();
		if (orphan > 0 && write(pids[1], &orphan, sizeof(orphan)) < 0)
			_exit(1);
		_exit(0);
	}
	if (read(pids[0], &orphan, sizeof(orphan)) != sizeof(orphan))
		_exit(1);
	waitpid(parent, NULL, 0);
	while (kill(orphan, 0) == 0)
		sched_yield();
	close(pids[0]);
	close(pids[1]);
}

/* Settles, and when asked answers after the init has been through its loop: after the second orphan
 * it has looked at everything that was there when the first one ended. */
static int settled(void *context)
{
	const struct witness *witness = context;
	char byte = 'u';

	lab_settle();
	if (write(witness->theirs, &byte, 1) != 1 || read(witness->ask[0], &byte, 1) != 1)
		return 1;
	make_an_orphan();
	make_an_orphan();
	if (write(witness->theirs, &byte, 1) != 1)
		return 1;
	return wait_for_ever();
}

static void a_settled_lab_outlives_its_opener(void **state)
{
	skip_without_root();
	struct witness witness = witness_open();
	int status;

	assert_int_equal(pipe2(witness.ask, O_CLOEXEC), 0);
	pid_t init, opener = open_in_a_child(true, settled, &witness, &init);

	assert_int_equal(kill(opener, SIGKILL), 0);
	assert_true(process_wait(opener, SOON, &status));
	assert_int_equal(write(witness.ask[1], "?", 1), 1);
	await_up(&witness); /* its answer */
	assert_int_equal(kill(init, SIGKILL), 0);
	assert_all_ended(&witness);
	close(witness.ask[0]);
	close(witness.ask[1]);
}

/* ^C reaches the whole foreground group; ending the lab is the opener's business. */
static void an_interrupt_alone_does_not_end_a_lab(void **state)
{
	skip_without_root();
	struct witness witness;
	_cleanup_(lab_kill) struct lab lab;
	int status;

	open_family(&witness, &lab);
	assert_int_equal(kill(lab.init_pid, SIGINT), 0);
	assert_int_equal(kill(lab.init_pid, SIGTERM), 0);
	assert_false(lab_wait(&lab, deadline_after_ms(0), &status));
	lab_kill(&lab);
	assert_all_ended(&witness);
}

/* ---- refusal ---- */

static void without_rights_there_is_an_error_with_a_remedy(void **state)
{
	(void)state;
	struct lab_options options = {.name = "test", .body = family};
	pid_t pid;
	int status;

	if (geteuid() != 0) {
		print_message("skipped: rights can only be given up by root\n");
		skip();
	}
	assert_ok(fs_make_dirs(lab_dir()));
	pid = fork();
	if (pid == 0) {
		struct lab lab = {.init_pid = -7};

		if (setuid(65534) < 0)
			_exit(1);
		struct error *err = lab_open(&options, &lab);

		_exit(err && strstr(error_remedy(err), "run as root") && lab.init_pid == -7 ? 0
											    : 2);
	}
	assert_true(process_wait(pid, SOON, &status));
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		lab_test(the_body_sees_only_itself),
		lab_test(the_network_is_empty),
		lab_test(links_and_ports_are_made_and_vanish),
		lab_test(a_link_is_shaped),
		lab_test(the_directory_is_private_and_vanishes),
		lab_test(kvm_is_hidden_when_asked),
		lab_test(the_end_of_the_body_is_told),
		lab_test(the_end_of_the_body_ends_its_children),
		lab_test(killing_the_init_ends_everything),
		lab_test(lab_kill_ends_everything),
		lab_test(killing_the_body_ends_everything),
		lab_test(letting_go_of_the_lab_ends_everything),
		lab_test(killing_the_opener_ends_everything),
		lab_test(a_detached_lab_that_has_not_settled_ends_too),
		lab_test(a_settled_lab_outlives_its_opener),
		lab_test(an_interrupt_alone_does_not_end_a_lab),
		lab_test(without_rights_there_is_an_error_with_a_remedy),
	};

	return cmocka_run_group_tests(tests, enter_own_host, NULL);
}
