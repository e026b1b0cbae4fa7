/* The process that moves guests: takes the steps in order and asks its keeper before each. It may
 * be killed at any moment, so nothing that must be known lives in it alone. See move.h. */
#include "harness/fleet/move_internal.h"
#include "harness/base/fs.h"

#include <string.h>

/* The stack of one side; the request gets the name that the guest has there. */
static struct stack *address(const struct party *party, bool target, json_t *request)
{
	json_object_set_new(request, "name",
		json_string(target ? party->item->target_name : party->item->source_name));
	return target ? party->target : party->source;
}

struct error *move_send(struct party *party, bool target, json_t *request)
{
	return stack_send(address(party, target, request), request);
}

struct error *move_ask(
	struct mover *mover, struct party *party, bool target, json_t *request, json_t **answer)
{
	return stack_request(address(party, target, request), request, mover->deadline, answer);
}

struct error *move_ask_all(struct mover *mover, struct party *parties, size_t count, bool target,
	json_t *(*make)(struct mover *mover, struct party *party),
	struct error *(*take)(struct mover *mover, struct party *party, json_t *answer))
{
	_cleanup_free_ bool *asked = calloc(count + 1, sizeof(*asked));
	struct error *first = NULL;

	if (!asked)
		abort();
	for (size_t i = 0; i < count && !first; i++) {
		struct party *party = &parties[i];
		json_t *request = make(mover, party);

		if (!request)
			continue;
		first = move_send(party, target, request);
		asked[i] = !first;
	}
	for (size_t i = 0; i < count; i++) {
		_cleanup_json_ json_t *answer = NULL;
		struct party *party = &parties[i];
		struct error *err;

		if (!asked[i])
			continue;
		err = stack_receive(
			target ? party->target : party->source, mover->deadline, &answer);
		if (!err && take)
			err = take(mover, party, answer);
		if (err && !first)
			first = error_prefix(err, "guest %s", party->item->guest);
		else
			error_destroy(err);
	}
	return first;
}

static struct error *await_go(struct mover *mover, enum move_step step, size_t party)
{
	_cleanup_json_ json_t *go = NULL;

	try_(jsonline_send(mover->keeper_fd,
		json_pack("{s:i, s:I}", "step", (int)step, "item", (json_int_t)party),
		"the keeper"));
	/* The keeper thinks as long as it likes: a test may have to find a process to kill. */
	try_(jsonline_receive(&mover->reader, "the keeper", deadline_after_ms(INT32_MAX), &go));
	return go ? NULL : error_new(ERROR_INTERNAL, "the keeper is gone");
}

static struct error *take_steps(struct mover *mover, struct party *parties, size_t count)
{
	static move_step_body *const bodies[MOVE_STEP_COUNT] = {
		[MOVE_PREFLIGHT] = move_preflight,
		[MOVE_RECEIVE] = move_receive,
		[MOVE_TRANSFER] = move_transfer,
		[MOVE_VERIFY] = move_verify,
		[MOVE_COMMIT] = move_commit,
		[MOVE_FINISH] = move_finish,
	};

	for (int step = 0; step < MOVE_STEP_COUNT; step++) {
		struct error *err = NULL;

		for (size_t i = 0; i < count && !err; i++)
			err = await_go(mover, (enum move_step)step,
				(size_t)(&parties[i] - mover->parties));
		if (!err)
			err = bodies[step](mover, parties, count);
		if (err && count == 1)
			return error_prefix(err, "%s of guest %s",
				move_step_name((enum move_step)step), parties[0].item->guest);
		if (err)
			return error_prefix(err, "%s", move_step_name((enum move_step)step));
	}
	return NULL;
}

static struct error *connect_party(struct mover *mover, struct party *party)
{
	try_(stack_connect(party->item->source_socket, &party->source));
	try_(stack_connect(party->item->target_socket, &party->target));
	stack_set_session(party->source, mover->session);
	stack_set_session(party->target, mover->session);
	return NULL;
}

static struct error *move_parties(struct mover *mover)
{
	if (!mover->options->one_by_one) {
		for (size_t i = 0; i < mover->count; i++)
			try_(connect_party(mover, &mover->parties[i]));
		return take_steps(mover, mover->parties, mover->count);
	}
	for (size_t i = 0; i < mover->count; i++) {
		try_(connect_party(mover, &mover->parties[i]));
		try_(take_steps(mover, &mover->parties[i], 1));
	}
	return NULL;
}

struct error *mover_run(const struct move_item *items, size_t count,
	const struct move_options *options, int64_t session, int keeper_fd,
	struct move_report *reports)
{
	struct mover mover = {.options = options,
		.count = count,
		.keeper_fd = keeper_fd,
		.reader = {.fd = keeper_fd},
		.session = session,
		.deadline = options->deadline};

	mover.parties = calloc(count + 1, sizeof(*mover.parties));
	if (!mover.parties)
		abort();
	for (size_t i = 0; i < count; i++) {
		mover.parties[i].item = &items[i];
		mover.parties[i].report = &reports[i];
	}
	return move_parties(&mover);
	/* Connections and memory go with the process. */
}
