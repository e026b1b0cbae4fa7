/*
 * After a move that has failed: every guest is brought to the side where the transaction ends, by
 * what both QEMUs of it say. Whoever is asked here may be dead as well. See move.h.
 */
#include "harness/fleet/move_internal.h"
#include "harness/base/fs.h"

#include <string.h>

#define RECOVERY_MS 60000

struct recovery {
	const struct move_item *items;
	size_t count;
	const struct move_options *options;
	int64_t session;
	struct move_report *reports;
	struct deadline deadline;
};

/* What a QEMU of a guest is doing. */
struct side {
	bool alive, running;
	bool had_run; /* it is dead, and had run its guest before */
};

static struct error *ask_once(
	const struct recovery *recovery, const char *socket, const json_t *request, json_t **answer)
{
	_cleanup_(cleanup_stack) struct stack *stack = NULL;

	try_(stack_connect(socket, &stack));
	return stack_request(stack, json_copy((json_t *)request), recovery->deadline, answer);
}

static bool answers(const struct recovery *recovery, const char *socket)
{
	_cleanup_json_ json_t *ping = json_pack("{s:s}", "op", "ping");
	struct error *err = ask_once(recovery, socket, ping, NULL);
	bool alive = !err;

	error_destroy(err);
	return alive;
}

static struct error *revive(const struct recovery *recovery, const char *socket)
{
	const struct move_options *options = recovery->options;

	if (!options->revive)
		return error_new(ERROR_SETUP, "the stack at %s is dead", socket);
	return options->revive(options->context, socket, recovery->deadline);
}

/* Asks a stack about a guest, which `request` has got no name of yet. A dead stack is started anew;
 * a guest that the stack does not know is taken over from its predecessor. */
static struct error *ask(const struct recovery *recovery, const char *socket, const char *name,
	json_t *request, json_t **answer)
{
	_cleanup_json_ json_t *owned = request;
	_cleanup_json_ json_t *adopt = json_pack("{s:s, s:s}", "op", "adopt", "name", name);
	struct error *err;

	json_object_set_new(owned, "name", json_string(name));
	err = ask_once(recovery, socket, owned, answer);
	if (!err)
		return NULL;
	if (!answers(recovery, socket)) {
		error_destroy(err);
		try_(revive(recovery, socket));
		try_(ask_once(recovery, socket, adopt, NULL));
		return ask_once(recovery, socket, owned, answer);
	}
	return err;
}

/* No request of the mover shall act after we have looked. A stack that has died has none left. */
static struct error *revoke_mover(const struct recovery *recovery, const char *socket)
{
	_cleanup_json_ json_t *request = json_pack(
		"{s:s, s:I}", "op", "revoke", "session_id", (json_int_t)recovery->session);
	struct error *err = ask_once(recovery, socket, request, NULL);

	if (!err || answers(recovery, socket))
		return err;
	error_destroy(err);
	return revive(recovery, socket);
}

static struct error *look(
	const struct recovery *recovery, const char *socket, const char *name, struct side *side)
{
	_cleanup_json_ json_t *known = NULL;
	_cleanup_json_ json_t *answer = NULL;
	struct error *err =
		ask(recovery, socket, name, json_pack("{s:s}", "op", "status"), &answer);

	*side = (struct side){0};
	if (err) {
		/* The stack lives, and has never heard of it, or was started anew before we came.
		 */
		error_destroy(err);
		try_(ask(recovery, socket, name, json_pack("{s:s}", "op", "adopt"), &known));
		if (json_integer_value(json_object_get(known, "pid")) == 0)
			return NULL;
		try_(ask(recovery, socket, name, json_pack("{s:s}", "op", "status"), &answer));
	}
	side->alive = json_is_true(json_object_get(answer, "alive"));
	side->running = side->alive && json_is_true(json_object_get(answer, "running"));
	side->had_run = json_is_true(json_object_get(answer, "had_run"));
	return NULL;
}

static struct error *end(const struct recovery *recovery, const char *socket, const char *name)
{
	return ask(recovery, socket, name, json_pack("{s:s}", "op", "end"), NULL);
}

/* ---- one guest ---- */

/* First the target's QEMU ends, then the source goes on: so it never runs twice. */
static struct error *back_to_source(
	const struct recovery *recovery, size_t i, const struct side *target)
{
	const struct move_item *item = &recovery->items[i];

	if (target->alive)
		try_(end(recovery, item->target_socket, item->target_name));
	return ask(recovery, item->source_socket, item->source_name,
		json_pack("{s:s}", "op", "continue"), NULL);
}

static struct error *end_source(const struct recovery *recovery, size_t i)
{
	const struct move_item *item = &recovery->items[i];
	struct side source;

	try_(look(recovery, item->source_socket, item->source_name, &source));
	return source.alive ? end(recovery, item->source_socket, item->source_name) : NULL;
}

/* ---- all together ---- */

/* Notes a guest for which recovery has failed; the first one's reason is told. */
static void note_failure(struct error **failure, const char *guest, struct error *err)
{
	if (err && !*failure)
		*failure = error_prefix(err, "guest %s", guest);
	else
		error_destroy(err);
}

static struct error *look_at_targets(
	const struct recovery *recovery, struct side *targets, size_t *running)
{
	*running = 0;
	for (size_t i = 0; i < recovery->count; i++) {
		const struct move_item *item = &recovery->items[i];

		try_(look(recovery, item->target_socket, item->target_name, &targets[i]));
		*running += targets[i].running;
	}
	return NULL;
}

static struct error *go_forward(const struct recovery *recovery)
{
	struct error *failure = NULL;

	for (size_t i = 0; i < recovery->count; i++) {
		note_failure(&failure, recovery->items[i].guest, end_source(recovery, i));
		recovery->reports[i].moved = true;
	}
	return failure;
}

/* Guests that run on the target go back by a move of their own. */
static struct error *move_committed_back(
	const struct recovery *recovery, const struct side *targets, size_t running)
{
	_cleanup_free_ size_t *indices = calloc(running + 1, sizeof(*indices));
	size_t count = 0;

	if (!indices)
		abort();
	for (size_t i = 0; i < recovery->count; i++) {
		if (!targets[i].running)
			continue;
		recovery->reports[i].moved = true;
		try_(end_source(recovery, i)); /* of the past; and its tap is needed */
		indices[count++] = i;
	}
	return count ? move_back(recovery->items, indices, count, recovery->options,
			       recovery->reports)
		     : NULL;
}

static struct error *go_back(
	const struct recovery *recovery, const struct side *targets, size_t running)
{
	struct error *failure = NULL;

	for (size_t i = 0; i < recovery->count; i++) {
		const char *guest = recovery->items[i].guest;

		if (targets[i].running)
			continue;
		if (targets[i].had_run || recovery->reports[i].resume_ns) {
			recovery->reports[i].lost = true;
			error_destroy(end_source(recovery, i));
			note_failure(&failure, guest,
				error_new(ERROR_GUEST, "it is lost: it had run on the target "
						       "already when its QEMU "
						       "ended"));
			continue;
		}
		note_failure(&failure, guest, back_to_source(recovery, i, &targets[i]));
	}
	note_failure(&failure, "of the target", move_committed_back(recovery, targets, running));
	return failure;
}

/* Both messages, since the second alone would hide why there was anything to recover from. */
static struct error *both(struct error *reason, struct error *failure)
{
	struct error *err = error_new(ERROR_GUEST, "%s; bringing the guests back failed: %s",
		error_message(reason), error_message(failure));

	error_destroy(reason);
	error_destroy(failure);
	return err;
}

static struct error *recover(const struct recovery *recovery, bool *forward)
{
	_cleanup_free_ struct side *targets = calloc(recovery->count + 1, sizeof(*targets));
	size_t running = 0;

	if (!targets)
		abort();
	for (size_t i = 0; i < recovery->count; i++) {
		try_(revoke_mover(recovery, recovery->items[i].source_socket));
		try_(revoke_mover(recovery, recovery->items[i].target_socket));
	}
	try_(look_at_targets(recovery, targets, &running));
	*forward = running == recovery->count;
	return *forward ? go_forward(recovery) : go_back(recovery, targets, running);
}

struct error *move_recover(const struct move_item *items, size_t count,
	const struct move_options *options, int64_t session, struct move_report *reports,
	struct error *err)
{
	struct recovery recovery = {.items = items,
		.count = count,
		.options = options,
		.session = session,
		.reports = reports,
		.deadline = deadline_after_ms(RECOVERY_MS)};
	bool forward = false;
	struct error *failure = recover(&recovery, &forward);

	if (failure)
		return both(err, failure);
	if (!forward)
		return error_prefix(err, "%s",
			count == 1 ? "the guest runs on its old stack again"
				   : "all guests run on their old stack again");
	error_destroy(err);
	return NULL;
}

/* ---- the way back ---- */

struct error *move_back(const struct move_item *items, const size_t *indices, size_t count,
	const struct move_options *options, struct move_report *reports)
{
	_cleanup_free_ struct move_item *reversed = calloc(count + 1, sizeof(*reversed));
	_cleanup_free_ struct move_report *back = calloc(count + 1, sizeof(*back));
	struct move_options quiet = *options;
	struct error *err;

	if (!reversed || !back)
		abort();
	quiet.on_step = NULL;
	quiet.one_by_one = false;
	quiet.deadline = deadline_after_ms(RECOVERY_MS);
	if (quiet.method == MOVE_POSTCOPY)
		quiet.method = MOVE_PRECOPY;
	for (size_t i = 0; i < count; i++) {
		const struct move_item *item = &items[indices[i]];

		if (!item->receive_back)
			return error_new(ERROR_GUEST,
				"guest %s runs on the target, and there is no way back for it",
				item->guest);
		reversed[i] = (struct move_item){
			.guest = item->guest,
			.source_socket = item->target_socket,
			.target_socket = item->source_socket,
			.source_name = item->target_name,
			.target_name = item->back_name,
			.receive = item->receive_back,
			.target_uri = item->back_uri,
			.source_uri = item->back_uri,
		};
	}
	err = move_run(reversed, count, &quiet, back);
	for (size_t i = 0; i < count; i++) {
		struct move_report *report = &reports[indices[i]];

		report->moved = !back[i].moved;
		report->brought_back = back[i].moved;
		report->back_pid = back[i].target_pid;
	}
	return err;
}
