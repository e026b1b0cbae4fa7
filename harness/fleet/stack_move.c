/*
 * The stack's part in moving guests: one operation for each thing that the mover wants done, see
 * stack.h. What belongs together is decided by the mover; nothing here knows of the other side.
 */
#include "harness/fleet/stack_internal.h"
#include "harness/base/fs.h"
#include "harness/fleet/clone.h"
#include "harness/fleet/guest_spec.h"

#include <string.h>

/* How long a migration may take to notice that its target has ended. */
#define STREAM_BREAKS_MS 2000

static struct deadline request_deadline(void)
{
	return deadline_after_ms(STACK_REQUEST_MS);
}

struct error *stack_op_receive(struct server *server, json_t *request, json_t *answer)
{
	const json_t *argv = json_object_get(request, "argv");
	bool cpr = json_is_true(json_object_get(request, "cpr"));
	_cleanup_free_ char *path = NULL;
	_cleanup_free_ char *log = NULL;
	struct stack_guest *guest;
	struct qmp *qmp = NULL;
	const char *name, *xml;
	pid_t pid;

	try_(stack_string(request, "name", &name));
	if (argv) {
		log = guest_log(name, "qemu");
		if (cpr)
			path = stack_cpr_path(name);
		try_(clone_spawn(name, argv, path, log, request_deadline(), &pid, &qmp));
	} else if (cpr) {
		return error_hint(error_new(ERROR_USAGE, "libvirt cannot start a QEMU that has no "
							 "monitor before its source sends"),
			"start the fleet from a template, or move it by zerocopy");
	} else {
		try_(stack_string(request, "xml", &xml));
		try_(libvirt_driver_start(server->driver, name, xml, true, &pid));
	}
	try_(stack_add_started(server, name, pid, argv != NULL, qmp, &guest));
	json_object_set_new(answer, "pid", json_integer(pid));
	if (!cpr)
		return NULL;
	json_object_set_new(answer, "cpr", json_string(path));
	return stack_cpr_await_listening(guest, path, request_deadline());
}

static bool is_listed(const json_t *names, const char *name)
{
	const json_t *item;
	size_t i;

	json_array_foreach ((json_t *)names, i, item) {
		if (json_is_string(item) && strcmp(json_string_value(item), name) == 0)
			return true;
	}
	return false;
}

/* Switches the listed capabilities on and the others off: an earlier attempt may have left any. */
static struct error *set_capabilities(
	struct stack_guest *guest, const json_t *listed, struct deadline deadline)
{
	static const char *const known[] = {"events", "x-ignore-shared", "late-block-activate",
		"postcopy-ram", "auto-converge"};
	json_t *states = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		json_array_append_new(
			states, json_pack("{s:s, s:b}", "capability", known[i], "state",
					i == 0 || is_listed(listed, known[i])));
	return stack_monitor(guest, "migrate-set-capabilities",
		json_pack("{s:o}", "capabilities", states), deadline, NULL);
}

/* The mode of an earlier attempt would stay; a QEMU without modes must not be given one. */
static struct error *set_mode(
	struct stack_guest *guest, struct deadline deadline, json_t **parameters)
{
	_cleanup_json_ json_t *known = NULL;
	json_t *with_mode;

	if (json_object_get(*parameters, "mode"))
		return NULL;
	try_(stack_monitor(guest, "query-migrate-parameters", NULL, deadline, &known));
	if (!json_object_get(known, "mode"))
		return NULL;
	with_mode = *parameters ? json_copy(*parameters) : json_object();
	json_object_set_new(with_mode, "mode", json_string("normal"));
	json_decref(*parameters);
	*parameters = with_mode;
	return NULL;
}

static struct error *set_up_migration(
	struct stack_guest *guest, json_t *request, struct deadline deadline)
{
	_cleanup_json_ json_t *parameters = json_incref(json_object_get(request, "parameters"));

	try_(set_capabilities(guest, json_object_get(request, "capabilities"), deadline));
	try_(set_mode(guest, deadline, &parameters));
	if (json_object_size(parameters) == 0)
		return NULL;
	return stack_monitor(
		guest, "migrate-set-parameters", json_incref(parameters), deadline, NULL);
}

struct error *stack_op_listen(struct server *server, json_t *request, json_t *answer)
{
	struct deadline deadline = request_deadline();
	struct stack_guest *guest;
	const char *uri;

	(void)answer;
	try_(stack_find_guest(server, request, &guest));
	try_(stack_string(request, "uri", &uri));
	try_(set_up_migration(guest, request, deadline));
	return stack_monitor(
		guest, "migrate-incoming", json_pack("{s:s}", "uri", uri), deadline, NULL);
}

struct error *stack_op_send(struct server *server, json_t *request, json_t *answer)
{
	struct deadline deadline = request_deadline();
	const char *cpr = json_string_value(json_object_get(request, "cpr"));
	_cleanup_json_ json_t *arguments = NULL;
	struct stack_guest *guest;
	struct error *err;
	const char *uri;

	(void)answer;
	try_(stack_find_guest(server, request, &guest));
	try_(stack_string(request, "uri", &uri));
	if (cpr)
		try_(stack_cpr_migrate(uri, cpr, &arguments));
	else
		arguments = json_pack("{s:s}", "uri", uri);
	try_(set_up_migration(guest, request, deadline));
	pthread_mutex_lock(&guest->lock);
	err = stack_open_monitor(guest, deadline);
	if (!err) {
		/* From here on every STOP and MIGRATION is this migration's. */
		qmp_forget_events(guest->qmp);
		err = qmp_execute(guest->qmp, "migrate", json_incref(arguments), deadline, NULL);
	}
	pthread_mutex_unlock(&guest->lock);
	return err;
}

struct error *stack_op_postcopy(struct server *server, json_t *request, json_t *answer)
{
	struct stack_guest *guest;

	(void)answer;
	try_(stack_find_guest(server, request, &guest));
	return stack_monitor(guest, "migrate-start-postcopy", NULL, request_deadline(), NULL);
}

/* When an event was sent, by QEMU's wall clock. */
static json_int_t event_ns(const json_t *event)
{
	json_int_t seconds = 0, microseconds = 0;

	json_unpack((json_t *)event, "{s:{s:I, s:I}}", "timestamp", "seconds", &seconds,
		"microseconds", &microseconds);
	return seconds * NSEC_PER_SEC + microseconds * 1000;
}

/* Notes when an event came that has been sent before the last answer; call with the lock held. */
static void note_event(
	struct stack_guest *guest, const char *event, const char *name, json_t *answer)
{
	_cleanup_json_ json_t *taken = NULL;
	struct error *err = qmp_take_event(guest->qmp, event, deadline_after_ms(0), &taken);

	if (!err)
		json_object_set_new(answer, name, json_integer(event_ns(taken)));
	error_destroy(err);
}

static bool is_final(const char *status)
{
	static const char *const names[] = {"completed", "failed", "cancelled"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(status, names[i]) == 0)
			return true;
	}
	return false;
}

/* Of a MIGRATION event; borrowed. */
static const char *event_status(const json_t *event)
{
	const char *status =
		json_string_value(json_object_get(json_object_get(event, "data"), "status"));

	return status ? status : "";
}

/* Waits for a migration's end, or for the status `until`. Call with the guest's lock held. */
static struct error *await_status(
	struct stack_guest *guest, const char *until, struct deadline deadline, json_t **event)
{
	for (;;) {
		_cleanup_json_ json_t *taken = NULL;
		const char *status;

		try_(qmp_take_event(guest->qmp, "MIGRATION", deadline, &taken));
		status = event_status(taken);
		if (is_final(status) || (until && strcmp(status, until) == 0)) {
			*event = take_ptr(taken);
			return NULL;
		}
	}
}

/* Between the end of a migration and this answer its guest stands still, and QEMU reads a command
 * byte by byte: it is asked for more only where something went wrong. Call with the guest's lock
 * held. */
static struct error *tell_migration(
	struct stack_guest *guest, const char *status, struct deadline deadline, json_t *answer)
{
	_cleanup_json_ json_t *migration = NULL;

	json_object_set_new(answer, "status", json_string(status));
	if (strcmp(status, "failed") == 0) {
		try_(qmp_execute(guest->qmp, "query-migrate", NULL, deadline, &migration));
		json_object_set(answer, "migration", migration);
	}
	note_event(guest, "STOP", "stop_ns", answer);
	note_event(guest, "RESUME", "resume_ns", answer);
	return NULL;
}

/* No event for as long as a wait lasts may also mean that it was another one's answer: a target
 * whose postcopy is over at once is "completed" to who waits for it to begin. Call with the guest's
 * lock held. */
static struct error *ask_status(struct stack_guest *guest, const char *until, json_t *answer)
{
	_cleanup_json_ json_t *migration = NULL;
	const char *status;

	try_(qmp_execute(
		guest->qmp, "query-migrate", NULL, deadline_after_ms(STACK_AWAIT_MS), &migration));
	status = json_string_value(json_object_get(migration, "status"));
	if (!status || (!is_final(status) && !(until && strcmp(status, until) == 0)))
		status = "waiting";
	return tell_migration(guest, status, deadline_after_ms(STACK_AWAIT_MS), answer);
}

struct error *stack_op_await(struct server *server, json_t *request, json_t *answer)
{
	const char *until = json_string_value(json_object_get(request, "until"));
	json_int_t timeout_ms = json_integer_value(json_object_get(request, "timeout_ms"));
	_cleanup_json_ json_t *event = NULL;
	struct stack_guest *guest;
	struct error *err;

	try_(stack_find_guest(server, request, &guest));
	/* Short, since the guest's lock is held: when the asker has died, others must get through.
	 */
	if (timeout_ms < 0 || timeout_ms > STACK_AWAIT_MS)
		timeout_ms = STACK_AWAIT_MS;
	pthread_mutex_lock(&guest->lock);
	err = stack_open_monitor(guest, request_deadline());
	if (!err) {
		err = await_status(guest, until, deadline_after_ms(timeout_ms), &event);
		if (!err) {
			err = tell_migration(
				guest, event_status(event), request_deadline(), answer);
		} else if (error_kind(err) == ERROR_TIMEOUT) {
			error_destroy(err);
			err = ask_status(guest, until, answer);
		}
	}
	pthread_mutex_unlock(&guest->lock);
	if (!err || error_kind(err) != ERROR_TIMEOUT)
		return err;
	error_destroy(err);
	json_object_set_new(answer, "status", json_string("waiting"));
	return NULL;
}

/* Call with the guest's lock held. */
static struct error *run_state(
	struct stack_guest *guest, struct deadline deadline, char *state, size_t size)
{
	_cleanup_json_ json_t *result = NULL;
	const char *status = "";

	try_(qmp_execute(guest->qmp, "query-status", NULL, deadline, &result));
	json_unpack(result, "{s:s}", "status", &status);
	snprintf(state, size, "%s", status);
	return NULL;
}

/* Lets the vCPUs run and waits until they do: QEMU tells it by an event, at once, or in a postcopy
 * when the devices' state is there. Call with the guest's lock held. */
static struct error *run_guest(struct stack_guest *guest, struct deadline deadline, json_t *answer)
{
	_cleanup_json_ json_t *event = NULL;

	qmp_forget_events(guest->qmp);
	try_(qmp_execute(guest->qmp, "cont", NULL, deadline, NULL));
	try_(qmp_take_event(guest->qmp, "RESUME", deadline, &event));
	guest->had_run = true;
	json_object_set_new(answer, "resume_ns", json_integer(event_ns(event)));
	return NULL;
}

struct error *stack_op_resume(struct server *server, json_t *request, json_t *answer)
{
	struct deadline deadline = deadline_after_ms(STACK_CONTINUE_MS);
	struct stack_guest *guest;
	struct error *err;

	try_(stack_find_guest(server, request, &guest));
	pthread_mutex_lock(&guest->lock);
	err = stack_open_monitor(guest, deadline);
	if (!err)
		err = run_guest(guest, deadline, answer);
	pthread_mutex_unlock(&guest->lock);
	return err;
}

/* Waits until QEMU is done with a migration that is ending: before that it refuses to run. When
 * that takes longer than `patience`, *ended is false. Call with the guest's lock held. */
static struct error *await_end(
	struct stack_guest *guest, struct deadline patience, struct deadline deadline, bool *ended)
{
	for (;;) {
		_cleanup_json_ json_t *migration = NULL;
		_cleanup_json_ json_t *event = NULL;
		const char *status = "none";
		char state[32];

		try_(qmp_execute(guest->qmp, "query-migrate", NULL, deadline, &migration));
		json_unpack(migration, "{s:s}", "status", &status);
		try_(run_state(guest, deadline, state, sizeof(state)));
		*ended = (is_final(status) || strcmp(status, "none") == 0) &&
			 strcmp(state, "finish-migrate") != 0;
		if (*ended || deadline_passed(patience))
			return NULL;
		/* An event ends the waiting at once; the last changes of state have none. */
		error_destroy(qmp_take_event(guest->qmp, "MIGRATION",
			deadline_min(patience, deadline_after_ms(5)), &event));
	}
}

/* Ends a migration that is under way. Whoever asks for it has ended the target, so it fails by
 * itself, and in that QEMU is sound. Told to cancel in the moment in which it gives up the disks
 * (it takes commands while it drains them), QEMU 7.2 forgets to take them back, lets the guest run,
 * and aborts at its next write: so that is for a stream that does not break. One that is stopped
 * before is not let run by QEMU, but by us, which takes the disks back. Call with the guest's lock
 * held. */
static struct error *end_migration(struct stack_guest *guest, struct deadline deadline)
{
	bool ended;

	qmp_forget_events(guest->qmp);
	try_(await_end(guest, deadline_min(deadline, deadline_after_ms(STREAM_BREAKS_MS)), deadline,
		&ended));
	if (ended)
		return NULL;
	try_(qmp_execute(guest->qmp, "stop", NULL, deadline, NULL));
	try_(qmp_execute(guest->qmp, "migrate_cancel", NULL, deadline, NULL));
	try_(await_end(guest, deadline, deadline, &ended));
	return ended ? NULL
		     : error_new(ERROR_TIMEOUT,
			       "deadline passed while waiting for the end of %s's migration",
			       guest->name);
}

static struct error *continue_guest(
	struct stack_guest *guest, struct deadline deadline, json_t *answer)
{
	char state[32];

	try_(stack_open_monitor(guest, deadline));
	try_(end_migration(guest, deadline));
	try_(run_state(guest, deadline, state, sizeof(state)));
	if (strcmp(state, "running") != 0)
		try_(run_guest(guest, deadline, answer));
	/* The bridge may think that it is where the target was. */
	return qmp_execute(guest->qmp, "announce-self",
		json_pack("{s:i, s:i, s:i, s:i}", "initial", 50, "max", 550, "rounds", 5, "step",
			100),
		deadline, NULL);
}

struct error *stack_op_continue(struct server *server, json_t *request, json_t *answer)
{
	struct stack_guest *guest;
	struct error *err;

	try_(stack_find_guest(server, request, &guest));
	pthread_mutex_lock(&guest->lock);
	err = continue_guest(guest, deadline_after_ms(STACK_CONTINUE_MS), answer);
	pthread_mutex_unlock(&guest->lock);
	return err;
}
