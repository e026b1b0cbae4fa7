/*
 * Where a program of a host-side workload runs: in the lab, in a machine of it, or in a guest
 * through its agent. What is started here ends with the lab or with the guest at the latest.
 */
#pragma once

#include "harness/fleet/agent.h"
#include "harness/lab/machine.h"

/* All borrowed. */
struct place {
	const char *name; /* for messages */
	const char *dir;  /* a directory there for keys, logs and the like; made if missing */
	const struct machine *machine; /* NULL: the lab itself */
	struct agent *agent; /* not NULL: in this guest; `machine` does not count then. Used by one
				thread at a time */
};

/* Runs argv to its end there; stdout and stderr as text in `result`. Success means that it could be
 * run and ended in time: look at exit_status. */
struct error *place_run(const struct place *place, const char *const argv[],
	struct deadline deadline, struct exec_result *result);

/* As place_run(), for a program whose failure is an error, which tells its last line of stderr. */
struct error *place_check(
	const struct place *place, const char *const argv[], struct deadline deadline);

/* Writes a file there, readable by its owner only, and its directory. */
struct error *place_write(const struct place *place, const char *path, const void *data,
	size_t size, struct deadline deadline);

/* A program in the background. */
struct place_process {
	const struct place *place;
	int64_t pid; /* in the PID namespace of its place; 0: none */
	char *what;  /* for messages */
	char *log;   /* path there of what it prints, stdout and stderr */
	bool ended;
	int exit_status; /* once it has ended: 0–255, or 128 + signal number */
};

/* Starts argv there, its output in place->dir/NAME.log. */
struct error *place_start(const struct place *place, const char *name, const char *const argv[],
	struct deadline deadline, struct place_process *process);

/* Waits until it has printed `text`. An error, with its last line, when it ends before. */
struct error *place_await(
	struct place_process *process, const char *text, struct deadline deadline);

/* Waits for its end; `output` (all it has printed) is owned by the caller. */
struct error *place_finish(
	struct place_process *process, struct deadline deadline, int *exit_status, char **output);

/* CPU seconds of it, of what lives below it and of what those have reaped. */
struct error *place_cpu_time(
	const struct place_process *process, struct deadline deadline, double *seconds);

/* Ends it if it still runs, by SIGTERM and at the deadline by SIGKILL, and forgets it. */
void place_stop(struct place_process *process, struct deadline deadline);
