/*
 * After a move that has failed: every guest is brought to the side where the transaction ends, by
 * what both QEMUs of it say. Whoever is asked here may be dead as well. See move.h.
 */
#include "harness/fleet/move_internal.h"
#include "harness/base/fs.h"

#include <string.h>

/* Each wait has time of its own: what one guest or stack has used up must not count against the
 * next, nor a stack be held for dead because the time is over. */
#define REQUEST_MS 40000 /* a stack takes up to 20 s for either part of one */
#define REVOKE_MS 30000
#define PING_MS 15000
#define REVIVE_MS 60000

/* A stack that guests are on. */
struct place {
	const char *socket;
	bool dead;	/* it does not answer, and cannot be started anew */
	bool gone;	/* dead, and every QEMU there with it */
	bool unrevoked; /* a request of the mover may be under way still */
};

struct recovery {
	const struct move_item *items;
	size_t count;
	const struct move_options *options;
	int64_t session;
	const int *reached;
	struct move_report *reports;
	struct place *places;
	size_t place_count;
};

/* What a QEMU of a guest is doing. */
struct side {
	bool alive, running;
	bool had_run; /* it is dead, and had run its guest before */
	bool absent;  /* its stack knows of none */
	bool unknown; /* nobody can tell */
};

static struct place *place_of(const struct recovery *recovery, const char *socket)
{
	struct place *place = recovery->places;

	while (strcmp(place->socket, socket) != 0)
		place++;
	return place;
}

static struct error *ask_once(
	const char *socket, const json_t *request, int64_t timeout_ms, json_t **answer)
{
	_cleanup_(cleanup_stack) struct stack *stack = NULL;

	try_(stack_connect(socket, &stack));
	return stack_request(
		stack, json_copy((json_t *)request), deadline_after_ms(timeout_ms), answer);
}

static bool answers(const char *socket)
{
	_cleanup_json_ json_t *ping = json_pack("{s:s}", "op", "ping");
	struct error *err = ask_once(socket, ping, PING_MS, NULL);
	bool alive = !err;

	error_destroy(err);
	return alive;
}

static struct error *revive(const struct recovery *recovery, struct place *place)
{
	const struct move_options *options = recovery->options;
	struct error *err = NULL;

	if (options->revive && !place->dead)
		err = options->revive(options->context, place->socket, deadline_after_ms(REVIVE_MS),
			&place->gone);
	else
		err = error_new(ERROR_SETUP, "the stack at %s is dead", place->socket);
	place->dead = err != NULL;
	return err;
}

/* Asks a stack about a guest, which `request` has got no name of yet. A dead stack is started anew
 * and takes the guest over from its predecessor. */
static struct error *ask(const struct recovery *recovery, const char *socket, const char *name,
	json_t *request, json_t **answer)
{
	_cleanup_json_ json_t *owned = request;
	_cleanup_json_ json_t *adopt = json_pack("{s:s, s:s}", "op", "adopt", "name", name);
	struct place *place = place_of(recovery, socket);
	struct error *err;

	if (place->dead)
		return error_new(ERROR_SETUP, "the stack at %s is dead", socket);
	json_object_set_new(owned, "name", json_string(name));
	err = ask_once(socket, owned, REQUEST_MS, answer);
	if (!err || answers(socket))
		return err;
	error_destroy(err);
	try_(revive(recovery, place));
	try_(ask_once(socket, adopt, REQUEST_MS, NULL));
	return ask_once(socket, owned, REQUEST_MS, answer);
}

/* No request of the mover shall act after we have looked. A stack that has died has none left. */
static void revoke_mover(const struct recovery *recovery, struct place *place)
{
	_cleanup_json_ json_t *request = json_pack("{s:s, s:I, s:i}", "op", "revoke", "session_id",
		(json_int_t)recovery->session, "timeout_ms", REVOKE_MS);
	struct error *err = ask_once(place->socket, request, REQUEST_MS, NULL);

	if (err && answers(place->socket))
		place->unrevoked = true;
	else if (err)
		error_destroy(revive(recovery, place)); /* told by whoever needs the stack */
	error_destroy(err);
}

/* Asks for the process of a guest's QEMU; 0: there is none. The stack may have been started anew
 * before we came, and not know its guests yet. */
static struct error *find(
	const struct recovery *recovery, const char *socket, const char *name, json_int_t *pid)
{
	_cleanup_json_ json_t *known = NULL;

	struct error *err = ask(recovery, socket, name, json_pack("{s:s}", "op", "adopt"), &known);

	*pid = integer(known, "pid");
	if (!place_of(recovery, socket)->gone)
		return err;
	error_destroy(err);
	return NULL;
}

static struct error *look(
	const struct recovery *recovery, const char *socket, const char *name, struct side *side)
{
	_cleanup_json_ json_t *answer = NULL;
	json_int_t pid;

	*side = (struct side){0};
	try_(find(recovery, socket, name, &pid));
	side->absent = pid == 0;
	if (side->absent)
		return NULL;
	try_(ask(recovery, socket, name, json_pack("{s:s}", "op", "status"), &answer));
	side->alive = json_is_true(json_object_get(answer, "alive"));
	side->running = side->alive && json_is_true(json_object_get(answer, "running"));
	side->had_run = json_is_true(json_object_get(answer, "had_run"));
	return NULL;
}

/* Ends a QEMU without looking at it, since one that hangs does not let itself be looked at. */
static struct error *end(const struct recovery *recovery, const char *socket, const char *name)
{
	json_int_t pid;

	try_(find(recovery, socket, name, &pid));
	return pid ? ask(recovery, socket, name, json_pack("{s:s}", "op", "end"), NULL) : NULL;
}

/* ---- one guest ---- */

static bool may_have_committed(const struct recovery *recovery, size_t i)
{
	return recovery->reached[i] >= MOVE_COMMIT;
}

static bool has_resumed(const struct recovery *recovery, size_t i)
{
	return recovery->reports[i].resume_ns != 0;
}

static void look_at_target(const struct recovery *recovery, size_t i, struct side *side)
{
	const struct move_item *item = &recovery->items[i];
	bool unrevoked = place_of(recovery, item->target_socket)->unrevoked;
	struct error *err;

	*side = (struct side){0};
	if (!may_have_committed(recovery, i))
		return;
	err = look(recovery, item->target_socket, item->target_name, side);
	/* One that hangs, or may be let go at any moment, is known for certain when it is dead. */
	if ((err || unrevoked) && !has_resumed(recovery, i)) {
		error_destroy(err);
		err = end(recovery, item->target_socket, item->target_name);
		if (!err)
			err = look(recovery, item->target_socket, item->target_name, side);
	}
	side->unknown = err != NULL;
	error_destroy(err);
}

/* Takes `err`, the reason. A source that has died takes its guest with it, as ever. */
static struct error *cannot_continue(const struct recovery *recovery, size_t i, struct error *err)
{
	const struct move_item *item = &recovery->items[i];
	struct side source;
	struct error *unseen = look(recovery, item->source_socket, item->source_name, &source);
	bool is_dead = !unseen && !source.alive;

	error_destroy(unseen);
	if (!is_dead)
		return err;
	error_destroy(err);
	recovery->reports[i].lost = true;
	return error_new(ERROR_GUEST,
		"it is lost: its QEMU on the source has ended, and it had not run on the target");
}

/* First the target's QEMU ends, then the source goes on: so it never runs twice. One that cannot be
 * ended has never been let run, and there is nobody left who would let it. */
static struct error *back_to_source(const struct recovery *recovery, size_t i)
{
	const struct move_item *item = &recovery->items[i];
	struct error *err = end(recovery, item->target_socket, item->target_name);

	if (err && may_have_committed(recovery, i))
		return err;
	error_destroy(err);
	err = ask(recovery, item->source_socket, item->source_name,
		json_pack("{s:s}", "op", "continue"), NULL);
	return err ? cannot_continue(recovery, i, err) : NULL;
}

static struct error *end_source(const struct recovery *recovery, size_t i)
{
	const struct move_item *item = &recovery->items[i];

	return end(recovery, item->source_socket, item->source_name);
}

/* It cannot be had back: what is left of it at the source is of the past. */
static struct error *give_up(const struct recovery *recovery, size_t i, const struct side *target)
{
	error_destroy(end_source(recovery, i));
	if (target->unknown && has_resumed(recovery, i)) {
		recovery->reports[i].moved = true;
		return error_new(ERROR_GUEST, "it stays on the target, which does not answer");
	}
	recovery->reports[i].lost = true;
	if (target->had_run || has_resumed(recovery, i))
		return error_new(ERROR_GUEST, "it is lost: it had run on the target already when "
					      "its QEMU ended");
	return error_new(ERROR_GUEST, "it is lost: it may have run on the target, and nobody is "
				      "left there who could tell");
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
static struct error *move_committed_back(const struct recovery *recovery,
	const struct side *targets, size_t running, struct error *failure)
{
	_cleanup_free_ size_t *indices = calloc(running + 1, sizeof(*indices));
	size_t count = 0;

	if (!indices)
		abort();
	for (size_t i = 0; i < recovery->count; i++) {
		struct error *err;

		if (!targets[i].running)
			continue;
		recovery->reports[i].moved = true;
		err = end_source(recovery, i); /* of the past; and its tap is needed */
		if (!err)
			indices[count++] = i;
		note_failure(&failure, recovery->items[i].guest, err);
	}
	if (count)
		note_failure(&failure, "of the target",
			move_back(recovery->items, indices, count, recovery->options,
				recovery->reports));
	return failure;
}

/* Each guest by itself: that one cannot be brought back must not keep the others. */
static struct error *go_back(
	const struct recovery *recovery, const struct side *targets, size_t running)
{
	struct error *failure = NULL;

	for (size_t i = 0; i < recovery->count; i++) {
		const struct side *target = &targets[i];
		bool gone = target->unknown || target->had_run || has_resumed(recovery, i) ||
			    (target->absent && may_have_committed(recovery, i));

		if (target->running)
			continue;
		note_failure(&failure, recovery->items[i].guest,
			gone ? give_up(recovery, i, target) : back_to_source(recovery, i));
	}
	return move_committed_back(recovery, targets, running, failure);
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

static void add_place(struct recovery *recovery, const char *socket)
{
	for (size_t i = 0; i < recovery->place_count; i++) {
		if (strcmp(recovery->places[i].socket, socket) == 0)
			return;
	}
	recovery->places[recovery->place_count++] = (struct place){.socket = socket};
}

static struct error *recover(struct recovery *recovery, bool *forward)
{
	_cleanup_free_ struct side *targets = calloc(recovery->count + 1, sizeof(*targets));
	size_t running = 0;

	if (!targets)
		abort();
	for (size_t i = 0; i < recovery->count; i++) {
		add_place(recovery, recovery->items[i].source_socket);
		add_place(recovery, recovery->items[i].target_socket);
	}
	for (size_t i = 0; i < recovery->place_count; i++)
		revoke_mover(recovery, &recovery->places[i]);
	for (size_t i = 0; i < recovery->count; i++) {
		look_at_target(recovery, i, &targets[i]);
		running += targets[i].running;
	}
	*forward = running == recovery->count;
	return *forward ? go_forward(recovery) : go_back(recovery, targets, running);
}

struct error *move_recover(const struct move_item *items, size_t count,
	const struct move_options *options, int64_t session, const int *reached,
	struct move_report *reports, struct error *err)
{
	_cleanup_free_ struct place *places = calloc(2 * count + 1, sizeof(*places));
	struct recovery recovery = {.items = items,
		.count = count,
		.options = options,
		.session = session,
		.reached = reached,
		.reports = reports,
		.places = places};
	bool forward = false;
	struct error *failure;

	if (!places)
		abort();
	failure = recover(&recovery, &forward);
	if (failure)
		return both(err, failure);
	if (!forward)
		return error_prefix(err, "%s",
			count == 1 ? "the guest runs on its old stack again"
				   : "all guests run on their old stack again");
	error_destroy(err);
	return NULL;
}
