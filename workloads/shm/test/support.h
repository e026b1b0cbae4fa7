/*
 * For the guest library's tests: a region in a scratch file, and members that are processes. A
 * child that finds something wrong says so and exits with a status the parent sees.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <cmocka.h>

#include "workloads/shm/clock.h"
#include "workloads/shm/members.h"

#define PAGES 65
#define DEADLINE_MS 20000
#define PEER_TIMEOUT_MS 400

struct scratch {
	char directory[64];
	char file[80];
};

static inline int scratch_setup(void **state)
{
	struct scratch *scratch = calloc(1, sizeof(*scratch));
	int fd;

	alarm(120); /* a test that hangs is a failure too */
	strcpy(scratch->directory, "/tmp/shm-test-XXXXXX");
	if (!mkdtemp(scratch->directory))
		return -1;
	snprintf(scratch->file, sizeof(scratch->file), "%s/region", scratch->directory);
	fd = open(scratch->file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, PAGES * REGION_PAGE) < 0)
		return -1;
	close(fd);
	*state = scratch;
	return 0;
}

static inline int scratch_teardown(void **state)
{
	struct scratch *scratch = *state;
	char path[100];

	for (int i = 0; i < REGION_MEMBERS; i++) {
		snprintf(path, sizeof(path), "%s.bell%d", scratch->file, i);
		unlink(path);
	}
	unlink(scratch->file);
	rmdir(scratch->directory);
	free(scratch);
	alarm(0);
	return 0;
}

static inline struct region_options scratch_options(
	const struct scratch *scratch, unsigned int member, bool doorbell)
{
	return (struct region_options){
		.file = scratch->file,
		.member = member,
		.doorbell = doorbell,
		.spin_ns = 5000, /* short, so that the tests do wait */
		.peer_timeout_ms = PEER_TIMEOUT_MS,
	};
}

static inline struct region *scratch_open(void **state, unsigned int member, bool doorbell)
{
	struct region_options options = scratch_options(*state, member, doorbell);
	struct region *region = NULL;

	if (region_open(&options, &region) != SHM_OK)
		fail_msg("%s", shm_message());
	return region;
}

/* What a test's child does; `context` is the test's own. */
typedef void (*member_function)(struct region *region, void *context);

#define child_check(condition)                                                                     \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition,        \
				shm_message());                                                    \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

/*
 * A process that is `member`; ends with its parent, whatever happens. To be started before the
 * parent opens a region itself: its heartbeat is a thread, and a fork would copy the locks that
 * thread may be holding (the address sanitizer's allocator has some).
 */
static inline pid_t start_member(
	void **state, unsigned int member, bool doorbell, member_function function, void *context)
{
	struct region_options options = scratch_options(*state, member, doorbell);
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct region *region;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		child_check(region_open(&options, &region) == SHM_OK);
		function(region, context);
		region_close(region);
		_exit(0);
	}
	return pid;
}

/* Waits for a word in the region to become `value`; fails when the child has ended before. */
static inline void await_word(const _Atomic uint32_t *word, uint32_t value, pid_t pid)
{
	while (atomic_load(word) != value) {
		assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
		sched_yield();
	}
}

static inline void expect_success(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static inline void end_member(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}
