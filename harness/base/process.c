/* Running other programs: see process.h. */
#include "harness/base/process.h"
#include "harness/base/fs.h"
#include "harness/base/process_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define MAX_ERRORS (64 << 10)

void process_result_deinit(struct process_result *result)
{
	free(result->output);
	free(result->errors);
	*result = (struct process_result){0};
}

bool process_in_path(const char *name)
{
	const char *path = getenv("PATH");
	_cleanup_free_ char *copy =
		format_string("%s", path ? path : "/usr/sbin:/usr/bin:/sbin:/bin");
	char *save = NULL;

	if (strchr(name, '/'))
		return access(name, X_OK) == 0;
	for (char *dir = strtok_r(copy, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
		_cleanup_free_ char *candidate = format_string("%s/%s", dir, name);

		if (access(candidate, X_OK) == 0)
			return true;
	}
	return false;
}

bool process_wait(pid_t pid, struct deadline deadline, int *status)
{
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	while (pidfd >= 0) {
		struct pollfd pfd = {.fd = pidfd, .events = POLLIN};

		if (poll(&pfd, 1, deadline_left_ms(deadline)) > 0)
			break;
		if (deadline_passed(deadline))
			return false;
	}
	while (waitpid(pid, status, 0) < 0) {
		if (errno != EINTR)
			return false;
	}
	return true;
}

/* Reads what is there; closes the stream at its end. What exceeds `max` is dropped and noted. */
static void stream_read(struct process_stream *stream)
{
	char chunk[16384];
	ssize_t n = read(stream->fd, chunk, sizeof(chunk));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		close(stream->fd);
		stream->fd = -1;
		return;
	}
	if (stream->used + (size_t)n > stream->max) {
		stream->overflow = true;
		n = (ssize_t)(stream->max - stream->used);
	}
	if (stream->used + (size_t)n + 1 > stream->room) {
		stream->room = (stream->used + (size_t)n + 1) * 2;
		stream->data = realloc(stream->data, stream->room);
		if (!stream->data)
			abort();
	}
	memcpy(stream->data + stream->used, chunk, (size_t)n);
	stream->used += (size_t)n;
	stream->data[stream->used] = '\0';
}

static void __attribute__((noreturn)) child_exec(const char *const argv[], int in, int out, int err)
{
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpgid(0, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	execvp(argv[0], (char *const *)argv);
	_exit(127);
}

/* As write(2), but a reader that is gone is EPIPE only: the signal that comes with it would end a
 * process that merely started a program. */
static ssize_t write_without_signal(int fd, const char *data, size_t size)
{
	sigset_t pipe_signal, before, pending;
	ssize_t n;

	sigpending(&pending);
	sigemptyset(&pipe_signal);
	sigaddset(&pipe_signal, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
	n = write(fd, data, size);
	int written_errno = errno;

	if (n < 0 && written_errno == EPIPE && !sigismember(&pending, SIGPIPE)) {
		while (sigtimedwait(&pipe_signal, NULL, &(struct timespec){0}) < 0 &&
			errno == EINTR)
			;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = written_errno;
	return n;
}

struct pipes {
	int in[2], out[2], err[2];
};

static void pipes_close(struct pipes *pipes)
{
	for (int i = 0; i < 2; i++) {
		cleanup_close(&pipes->in[i]);
		cleanup_close(&pipes->out[i]);
		cleanup_close(&pipes->err[i]);
	}
}

bool process_pump(int in, const char *input, struct process_stream *out, struct process_stream *err,
	struct deadline deadline)
{
	size_t left = input ? strlen(input) : 0;

	fcntl(in, F_SETFL, O_NONBLOCK);
	while (out->fd >= 0 || err->fd >= 0) {
		struct pollfd pfds[3] = {
			{.fd = out->fd, .events = POLLIN},
			{.fd = err->fd, .events = POLLIN},
			{.fd = left ? in : -1, .events = POLLOUT},
		};

		if (!left && in >= 0) {
			close(in);
			in = -1;
		}
		poll(pfds, 3, deadline_left_ms(deadline));
		if (deadline_passed(deadline)) /* also where there is always something to read */
			break;
		if (pfds[0].revents)
			stream_read(out);
		if (pfds[1].revents)
			stream_read(err);
		if (pfds[2].revents) {
			ssize_t n = write_without_signal(in, input, left);

			if (n > 0) {
				input += n;
				left -= (size_t)n;
			} else if (errno != EAGAIN && errno != EINTR) {
				left = 0; /* it does not read its input: not our failure */
			}
		}
	}
	cleanup_close(&in);
	return out->fd < 0 && err->fd < 0;
}

struct error *process_run(const char *const argv[], const char *input, size_t max_output,
	struct deadline deadline, struct process_result *result)
{
	_cleanup_(pipes_close) struct pipes pipes = {{-1, -1}, {-1, -1}, {-1, -1}};
	struct process_stream out = {.max = max_output}, err = {.max = MAX_ERRORS};
	int status = 0;
	pid_t pid;

	if (!process_in_path(argv[0]))
		return error_hint(error_new(ERROR_SETUP, "program '%s' is not installed", argv[0]),
			"fleetlab doctor, or run your command through ci/with-deps");
	if (pipe2(pipes.in, O_CLOEXEC) < 0 || pipe2(pipes.out, O_CLOEXEC) < 0 ||
		pipe2(pipes.err, O_CLOEXEC) < 0)
		return error_errno(errno, "cannot create pipes for %s", argv[0]);
	pid = fork();
	if (pid < 0)
		return error_errno(errno, "cannot start %s", argv[0]);
	if (pid == 0)
		child_exec(argv, pipes.in[0], pipes.out[1], pipes.err[1]);
	setpgid(pid, pid);
	out.fd = take_fd(&pipes.out[0]);
	err.fd = take_fd(&pipes.err[0]);
	int in = take_fd(&pipes.in[1]);

	pipes_close(&pipes);
	pipes = (struct pipes){{-1, -1}, {-1, -1}, {-1, -1}};
	bool ended = process_pump(in, input, &out, &err, deadline) &&
		     process_wait(pid, deadline, &status);

	if (!ended) {
		kill(-pid, SIGKILL);
		kill(pid, SIGKILL);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	cleanup_close(&out.fd);
	cleanup_close(&err.fd);
	*result = (struct process_result){
		.exit_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status),
		.output = out.data ? out.data : calloc(1, 1),
		.output_size = out.used,
		.errors = err.data ? err.data : calloc(1, 1),
	};
	if (ended && !out.overflow)
		return NULL;
	process_result_deinit(result);
	if (!ended)
		return error_new(ERROR_TIMEOUT, "'%s' did not end before its deadline", argv[0]);
	return error_new(ERROR_SETUP, "'%s' printed more than %zu bytes", argv[0], max_output);
}

struct error *process_check(
	const char *const argv[], const char *input, struct deadline deadline, char **output)
{
	_cleanup_(process_result_deinit) struct process_result result = {0};

	try_(process_run(argv, input, 64 << 20, deadline, &result));
	if (result.exit_status != 0) {
		size_t end = strlen(result.errors);
		char *line;

		while (end > 0 && result.errors[end - 1] == '\n')
			result.errors[--end] = '\0';
		line = strrchr(result.errors, '\n');
		return error_new(ERROR_SETUP, "'%s' failed with status %d: %s", argv[0],
			result.exit_status, line ? line + 1 : result.errors);
	}
	if (output)
		*output = take_ptr(result.output);
	return NULL;
}
