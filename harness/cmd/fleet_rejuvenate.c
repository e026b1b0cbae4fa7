/* The keeper's side of `fleetlab rejuvenate`: see fleet_rejuvenate.h. Must leave every guest
 * running on exactly one stack, whatever fails. */
#include "harness/cmd/fleet_rejuvenate.h"
#include "harness/base/fs.h"
#include "harness/cmd/fleet_watch.h"
#include "harness/fleet/fleet_move.h"
#include "harness/fleet/stack.h"
#include "harness/host/proc.h"

#include <math.h>
#include <string.h>

#define RESUME_TIMEOUT_MS 30000
#define WATCH_TIMEOUT_MS 60000

/* What rejuvenation is for: memory that the virtualization system itself holds, in bytes of PSS.
 * Guests' RAM is a file in shared memory and does not count. */
static uint64_t process_own_bytes(pid_t pid)
{
	struct proc_memory memory = {0};

	error_destroy(proc_read_memory(pid, &memory));
	return memory.pss_anonymous + memory.pss_file;
}

static uint64_t stack_memory(const struct fleet *fleet, unsigned int stack)
{
	uint64_t bytes = process_own_bytes(fleet_stack_pid(fleet, stack));

	for (unsigned int i = 0; i < fleet_count(fleet); i++) {
		if (fleet_guest_stack(fleet, i) == stack)
			bytes += process_own_bytes(fleet_guest_pid(fleet, i));
	}
	return bytes;
}

struct work {
	struct fleet *fleet;
	const json_t *request;
	int fd;
	enum move_step told; /* the last step that the client has heard of */
	struct fleet_watch *watch;
	unsigned int old, fresh;
	unsigned int *guests;
	struct move_report *reports;
};

static void __attribute__((format(printf, 2, 3)))
tell(const struct work *work, const char *format, ...)
{
	char text[200];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	/* The client may be gone; the fleet is brought to an end state all the same. */
	error_destroy(jsonline_send(
		work->fd, json_pack("{s:s}", "progress", text), "fleetlab rejuvenate"));
}

/* Tells of what went wrong beside the move; takes the error over. */
static void warn(const struct work *work, struct error *err)
{
	if (err)
		tell(work, "warning: %s", error_message(err));
	error_destroy(err);
}

static struct error *monitor(
	struct work *work, unsigned int guest, const char *command, struct deadline deadline)
{
	_cleanup_(cleanup_stack) struct stack *stack = NULL;

	try_(stack_connect(fleet_stack_socket(work->fleet, work->old), &stack));
	return stack_request(stack,
		json_pack("{s:s, s:s, s:s}", "op", "qmp", "name",
			fleet_guest_seat(work->fleet, guest), "command", command),
		deadline, NULL);
}

/* The stack goes on with a request whose asker has given up, so a guest is always told to go on,
 * with time of its own. */
static struct error *suspend(struct work *work, unsigned int guest, struct deadline deadline)
{
	struct error *err = monitor(work, guest, "stop", deadline);
	struct error *end = monitor(work, guest, "cont", deadline_after_ms(RESUME_TIMEOUT_MS));

	if (err && end)
		error_destroy(end);
	return err ? err : end;
}

/* Ages the stack: each guest is suspended and resumed so many times. */
static struct error *age(struct work *work, json_int_t times, struct deadline deadline)
{
	if (times > 0)
		tell(work, "aging stack %u: %lld suspends of each guest", work->old,
			(long long)times);
	for (json_int_t i = 0; i < times; i++) {
		for (unsigned int guest = 0; guest < fleet_count(work->fleet); guest++)
			try_(suspend(work, guest, deadline));
	}
	return NULL;
}

/* Together, guests take each step one after the other: the step is news. One by one, each guest
 * takes all steps: the guest is. */
static void on_step(void *context, enum move_step step, const char *guest, pid_t mover)
{
	struct work *work = context;

	(void)mover;
	if (!json_is_true(json_object_get(work->request, "together"))) {
		if (step == MOVE_PREFLIGHT)
			tell(work, "moving %s", guest);
	} else if (step != work->told) {
		tell(work, "%s, %u guests", move_step_name(step), fleet_count(work->fleet));
	}
	work->told = step;
}

static enum move_method method_of(const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "method"));
	enum move_method method = MOVE_ZEROCOPY;

	for (int i = MOVE_ZEROCOPY; name && i <= MOVE_POSTCOPY; i++) {
		if (strcmp(name, move_method_name((enum move_method)i)) == 0)
			method = (enum move_method)i;
	}
	return method;
}

static struct error *move_all(struct work *work, struct deadline deadline)
{
	const struct move_options options = {
		.method = method_of(work->request),
		.one_by_one = !json_is_true(json_object_get(work->request, "together")),
		.digest_all = json_is_true(json_object_get(work->request, "digest_all")),
		.populate = true,
		.deadline = deadline,
		.on_step = on_step,
		.context = work,
	};
	struct error *err = fleet_move(work->fleet, work->guests, fleet_count(work->fleet),
		work->fresh, &options, work->reports);

	if (!err)
		return NULL;
	error_destroy(fleet_end_stack(work->fleet, work->fresh, deadline_after_ms(30000)));
	return err;
}

static json_t *number_or_null(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

static json_t *guest_json(const struct work *work, unsigned int guest)
{
	const struct move_report *report = &work->reports[guest];

	return json_pack("{s:s, s:o, s:o, s:o, s:I, s:I, s:I, s:b}", "name",
		fleet_guest_name(work->fleet, guest), "total_ms", number_or_null(report->total_ms),
		"downtime_ms", number_or_null(report->downtime_ms), "transfer_ms",
		number_or_null(report->transfer_ms), "sent_bytes", (json_int_t)report->sent_bytes,
		"memory_bytes", (json_int_t)report->memory_bytes, "digest_pages",
		(json_int_t)report->digest_pages, "same_memory", report->same_memory);
}

static void fill_answer(const struct work *work, int64_t begin_ns, json_t *answer)
{
	json_t *guests = json_array();

	json_object_set_new(answer, "seconds", json_real(clock_seconds(begin_ns, clock_now_ns())));
	json_object_set_new(answer, "stack", json_integer(work->fresh));
	json_object_set_new(
		answer, "method", json_string(move_method_name(method_of(work->request))));
	json_object_set_new(answer, "guests", guests);
	for (unsigned int i = 0; i < fleet_count(work->fleet); i++)
		json_array_append_new(guests, guest_json(work, i));
}

static struct error *rejuvenate(struct work *work, json_t *memory, struct deadline deadline)
{
	json_int_t times = json_integer_value(json_object_get(work->request, "age"));
	bool watch = json_is_true(json_object_get(work->request, "watch"));

	json_object_set_new(
		memory, "before", json_integer((json_int_t)stack_memory(work->fleet, work->old)));
	try_(age(work, times, deadline));
	json_object_set_new(
		memory, "aged", json_integer((json_int_t)stack_memory(work->fleet, work->old)));
	if (watch) {
		tell(work, "connecting to each guest");
		try_(fleet_watch_start(work->fleet, deadline, &work->watch));
	}
	tell(work, "starting a fresh stack");
	try_(fleet_add_stack(work->fleet, deadline, &work->fresh));
	try_(move_all(work, deadline));
	tell(work, "ending stack %u", work->old);
	/* All guests have moved: what fails from here on is told, and is no failure of the move. */
	warn(work, fleet_end_stack(work->fleet, work->old, deadline_after_ms(60000)));
	json_object_set_new(
		memory, "after", json_integer((json_int_t)stack_memory(work->fleet, work->fresh)));
	return NULL;
}

struct error *fleet_rejuvenate(struct fleet *fleet, const json_t *request, int fd, json_t *answer)
{
	unsigned int count = fleet_count(fleet);
	_cleanup_free_ unsigned int *guests = calloc(count + 1, sizeof(*guests));
	_cleanup_free_ struct move_report *reports = calloc(count + 1, sizeof(*reports));
	struct deadline deadline =
		deadline_after_ms(json_integer_value(json_object_get(request, "timeout_ms")));
	_cleanup_json_ json_t *memory = json_object();
	int64_t begin_ns = clock_now_ns();
	struct work work = {.fleet = fleet,
		.request = request,
		.fd = fd,
		.told = MOVE_STEP_COUNT,
		.guests = guests,
		.reports = reports};
	struct error *err;

	if (!guests || !reports)
		abort();
	for (unsigned int i = 0; i < count; i++)
		guests[i] = i;
	work.old = fleet_guest_stack(fleet, 0);
	err = rejuvenate(&work, memory, deadline);
	if (!err) {
		json_object_set(answer, "memory", memory);
		fill_answer(&work, begin_ns, answer);
		if (work.watch)
			warn(&work, fleet_watch_finish(take_ptr(work.watch),
					    deadline_after_ms(WATCH_TIMEOUT_MS),
					    json_object_get(answer, "guests")));
	}
	fleet_watch_destroy(work.watch);
	return err;
}
