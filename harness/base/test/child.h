/* Children of a test: one that holds something until it is killed, one that is a process apart. */
#pragma once

#include "harness/base/process.h"
#include "harness/base/test/support.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* What such a child returns where the test would need to be root. */
#define CHILD_SKIPS 77

/* Runs `body` in a child, which must return 0; else the number says where it went wrong. */
static inline void in_a_child(int (*body)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(body());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_SKIPS) {
		print_message("skipped: mounting needs root\n");
		skip();
	}
	assert_int_equal(status, 0);
}

/* A child that takes something, has said so when this returns, and holds it until it is killed. */
static inline pid_t child_holding(struct error *(*take)(const void *what), const void *what)
{
	int pipes[2];
	char byte = 0;
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (take(what) || write(pipes[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(pipes[1]);
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	close(pipes[0]);
	return pid;
}

static inline void child_kill(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	assert_true(process_wait(pid, deadline_after_ms(TEST_TIMEOUT_MS), &status));
}
