/* The steps of a move in which state and memory get to the target, and the proof that they have:
 * see move.h. */
#include "harness/fleet/move_internal.h"

#include <string.h>

#define DEFAULT_SAMPLES 256
#define UNLIMITED_BYTES_S ((json_int_t)1 << 40)

json_t *move_capabilities(const struct mover *mover, const struct party *party, bool target)
{
	const struct move_options *options = mover->options;
	json_t *names = json_array();

	/* A region that is sent would be written over what other guests have written since.
	 * MOVE_CPR sends no memory at all. */
	if (options->method == MOVE_ZEROCOPY || (party->has_regions && options->method != MOVE_CPR))
		json_array_append_new(names, json_string("x-ignore-shared"));
	if (options->method == MOVE_POSTCOPY)
		json_array_append_new(names, json_string("postcopy-ram"));
	/* The target takes the disks when it runs, and not before: until then they are the
	 * source's, should it have to go on. */
	if (target)
		json_array_append_new(names, json_string("late-block-activate"));
	return names;
}

json_t *move_parameters(const struct move_options *options)
{
	json_t *parameters = json_pack("{s:I}", "max-bandwidth",
		options->bandwidth_bytes_s ? (json_int_t)options->bandwidth_bytes_s
					   : UNLIMITED_BYTES_S);

	if (options->method == MOVE_CPR)
		json_object_set_new(parameters, "mode", json_string("cpr-transfer"));
	if (options->downtime_limit_ms > 0)
		json_object_set_new(
			parameters, "downtime-limit", json_integer(options->downtime_limit_ms));
	return parameters;
}

static struct error *populate(struct mover *mover, struct party *party)
{
	int64_t begin_ns = clock_now_ns();
	json_int_t from = 0;
	bool done = false;

	while (!done) {
		_cleanup_json_ json_t *answer = NULL;

		try_(move_ask(mover, party, true,
			json_pack("{s:s, s:I}", "op", "populate", "from", from), &answer));
		from = integer(answer, "next");
		done = json_is_true(json_object_get(answer, "done"));
		if (!done && deadline_passed(mover->deadline))
			return error_new(ERROR_TIMEOUT,
				"deadline passed while filling the page tables of the target");
	}
	party->report->populate_ms = clock_seconds(begin_ns, clock_now_ns()) * 1e3;
	return NULL;
}

/* What takes time and can be done while the guest runs. */
static struct error *get_ready(struct mover *mover, struct party *party)
{
	unsigned int samples = mover->options->sample_pages;
	_cleanup_json_ json_t *answer = NULL;

	if (mover->options->populate && !is_copying(mover))
		try_(populate(mover, party));
	if (!is_copying(mover)) {
		try_(move_ask(mover, party, false,
			json_pack("{s:s, s:i, s:I}", "op", "sample", "count",
				samples ? (int)samples : DEFAULT_SAMPLES, "seed",
				(json_int_t)mover->session),
			&answer));
		party->samples = json_incref(json_object_get(answer, "offsets"));
	}
	return NULL;
}

json_t *move_make_send(struct mover *mover, struct party *party)
{
	party->begin_ns = clock_now_ns();
	return json_pack("{s:s, s:s, s:o, s:o, s:s*}", "op", "send", "uri", party->item->source_uri,
		"capabilities", move_capabilities(mover, party, false), "parameters",
		move_parameters(mover->options), "cpr", party->cpr_path);
}

json_t *move_make_listen(struct mover *mover, struct party *party)
{
	/* With MOVE_CPR, the command upon which the source stops. */
	if (mover->options->method == MOVE_CPR)
		party->begin_ns = clock_now_ns();
	return json_pack("{s:s, s:s, s:o, s:o}", "op", "listen", "uri", party->item->target_uri,
		"capabilities", move_capabilities(mover, party, true), "parameters",
		move_parameters(mover->options));
}

struct error *move_await(struct mover *mover, struct party *party, bool target, const char *until)
{
	for (;;) {
		_cleanup_json_ json_t *answer = NULL;
		const char *status;

		try_(move_ask(mover, party, target,
			json_pack("{s:s, s:i, s:s}", "op", "await", "timeout_ms", 200, "until",
				until),
			&answer));
		status = text(answer, "status");
		if (integer(answer, "stop_ns") && !target)
			party->report->stop_ns = integer(answer, "stop_ns");
		if (integer(answer, "resume_ns") && target)
			party->report->resume_ns =
				integer(answer, "resume_ns") - party->clock_offset_ns;
		if (strcmp(status, "completed") == 0 || strcmp(status, until) == 0)
			return NULL;
		if (strcmp(status, "waiting") != 0)
			return error_new(ERROR_GUEST, "the migration %s at the %s%s%s", status,
				target ? "target" : "source",
				json_object_get(json_object_get(answer, "migration"), "error-desc")
					? ": "
					: "",
				text(json_object_get(answer, "migration"), "error-desc"));
		if (deadline_passed(mover->deadline))
			return error_new(ERROR_TIMEOUT,
				"deadline passed while waiting for the %s to be %s",
				target ? "target" : "source", until);
	}
}

static struct error *await_all(
	struct mover *mover, struct party *parties, size_t count, const char *until)
{
	for (size_t i = 0; i < count; i++) {
		struct error *err = move_await(mover, &parties[i], false, until);

		if (!err && strcmp(until, "completed") == 0)
			err = move_await(mover, &parties[i], true, until);
		if (err)
			return error_prefix(err, "guest %s", parties[i].item->guest);
	}
	return NULL;
}

struct error *move_transfer(struct mover *mover, struct party *parties, size_t count)
{
	bool postcopy = mover->options->method == MOVE_POSTCOPY;
	bool cpr = mover->options->method == MOVE_CPR;

	for (size_t i = 0; i < count; i++)
		try_(get_ready(mover, &parties[i]));
	try_(move_ask_all(
		mover, parties, count, cpr, cpr ? move_make_listen : move_make_send, NULL));
	return await_all(mover, parties, count, postcopy ? "active" : "completed");
}

/* ---- verify ---- */

static json_t *make_digest(struct mover *mover, struct party *party)
{
	if (mover->options->digest_all)
		return json_pack("{s:s}", "op", "digest");
	return json_pack("{s:s, s:O}", "op", "digest", "offsets", party->samples);
}

/* Compares what both sides say; the first place that differs is named. */
static struct error *compare_digests(
	const struct mover *mover, struct party *party, const json_t *source, const json_t *target)
{
	const json_t *here = json_object_get(source, "digests");
	const json_t *there = json_object_get(target, "digests");
	size_t count = json_array_size(here);

	party->report->digest_pages = (uint64_t)integer(source, "pages");
	if (count == 0)
		return error_new(ERROR_GUEST, "there is no memory to compare");
	if (json_array_size(there) != count)
		return error_new(ERROR_GUEST, "the target has memory of another size");
	for (size_t i = 0; i < count; i++) {
		json_int_t at = mover->options->digest_all
					? (json_int_t)(i << 21)
					: json_integer_value(json_array_get(party->samples, i));

		if (!json_equal(json_array_get(here, i), json_array_get(there, i)))
			return error_new(ERROR_GUEST,
				"the target's memory is not the source's: it differs at %#llx",
				(unsigned long long)at);
	}
	return NULL;
}

static struct error *verify(struct mover *mover, struct party *party)
{
	_cleanup_json_ json_t *source = NULL;
	_cleanup_json_ json_t *target = NULL;

	/* Both at once: the guest stands still. */
	try_(move_send(party, false, make_digest(mover, party)));
	try_(move_send(party, true, make_digest(mover, party)));
	try_(stack_receive(party->source, mover->deadline, &source));
	try_(stack_receive(party->target, mover->deadline, &target));
	return compare_digests(mover, party, source, target);
}

struct error *move_verify(struct mover *mover, struct party *parties, size_t count)
{
	/* What has been copied is compared when it is asked for; pages of postcopy are not there
	 * yet. */
	if (mover->options->method == MOVE_POSTCOPY ||
		(is_copying(mover) && !mover->options->digest_all))
		return NULL;
	for (size_t i = 0; i < count; i++) {
		int64_t begin_ns = clock_now_ns();
		struct error *err = verify(mover, &parties[i]);

		parties[i].report->verify_ms = clock_seconds(begin_ns, clock_now_ns()) * 1e3;
		if (err)
			return error_prefix(err, "guest %s", parties[i].item->guest);
	}
	return NULL;
}
