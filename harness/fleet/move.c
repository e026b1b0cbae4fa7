/*
 * The keeper's side of a move: starts the mover, answers its questions, and when it has failed or
 * died brings the guests to one side. See move.h.
 */
#include "harness/fleet/move_internal.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* How much longer than the deadline the mover may take before it is held to hang. */
#define MOVER_GRACE_MS 30000

/* When it has not asked for its first step after so long, it hangs. It is forked from a process
 * with threads; should one of them have held a lock in that moment (glibc's are safe, those of the
 * sanitizers' allocator are not), it holds it in the mover for ever. Nothing has been done then. */
#define MOVER_START_MS 20000
#define MOVER_STARTS 3

const char *move_method_name(enum move_method method)
{
	static const char *const names[] = {
		[MOVE_ZEROCOPY] = "zerocopy",
		[MOVE_PRECOPY] = "precopy",
		[MOVE_POSTCOPY] = "postcopy",
		[MOVE_CPR] = "cpr",
	};

	return names[method];
}

bool move_copies(enum move_method method)
{
	return method == MOVE_PRECOPY || method == MOVE_POSTCOPY;
}

const char *move_step_name(enum move_step step)
{
	static const char *const names[] = {
		[MOVE_PREFLIGHT] = "preflight",
		[MOVE_RECEIVE] = "receive",
		[MOVE_TRANSFER] = "transfer",
		[MOVE_VERIFY] = "verify",
		[MOVE_COMMIT] = "commit",
		[MOVE_FINISH] = "finish",
	};

	return names[step];
}

static void __attribute__((noreturn)) be_mover(const struct move_item *items, size_t count,
	const struct move_options *options, int64_t session, int fd, struct move_report *reports)
{
	struct error *err;

	prctl(PR_SET_NAME, "fleetlab-mover");
	err = mover_run(items, count, options, session, fd, reports);
	if (err) {
		json_t *line = json_object();

		jsonline_put_error(line, err);
		error_destroy(jsonline_send(fd, line, "the keeper"));
	}
	_exit(err ? 1 : 0);
}

struct watched {
	const struct move_item *items;
	size_t count;
	const struct move_options *options;
	int *reached; /* for each item the last step that the mover was told to take */
	pid_t pid;
	int fd;
	bool started; /* it has asked for a step */
};

/* Lets the mover take its steps until it ends; its error, or NULL when its last line was a step. */
static struct error *watch_mover(struct watched *watched)
{
	const struct move_options *options = watched->options;
	_cleanup_(jsonline_deinit) struct jsonline reader = {.fd = watched->fd};
	struct deadline deadline = {options->deadline.at_ns + MOVER_GRACE_MS * NSEC_PER_MSEC};

	for (;;) {
		_cleanup_json_ json_t *line = NULL;
		json_int_t step, item;

		try_(jsonline_receive(&reader, "the mover",
			watched->started
				? deadline
				: deadline_min(deadline, deadline_after_ms(MOVER_START_MS)),
			&line));
		watched->started = true;
		if (!line)
			return NULL;
		if (json_object_get(line, "error"))
			return jsonline_error(line, ERROR_GUEST);
		step = json_integer_value(json_object_get(line, "step"));
		item = json_integer_value(json_object_get(line, "item"));
		if (step < 0 || step >= MOVE_STEP_COUNT || item < 0 ||
			(size_t)item >= watched->count)
			return error_new(ERROR_INTERNAL, "the mover knows a step of its own");
		if (options->on_step)
			options->on_step(options->context, (enum move_step)step,
				watched->items[item].guest, watched->pid);
		watched->reached[item] = (int)step;
		/* When it has been killed meanwhile, its end says so. */
		error_destroy(jsonline_send(watched->fd, json_object(), "the mover"));
	}
}

static struct error *reap_mover(pid_t pid, struct error *err)
{
	int status = 0;

	kill(pid, SIGKILL); /* harmless when it has ended: it is ours to reap */
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (err)
		return err;
	if (WIFSIGNALED(status))
		return error_new(ERROR_SETUP, "the mover was ended by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status) != 0)
		return error_new(ERROR_INTERNAL, "the mover gave up without a word");
	return NULL;
}

static struct error *run_mover(
	struct watched *watched, int64_t session, struct move_report *reports)
{
	struct error *err;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(errno, "cannot create the mover's socket");
	watched->pid = fork();
	if (watched->pid == 0) {
		close(pair[0]);
		be_mover(watched->items, watched->count, watched->options, session, pair[1],
			reports);
	}
	close(pair[1]);
	watched->fd = pair[0];
	if (watched->pid < 0) {
		close(pair[0]);
		return error_errno(errno, "cannot start the mover");
	}
	/* One that hangs is ended; one whose stream has ended is about to exit by itself. */
	err = reap_mover(watched->pid, watch_mover(watched));
	close(pair[0]);
	return err;
}

static struct error *run_movers(
	struct watched *watched, int64_t session, struct move_report *reports)
{
	struct error *err = run_mover(watched, session, reports);

	for (int i = 1;
		i < MOVER_STARTS && err && !watched->started && error_kind(err) == ERROR_TIMEOUT;
		i++) {
		error_destroy(err);
		err = run_mover(watched, session, reports);
	}
	return err;
}

static struct move_report nothing_known(void)
{
	return (struct move_report){
		.total_ms = NAN,
		.transfer_ms = NAN,
		.downtime_ms = NAN,
		.qemu_downtime_ms = NAN,
		.verify_ms = NAN,
		.receive_ms = NAN,
		.populate_ms = NAN,
		.source_vcpu_s = NAN,
		.target_vcpu_s = NAN,
	};
}

struct error *move_run(const struct move_item *items, size_t count,
	const struct move_options *options, struct move_report *reports)
{
	size_t size = (count + 1) * sizeof(*reports);
	_cleanup_free_ int *reached = calloc(count + 1, sizeof(*reached));
	int64_t session = clock_now_ns();
	struct move_report *shared =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct watched watched = {
		.items = items, .count = count, .options = options, .reached = reached};
	struct error *err;

	if (!reached)
		abort();
	if (shared == MAP_FAILED)
		return error_errno(errno, "cannot allocate the mover's report");
	for (size_t i = 0; i < count; i++) {
		shared[i] = nothing_known();
		reached[i] = -1;
	}
	err = run_movers(&watched, session, shared);
	if (err)
		err = move_recover(items, count, options, session, reached, shared, err);
	memcpy(reports, shared, count * sizeof(*reports));
	munmap(shared, size);
	return err;
}
