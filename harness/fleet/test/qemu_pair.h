/*
 * Two real QEMUs without a guest, and a stack before them that knows only "qmp": for what is asked
 * of QEMU itself when a guest moves. "src" stands stopped, "dst" waits for its state ("-incoming
 * defer"); they have the same RAM file and a port "plug0" for devices.
 */
#pragma once

#include "harness/base/test/support.h"
#include "harness/fleet/qmp.h"
#include "harness/fleet/stack.h"
#include "harness/host/proc.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define SOON deadline_after_ms(TEST_TIMEOUT_MS)

struct qemu_pair {
	struct {
		const char *name;
		pid_t pid;
		struct qmp *qmp;
	} sides[2];
	int listen_fd;
	pthread_t thread;
	struct stack *stack;
};

static inline json_t *pair_answer(struct qemu_pair *pair, json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "name"));
	const char *command = json_string_value(json_object_get(request, "command"));
	struct qmp *qmp = pair->sides[strcmp(name, "dst") == 0].qmp;
	json_t *result = NULL;
	_cleanup_error_ struct error *err = qmp_execute(
		qmp, command, json_incref(json_object_get(request, "arguments")), SOON, &result);

	return err ? json_pack("{s:s}", "error", error_message(err))
		   : json_pack("{s:o}", "result", result);
}

static inline void *pair_serve(void *context)
{
	struct qemu_pair *pair = context;
	_cleanup_close_ int fd = accept(pair->listen_fd, NULL, NULL);
	_cleanup_(jsonline_deinit) struct jsonline reader = {.fd = fd};

	for (;;) {
		_cleanup_json_ json_t *request = NULL;
		_cleanup_error_ struct error *err =
			jsonline_receive(&reader, "the test", SOON, &request);

		if (err || !request)
			return NULL;
		error_destroy(jsonline_send(fd, pair_answer(pair, request), "the test"));
	}
}

static inline pid_t start_qemu(const char *name, bool incoming, int *qmp_fd)
{
	_cleanup_free_ char *ram = format_string(
		"memory-backend-file,id=ram0,mem-path=%s/ram,size=32M,share=on", scratch);
	_cleanup_free_ char *log = scratch_path(name);
	int pair[2];
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(pair[1], 3);
		if (!freopen("/dev/null", "r", stdin) || !freopen(log, "w", stderr))
			_exit(126);
		execlp("qemu-system-x86_64", "qemu-system-x86_64", "-nodefaults", "-display",
			"none", "-machine", "q35,memory-backend=ram0", "-accel", "tcg", "-m", "32",
			"-object", ram, "-device", "pcie-root-port,id=plug0,chassis=64,addr=0x14",
			"-device", "pcie-root-port,id=plug1,chassis=65,addr=0x15", "-chardev",
			"socket,id=mon,fd=3", "-mon", "chardev=mon,mode=control", "-S",
			incoming ? "-incoming" : (char *)NULL, "defer", (char *)NULL);
		_exit(127);
	}
	assert_true(pid > 0);
	close(pair[1]);
	*qmp_fd = pair[0];
	return pid;
}

static inline void qemu_pair_start(struct qemu_pair *pair)
{
	static const char *const names[] = {"src", "dst"};
	_cleanup_free_ char *path = scratch_path("stack");

	*pair = (struct qemu_pair){.listen_fd = -1};
	for (int i = 0; i < 2; i++) {
		int fd;

		pair->sides[i].name = names[i];
		pair->sides[i].pid = start_qemu(names[i], i == 1, &fd);
		assert_ok(qmp_open(fd, names[i], SOON, &pair->sides[i].qmp));
	}
	assert_ok(unix_listen(path, &pair->listen_fd));
	assert_int_equal(pthread_create(&pair->thread, NULL, pair_serve, pair), 0);
	assert_ok(stack_connect(path, &pair->stack));
}

static inline void qemu_pair_end(struct qemu_pair *pair)
{
	_cleanup_free_ char *path = scratch_path("stack");

	unlink(path); /* for the next pair */
	if (pair->stack) {
		stack_disconnect(pair->stack);
		pthread_join(pair->thread, NULL);
		close(pair->listen_fd);
	}
	for (int i = 0; i < 2; i++) {
		qmp_close(pair->sides[i].qmp);
		if (pair->sides[i].pid > 0) {
			kill(pair->sides[i].pid, SIGKILL);
			waitpid(pair->sides[i].pid, NULL, 0);
		}
	}
}

#define _qemu_pair_ _cleanup_(qemu_pair_end) struct qemu_pair

/* Moves the state from "src" to "dst", leaving shared memory where it is. */
static inline struct error *qemu_pair_migrate(struct qemu_pair *pair)
{
	_cleanup_free_ char *uri = format_string("unix:%s/migration", scratch);

	for (int i = 0; i < 2; i++)
		try_(qmp_execute(pair->sides[i].qmp, "migrate-set-capabilities",
			json_pack("{s:[{s:s,s:b},{s:s,s:b}]}", "capabilities", "capability",
				"x-ignore-shared", "state", 1, "capability", "events", "state", 1),
			SOON, NULL));
	try_(qmp_execute(pair->sides[1].qmp, "migrate-incoming", json_pack("{s:s}", "uri", uri),
		SOON, NULL));
	try_(qmp_execute(
		pair->sides[0].qmp, "migrate", json_pack("{s:s}", "uri", uri), SOON, NULL));
	try_(qmp_wait_migration(pair->sides[0].qmp, SOON));
	return qmp_wait_migration(pair->sides[1].qmp, SOON);
}

/* An integer property, of "src" or "dst". */
static inline json_int_t qemu_property(
	struct qemu_pair *pair, int side, const char *path, const char *property)
{
	_cleanup_json_ json_t *value = NULL;

	assert_ok(qmp_execute(pair->sides[side].qmp, "qom-get",
		json_pack("{s:s, s:s}", "path", path, "property", property), SOON, &value));
	return json_integer_value(value);
}

/* Inode of the file called `name` that a side's QEMU has mapped; 0: none. */
static inline uint64_t qemu_mapped_inode(const struct qemu_pair *pair, int side, const char *name)
{
	_cleanup_free_ char *maps = NULL;
	struct proc_map map;
	uint64_t inode = 0;

	assert_ok(proc_read_maps(pair->sides[side].pid, &maps));
	for (const char *at = maps; proc_next_map(&at, &map);) {
		if (memmem(map.name, map.name_length, name, strlen(name)))
			inode = map.inode;
	}
	return inode;
}
