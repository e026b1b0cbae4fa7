/* The steps of a move, as the mover takes them: see move.h. Until the commit nothing is done that
 * the source could not go on after. */
#include "harness/fleet/move_internal.h"
#include "harness/fleet/shared_devices.h"
#include "harness/base/fs.h"

#include <string.h>

/* What a second QEMU needs beside the guest's RAM. */
#define QEMU_BYTES ((uint64_t)64 << 20)
#define CLOCK_READINGS 8

/* ---- preflight ---- */

static struct error *check_source(struct mover *mover, struct party *party)
{
	_cleanup_json_ json_t *status = NULL;
	_cleanup_json_ json_t *memory = NULL;

	try_(move_ask(mover, party, false, json_pack("{s:s}", "op", "status"), &status));
	if (strcmp(text(status, "status"), "running") != 0)
		return error_hint(error_new(ERROR_GUEST, "it does not run, it is '%s'",
					  text(status, "status")),
			"only running guests are moved");
	try_(move_ask(mover, party, false, json_pack("{s:s}", "op", "memory"), &memory));
	party->report->memory_bytes = (uint64_t)integer(memory, "bytes");
	if (!is_copying(mover) &&
		(integer(memory, "inode") == 0 || !json_is_true(json_object_get(memory, "shared"))))
		return error_hint(error_new(ERROR_USAGE,
					  "its memory is no file that another QEMU could share"),
			"start the fleet with shared RAM (RAM_SHARED), or move it by precopy");
	if (mover->options->method == MOVE_CPR)
		return move_ask(mover, party, false, json_pack("{s:s}", "op", "cpr"), NULL);
	return NULL;
}

static struct error *check_room(struct mover *mover, struct party *party, uint64_t others)
{
	uint64_t need = QEMU_BYTES + (is_copying(mover) ? party->report->memory_bytes : 0);
	_cleanup_json_ json_t *room = NULL;
	uint64_t available;

	try_(move_ask(mover, party, true, json_pack("{s:s}", "op", "room"), &room));
	available = (uint64_t)integer(room, "available_bytes");
	if (available >= need + others)
		return NULL;
	return error_hint(
		error_new(ERROR_SETUP,
			"no room for a second QEMU: it needs %llu MiB, the target has %llu",
			(unsigned long long)(need + others) >> 20,
			(unsigned long long)available >> 20),
		"move guests one by one, or without copying");
}

/* The offset by the reading whose round trip was shortest; 0 under one kernel, exactly. */
static struct error *relate_clocks(struct mover *mover, struct party *party)
{
	int64_t shortest = INT64_MAX;

	for (int i = 0; i < CLOCK_READINGS; i++) {
		_cleanup_json_ json_t *source = NULL;
		_cleanup_json_ json_t *target = NULL;
		_cleanup_json_ json_t *again = NULL;

		try_(move_ask(mover, party, false, json_pack("{s:s}", "op", "clock"), &source));
		try_(move_ask(mover, party, true, json_pack("{s:s}", "op", "clock"), &target));
		party->unlike_kernels =
			strcmp(text(source, "boot_id"), text(target, "boot_id")) != 0;
		if (!party->unlike_kernels)
			return NULL;
		try_(move_ask(mover, party, false, json_pack("{s:s}", "op", "clock"), &again));
		int64_t before = integer(source, "realtime_ns");
		int64_t after = integer(again, "realtime_ns");

		if (after - before < shortest) {
			shortest = after - before;
			party->clock_offset_ns =
				integer(target, "realtime_ns") - (before + after) / 2;
		}
	}
	return NULL;
}

struct error *move_preflight(struct mover *mover, struct party *parties, size_t count)
{
	uint64_t others = 0;

	for (size_t i = 0; i < count; i++) {
		struct party *party = &parties[i];
		struct error *err = check_source(mover, party);

		if (!err)
			err = check_room(mover, party, others);
		if (!err)
			err = relate_clocks(mover, party);
		if (!err && mover->options->method == MOVE_CPR && party->unlike_kernels)
			err = error_hint(error_new(ERROR_USAGE, "cpr-transfer is for two QEMUs "
								"under one kernel"),
				"move it by zerocopy or precopy");
		if (err)
			return error_prefix(err, "guest %s cannot be moved", party->item->guest);
		party->vcpu_before_s = move_vcpu_s(mover, party, false);
		others += QEMU_BYTES + (is_copying(mover) ? party->report->memory_bytes : 0);
	}
	return NULL;
}

/* ---- receive ---- */

static json_t *make_receive(struct mover *mover, struct party *party)
{
	json_t *request = json_copy((json_t *)party->item->receive);

	json_object_set_new(request, "op", json_string("receive"));
	json_object_set_new(request, "cpr", json_boolean(mover->options->method == MOVE_CPR));
	return request;
}

static struct error *take_receive(struct mover *mover, struct party *party, json_t *answer)
{
	party->report->target_pid = (pid_t)integer(answer, "pid");
	if (mover->options->method == MOVE_CPR)
		party->cpr_path = format_string("%s", text(answer, "cpr"));
	return NULL;
}

/* QEMU is asked, on both sides, since the description of a machine is not the machine. */
static struct error *compare_machines(struct mover *mover, struct party *party)
{
	static const char *const names[] = {"machine", "cpu", "vcpus", "memory_bytes", "kvm"};
	_cleanup_json_ json_t *source = NULL;
	_cleanup_json_ json_t *target = NULL;

	try_(move_ask(mover, party, false, json_pack("{s:s}", "op", "machine"), &source));
	try_(move_ask(mover, party, true, json_pack("{s:s}", "op", "machine"), &target));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const json_t *a = json_object_get(source, names[i]);
		const json_t *b = json_object_get(target, names[i]);
		_cleanup_free_ char *here = NULL;
		_cleanup_free_ char *there = NULL;

		if (json_equal(a, b))
			continue;
		here = json_dumps(a, JSON_ENCODE_ANY);
		there = json_dumps(b, JSON_ENCODE_ANY);
		return error_new(ERROR_SETUP,
			"the target's machine is another one: %s is %s, not %s", names[i],
			there ? there : "unknown", here ? here : "unknown");
	}
	return NULL;
}

static struct error *compare_memory(struct mover *mover, struct party *party)
{
	static const char *const names[] = {"device", "inode", "offset", "bytes", "shared"};
	_cleanup_json_ json_t *source = NULL;
	_cleanup_json_ json_t *target = NULL;

	try_(move_ask(mover, party, false, json_pack("{s:s}", "op", "memory"), &source));
	try_(move_ask(mover, party, true, json_pack("{s:s}", "op", "memory"), &target));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!json_equal(
			    json_object_get(source, names[i]), json_object_get(target, names[i])))
			return error_new(ERROR_SETUP,
				"the target maps other memory than the source: %s:%lld at %lld, "
				"%lld bytes, not %s:%lld at %lld, %lld bytes",
				text(target, "device"), integer(target, "inode"),
				integer(target, "offset"), integer(target, "bytes"),
				text(source, "device"), integer(source, "inode"),
				integer(source, "offset"), integer(source, "bytes"));
	}
	party->report->same_memory = true;
	return NULL;
}

/* What has been plugged into the guest since its start is not in the target's arguments. */
static struct error *move_regions(struct mover *mover, struct party *party)
{
	_cleanup_json_ json_t *devices = NULL;
	_cleanup_json_ json_t *memory = NULL;

	try_(shared_devices_describe(
		party->source, party->item->source_name, mover->deadline, &devices));
	party->has_regions = json_array_size(devices) > 0;
	if (!party->has_regions)
		return NULL;
	try_(move_ask(mover, party, false, json_pack("{s:s}", "op", "memory"), &memory));
	if (is_copying(mover) && json_is_true(json_object_get(memory, "shared")))
		return error_hint(
			error_new(ERROR_USAGE, "it shares memory with other guests, and a region "
					       "that is not sent cannot be told from RAM that is "
					       "to be: both are shared"),
			"move it by zerocopy, or start the fleet with private RAM");
	return shared_devices_provide(
		party->target, party->item->target_name, devices, mover->deadline);
}

static struct error *prepare_target(struct mover *mover, struct party *party)
{
	const struct move_options *options = mover->options;
	const struct move_item *item = party->item;

	try_(compare_machines(mover, party));
	if (!is_copying(mover) && !party->unlike_kernels && !options->ignore_identity)
		try_(compare_memory(mover, party));
	try_(move_regions(mover, party));
	if (options->prepare)
		try_(options->prepare(
			options->context, item, party->source, party->target, mover->deadline));
	/* A source that is ready would send at once. */
	if (options->method == MOVE_CPR)
		return NULL;
	return move_ask(mover, party, true, move_make_listen(mover, party), NULL);
}

struct error *move_receive(struct mover *mover, struct party *parties, size_t count)
{
	int64_t begin_ns = clock_now_ns();

	try_(move_ask_all(mover, parties, count, true, make_receive, take_receive));
	if (mover->options->method == MOVE_CPR)
		try_(move_ask_all(mover, parties, count, false, move_make_send, NULL));
	for (size_t i = 0; i < count; i++) {
		struct error *err = prepare_target(mover, &parties[i]);

		if (err)
			return error_prefix(
				err, "target's QEMU of guest %s", parties[i].item->guest);
		parties[i].report->receive_ms = clock_seconds(begin_ns, clock_now_ns()) * 1e3;
	}
	return NULL;
}
