/*
 * The QEMU guest agent of one guest, over its UNIX socket. Its answers are hostile input: bounded,
 * type-checked, and never waited for beyond a deadline. One command at a time; not thread-safe.
 */
#pragma once

#include "harness/base/jsonline.h"

struct agent;

/* Connects and waits until the agent answers a guest-sync of ours: then the guest is up. */
struct error *agent_open(
	const char *socket_path, const char *guest, struct deadline deadline, struct agent **agent);
void agent_close(struct agent *agent);
DEFINE_CLEANUP(agent, struct agent *, agent_close)

/* The guest is reached by another socket from now on, connected as `fd` (taken over): it has been
 * moved. Answers to come from the old one are lost; the guest is asked nothing. */
void agent_switch(struct agent *agent, int fd);

/* Executes an agent command; takes over `arguments` (may be NULL); `result` may be NULL. */
struct error *agent_execute(struct agent *agent, const char *command, json_t *arguments,
	struct deadline deadline, json_t **result);

/* What a program in the guest did. */
struct exec_result {
	int exit_status; /* 0–255, or 128 + signal number */
	char *output;	 /* stdout: NUL-terminated, may hold NUL bytes; owned */
	size_t output_size;
	char *errors; /* stderr, likewise */
	size_t errors_size;
};

void exec_result_deinit(struct exec_result *result);

/* Starts a program (argv[0] is searched in the guest's PATH by its shell rules only if it is
 * absolute or found there by the agent); `input` may be NULL. */
struct error *agent_exec_start(struct agent *agent, const char *const argv[], const void *input,
	size_t input_size, struct deadline deadline, int64_t *pid);

/* Asks once whether the program has ended. */
struct error *agent_exec_poll(struct agent *agent, int64_t pid, struct deadline deadline,
	bool *ended, struct exec_result *result);

/* Starts a program and waits for its end, asking at growing intervals (5 ms … 200 ms). */
struct error *agent_exec(struct agent *agent, const char *const argv[], const void *input,
	size_t input_size, struct deadline deadline, struct exec_result *result);

/* Copies bytes into or out of a file of the guest. Reading is bounded by max_size. */
struct error *agent_file_write(struct agent *agent, const char *path, const void *data, size_t size,
	struct deadline deadline);
struct error *agent_file_read(struct agent *agent, const char *path, size_t max_size,
	struct deadline deadline, char **data, size_t *size);
