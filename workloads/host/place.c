/* Running programs here or in a guest: see place.h. */
#include "workloads/host/place.h"
#include "harness/base/fs.h"
#include "harness/base/process.h"
#include "harness/lab/cpu_time.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define MAX_OUTPUT ((size_t)16 << 20)

enum { MAX_WORDS = 128, FIRST_INTERVAL_MS = 2, LAST_INTERVAL_MS = 50 };

/* Puts what brings a command to its place before it. */
static struct error *local_argv(
	const struct place *place, const char *const argv[], const char *words[MAX_WORDS])
{
	size_t used = machine_prefix(place->machine, words);

	for (size_t i = 0; argv[i]; i++) {
		if (used + 1 >= MAX_WORDS)
			return error_new(ERROR_INTERNAL, "%s: too many words", argv[0]);
		words[used++] = argv[i];
	}
	words[used] = NULL;
	return NULL;
}

struct error *place_run(const struct place *place, const char *const argv[],
	struct deadline deadline, struct exec_result *result)
{
	struct process_result local;
	const char *words[MAX_WORDS];

	if (place->agent)
		return agent_exec(place->agent, argv, NULL, 0, deadline, result);
	try_(local_argv(place, argv, words));
	try_(process_run(words, NULL, MAX_OUTPUT, deadline, &local));
	*result = (struct exec_result){
		.exit_status = local.exit_status,
		.output = local.output,
		.output_size = local.output_size,
		.errors = local.errors,
		.errors_size = strlen(local.errors),
	};
	return NULL;
}

/* The last line that says something; cut off within `text`. */
static const char *last_line(char *text)
{
	size_t end = strlen(text);

	while (end > 0 && strchr("\r\n ", text[end - 1]))
		text[--end] = '\0';
	char *line = strrchr(text, '\n');

	return line ? line + 1 : text;
}

struct error *place_check(
	const struct place *place, const char *const argv[], struct deadline deadline)
{
	_cleanup_(exec_result_deinit) struct exec_result result = {0};

	try_(place_run(place, argv, deadline, &result));
	if (result.exit_status == 0)
		return NULL;
	return error_new(place->agent ? ERROR_GUEST : ERROR_SETUP,
		"'%s' in %s failed with status %d: %s", argv[0], place->name, result.exit_status,
		last_line(result.errors));
}

static struct error *make_dir(const struct place *place, struct deadline deadline)
{
	const char *const argv[] = {"/bin/mkdir", "-p", place->dir, NULL};

	return place->agent ? place_check(place, argv, deadline) : fs_make_dirs(place->dir);
}

struct error *place_write(const struct place *place, const char *path, const void *data,
	size_t size, struct deadline deadline)
{
	const char *const protect[] = {"/bin/chmod", "600", path, NULL};

	try_(make_dir(place, deadline));
	if (place->agent) {
		try_(agent_file_write(place->agent, path, data, size, deadline));
		return place_check(place, protect, deadline);
	}
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		return error_errno(errno, "cannot create %s", path);
	return fs_write_all(fd, data, size, path);
}

/* ---- in the background ---- */

static void __attribute__((noreturn))
exec_logged(const struct place *place, const char *const argv[], int output)
{
	int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
	sigset_t none;

	setpgid(0, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(input, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	if (machine_enter(place->machine) == 0)
		execvp(argv[0], (char *const *)argv);
	dprintf(STDERR_FILENO, "cannot run %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* The log is there and empty before the program runs: who waits for its words must not read those
 * of an earlier one. */
static struct error *start_here(
	const struct place *place, const char *const argv[], const char *log, int64_t *pid)
{
	_cleanup_close_ int output =
		open(log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);

	if (output < 0)
		return error_errno(errno, "cannot create %s", log);
	*pid = fork();
	if (*pid == 0)
		exec_logged(place, argv, output);
	return *pid < 0 ? error_errno(errno, "cannot start %s", argv[0]) : NULL;
}

/* The guest's shell becomes the program, so the agent's pid is the program's. */
static struct error *start_in_guest(const struct place *place, const char *const argv[],
	const char *log, struct deadline deadline, int64_t *pid)
{
	const char *words[MAX_WORDS] = {
		"/bin/sh", "-c", "log=$1; shift; exec \"$@\" >\"$log\" 2>&1", "sh", log};
	size_t used = 5;

	for (size_t i = 0; argv[i]; i++) {
		if (used + 1 >= MAX_WORDS)
			return error_new(ERROR_INTERNAL, "%s: too many words", argv[0]);
		words[used++] = argv[i];
	}
	try_(agent_file_write(place->agent, log, "", 0, deadline));
	return agent_exec_start(place->agent, words, NULL, 0, deadline, pid);
}

struct error *place_start(const struct place *place, const char *name, const char *const argv[],
	struct deadline deadline, struct place_process *process)
{
	struct place_process made = {.place = place};
	struct error *err = make_dir(place, deadline);

	if (err)
		return err;
	made.log = format_string("%s/%s.log", place->dir, name);
	made.what = format_string("%s in %s", name, place->name);
	err = place->agent ? start_in_guest(place, argv, made.log, deadline, &made.pid)
			   : start_here(place, argv, made.log, &made.pid);
	if (err) {
		free(made.what);
		free(made.log);
		return err;
	}
	*process = made;
	return NULL;
}

/* Notes the end of a child of ours; waits for it up to `timeout_ms`. */
static void poll_child(struct place_process *process, int timeout_ms)
{
	int status;

	if (!process_wait((pid_t)process->pid, deadline_after_ms(timeout_ms), &status))
		return;
	process->ended = true;
	process->exit_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Notes the end of the program, for which it waits up to `timeout_ms`. A guest has no event for it:
 * asking now and then is the only way. */
static struct error *poll_end(
	struct place_process *process, int timeout_ms, struct deadline deadline)
{
	_cleanup_(exec_result_deinit) struct exec_result result = {0};
	bool ended;

	if (process->ended)
		return NULL;
	if (!process->place->agent) {
		poll_child(process, timeout_ms);
		return NULL;
	}
	poll(NULL, 0, timeout_ms);
	try_(agent_exec_poll(process->place->agent, process->pid, deadline, &ended, &result));
	if (ended) {
		process->ended = true;
		process->exit_status = result.exit_status;
	}
	return NULL;
}

static struct error *read_log(
	const struct place_process *process, struct deadline deadline, char **text)
{
	size_t size;

	if (process->place->agent)
		return agent_file_read(
			process->place->agent, process->log, MAX_OUTPUT, deadline, text, &size);
	return fs_read(process->log, MAX_OUTPUT, text, NULL);
}

struct error *place_await(struct place_process *process, const char *text, struct deadline deadline)
{
	int interval_ms = FIRST_INTERVAL_MS;

	for (;;) {
		_cleanup_free_ char *printed = NULL;
		bool had_ended = process->ended;

		try_(read_log(process, deadline, &printed));
		if (strstr(printed, text))
			return NULL;
		if (had_ended)
			return error_new(process->place->agent ? ERROR_GUEST : ERROR_SETUP,
				"%s ended with status %d: %s", process->what, process->exit_status,
				last_line(printed));
		if (deadline_passed(deadline))
			return error_new(ERROR_TIMEOUT,
				"deadline passed while waiting for '%s' from %s; it said: %s", text,
				process->what, last_line(printed));
		try_(poll_end(process, interval_ms, deadline));
		interval_ms =
			interval_ms * 2 < LAST_INTERVAL_MS ? interval_ms * 2 : LAST_INTERVAL_MS;
	}
}

struct error *place_finish(
	struct place_process *process, struct deadline deadline, int *exit_status, char **output)
{
	while (!process->ended) {
		int left = deadline_left_ms(deadline);

		if (left == 0)
			return error_new(ERROR_TIMEOUT,
				"deadline passed while waiting for the end of %s", process->what);
		try_(poll_end(
			process, left < LAST_INTERVAL_MS ? left : LAST_INTERVAL_MS, deadline));
	}
	try_(read_log(process, deadline, output));
	*exit_status = process->exit_status;
	return NULL;
}

struct error *place_cpu_time(
	const struct place_process *process, struct deadline deadline, double *seconds)
{
	/* Processes that end meanwhile make cat complain, and nothing else. */
	const char *const list[] = {
		"/bin/sh", "-c", "cat /proc/[0-9]*/stat 2>/dev/null; true", NULL};
	_cleanup_(exec_result_deinit) struct exec_result result = {0};
	pid_t pid = (pid_t)process->pid;

	if (!process->place->agent)
		return cpu_time_processes(&pid, 1, seconds);
	try_(place_run(process->place, list, deadline, &result));
	return cpu_time_listing(result.output, &pid, 1, seconds);
}

static void send_signal(const struct place_process *process, int number, struct deadline deadline)
{
	_cleanup_free_ char *option = format_string("-%d", number);
	_cleanup_free_ char *pid = format_string("%lld", (long long)process->pid);
	const char *const argv[] = {"/bin/sh", "-c", "kill $0 $1", option, pid, NULL};

	if (process->place->agent)
		error_destroy(place_check(process->place, argv, deadline));
	else
		kill((pid_t)process->pid, number);
}

void place_stop(struct place_process *process, struct deadline deadline)
{
	_cleanup_free_ char *output = NULL;
	int status;

	if (!process->what)
		return;
	if (process->pid > 0 && !process->ended) {
		send_signal(process, SIGTERM, deadline);
		struct error *err = place_finish(process, deadline, &status, &output);

		if (err && error_kind(err) == ERROR_TIMEOUT && !process->place->agent) {
			send_signal(process, SIGKILL, deadline);
			poll_child(process, LAST_INTERVAL_MS);
		}
		error_destroy(err);
	}
	free(process->what);
	free(process->log);
	*process = (struct place_process){0};
}
