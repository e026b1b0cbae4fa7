/*
 * Running other programs: always by argument vector (never through a shell), always with a
 * deadline, and always reaped. A program that outlives its deadline is killed with its process
 * group.
 */
#pragma once

#include "harness/base/clock.h"
#include "harness/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct process_result {
	int exit_status; /* 0–255, or 128 + signal number */
	char *output;	 /* what it wrote to stdout, NUL-terminated, owned by the caller */
	size_t output_size;
	char *errors; /* the same for stderr, at most its first 64 KiB */
};

void process_result_deinit(struct process_result *result);

/* Runs argv[0] (searched in PATH) to its end, with `input` (may be NULL) as its standard input.
 * Success means that it could be run and ended in time: look at exit_status. `max_output` bounds
 * what is kept of stdout; more is an error. */
struct error *process_run(const char *const argv[], const char *input, size_t max_output,
	struct deadline deadline, struct process_result *result);

/* As process_run(), for a program whose failure is an error: the message carries its last line of
 * stderr. `output` may be NULL; else it is owned by the caller. */
struct error *process_check(
	const char *const argv[], const char *input, struct deadline deadline, char **output);

/* True when an executable of this name is in PATH. */
bool process_in_path(const char *name);

/* Waits for a child until the deadline; false when it still runs then. `status` is as of
 * waitpid(2). */
bool process_wait(pid_t pid, struct deadline deadline, int *status);
