/* The steps from the point of no return on: see move.h. */
#include "harness/fleet/move_internal.h"

#include <math.h>
#include <poll.h>
#include <string.h>

static json_t *make_resume(struct mover *mover, struct party *party)
{
	(void)mover;
	(void)party;
	return json_pack("{s:s}", "op", "resume");
}

static void note_downtime(struct move_report *report)
{
	if (report->stop_ns && report->resume_ns)
		report->downtime_ms = clock_seconds(report->stop_ns, report->resume_ns) * 1e3;
}

static struct error *take_resume(struct mover *mover, struct party *party, json_t *answer)
{
	(void)mover;
	party->report->total_ms = clock_seconds(party->begin_ns, clock_now_ns()) * 1e3;
	if (integer(answer, "resume_ns"))
		party->report->resume_ns = integer(answer, "resume_ns") - party->clock_offset_ns;
	note_downtime(party->report);
	return NULL;
}

static json_t *make_postcopy(struct mover *mover, struct party *party)
{
	(void)mover;
	(void)party;
	return json_pack("{s:s}", "op", "postcopy");
}

/* The source gives its disks up when it has stopped; only then does the target's QEMU get them, and
 * it has no event for that. */
static struct error *resume_postcopy(struct mover *mover, struct party *party)
{
	for (;;) {
		_cleanup_json_ json_t *answer = NULL;
		struct error *err =
			move_ask(mover, party, true, json_pack("{s:s}", "op", "resume"), &answer);

		if (!err)
			return take_resume(mover, party, answer);
		if (deadline_passed(mover->deadline) || !strstr(error_message(err), "lock"))
			return err;
		error_destroy(err);
		poll(NULL, 0, 1);
	}
}

/* A source that has begun its postcopy cannot go back when there is no target: QEMU 7.2 then waits
 * to be told of another one, deaf to a cancellation. So whoever has died before is found out
 * before. */
static struct error *check_targets(struct mover *mover, struct party *parties, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		_cleanup_json_ json_t *status = NULL;
		struct error *err = move_ask(
			mover, &parties[i], true, json_pack("{s:s}", "op", "status"), &status);

		if (!err && !json_is_true(json_object_get(status, "alive")))
			err = error_new(ERROR_GUEST, "its QEMU on the target has ended");
		if (err)
			return error_prefix(err, "guest %s", parties[i].item->guest);
	}
	return NULL;
}

static struct error *commit_postcopy(struct mover *mover, struct party *parties, size_t count)
{
	try_(check_targets(mover, parties, count));
	try_(move_ask_all(mover, parties, count, false, make_postcopy, NULL));
	for (size_t i = 0; i < count; i++) {
		struct error *err = move_await(mover, &parties[i], true, "postcopy-active");

		if (!err)
			err = resume_postcopy(mover, &parties[i]);
		if (err)
			return error_prefix(err, "guest %s", parties[i].item->guest);
	}
	return NULL;
}

struct error *move_commit(struct mover *mover, struct party *parties, size_t count)
{
	if (mover->options->method == MOVE_POSTCOPY)
		return commit_postcopy(mover, parties, count);
	return move_ask_all(mover, parties, count, true, make_resume, take_resume);
}

/* ---- finish ---- */

/* All pages of a postcopy are there when both sides say so. */
static struct error *await_pages(struct mover *mover, struct party *party)
{
	try_(move_await(mover, party, false, "completed"));
	try_(move_await(mover, party, true, "completed"));
	party->report->total_ms = clock_seconds(party->begin_ns, clock_now_ns()) * 1e3;
	note_downtime(party->report);
	return NULL;
}

double move_vcpu_s(struct mover *mover, struct party *party, bool target)
{
	_cleanup_json_ json_t *answer = NULL;
	struct error *err =
		move_ask(mover, party, target, json_pack("{s:s}", "op", "statistics"), &answer);

	if (!err)
		return json_real_value(json_object_get(answer, "vcpu_s"));
	error_destroy(err);
	return NAN;
}

/* QEMU's own numbers are complete some time after it has said that the migration is. */
static struct error *take_numbers(struct mover *mover, struct party *party)
{
	_cleanup_json_ json_t *answer = NULL;
	struct move_report *report = party->report;
	const json_t *migration, *ram;

	try_(move_ask(mover, party, false,
		json_pack("{s:s, s:s}", "op", "qmp", "command", "query-migrate"), &answer));
	migration = json_object_get(answer, "result");
	ram = json_object_get(migration, "ram");
	report->transfer_ms = json_number_value(json_object_get(migration, "total-time"));
	report->qemu_downtime_ms = json_number_value(json_object_get(migration, "downtime"));
	report->sent_bytes = (uint64_t)integer(ram, "transferred");
	report->dirty_sync_count = (uint64_t)integer(ram, "dirty-sync-count");
	return NULL;
}

/* A guest whose QEMU has died since must be told of, not counted as moved. */
static struct error *check_target(struct mover *mover, struct party *party)
{
	_cleanup_json_ json_t *status = NULL;

	try_(move_ask(mover, party, true, json_pack("{s:s}", "op", "status"), &status));
	if (!json_is_true(json_object_get(status, "running")))
		return error_new(ERROR_GUEST, "it does not run on the target");
	return NULL;
}

struct error *move_finish(struct mover *mover, struct party *parties, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct party *party = &parties[i];

		if (mover->options->method == MOVE_POSTCOPY)
			try_(await_pages(mover, party));
		try_(check_target(mover, party));
		try_(take_numbers(mover, party));
		party->report->source_vcpu_s =
			move_vcpu_s(mover, party, false) - party->vcpu_before_s;
		party->report->target_vcpu_s = move_vcpu_s(mover, party, true);
		try_(move_ask(mover, party, false, json_pack("{s:s}", "op", "end"), NULL));
		party->report->moved = true;
	}
	return NULL;
}
