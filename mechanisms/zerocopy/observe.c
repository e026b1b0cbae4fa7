/* A move as it is seen from outside: a client that asks each guest again and again, another that
 * reads a stream from it, the kernel's accounts, and the mover's report. */
#include "mechanisms/zerocopy/observe.h"
#include "harness/base/fs.h"
#include "harness/base/parallel.h"
#include "harness/host/memory_counters.h"
#include "harness/host/proc.h"

#include <math.h>

/* How long replies and records have to come in to show that a client is served, before a move and
 * after it. */
enum { SERVED_BEFORE_MS = 200, SERVED_AFTER_MS = 100 };

/* After a move whose guest is asked how long it took to work as before. */
enum { SERVED_LONG_AFTER_MS = 3000 };

/* Replies, or records, of a client that is served for so long. */
static uint64_t answers_in(const struct trial *trial, int64_t ms)
{
	int64_t client_ms = trial_integer(trial, "client_ms");

	return (uint64_t)((ms + client_ms - 1) / client_ms);
}

static void watch_deinit(struct watch *watch)
{
	probe_destroy(watch->probe);
	stream_destroy(watch->stream);
	for (size_t i = 0; i < watch->count; i++) {
		free((char *)watch->targets[i].address);
		probe_series_deinit(&watch->probed[i]);
		stream_series_deinit(&watch->streamed[i]);
	}
}

struct served {
	const struct trial *trial;
	struct watch *watch;
	uint64_t replies, records;
	bool stream_may_break;
};

static struct error *await_client(size_t item, void *context)
{
	const struct served *served = context;
	struct deadline deadline = trial_deadline(served->trial);
	struct error *err;

	if (item == 0)
		return probe_await(served->watch->probe, served->replies, deadline);
	err = stream_await(served->watch->stream, served->records, deadline);
	if (!served->stream_may_break)
		return err;
	error_destroy(err);
	return NULL;
}

/* Both at once: each needs its time. */
static struct error *await_clients(struct served served)
{
	return parallel_for(2, 2, await_client, &served);
}

static bool lives(const void *context)
{
	const struct watched_guest *guest = context;

	return !proc_has_ended(fleet_guest_pid(guest->fleet, guest->number));
}

/* A guest whose kernel panics ends. */
static struct error *explain_silence(
	struct trial *trial, const unsigned int guests[], size_t count, struct error *err)
{
	const struct fleet *fleet = zerocopy_guests(trial);

	for (size_t i = 0; zerocopy_topology(trial)->seen_from_here && i < count; i++) {
		const struct watched_guest guest = {fleet, guests[i]};
		_cleanup_free_ char *words = fleet_guest_last_words(fleet, guests[i]);

		if (!lives(&guest))
			return error_hint(err, "the QEMU of guest %s has ended; %s%.300s",
				fleet_guest_name(fleet, guests[i]),
				words ? "its console: " : "look at its console log",
				words ? words : "");
	}
	return err;
}

static struct error *watch_start(
	struct trial *trial, const unsigned int guests[], size_t count, struct watch *watch)
{
	struct fleet *fleet = zerocopy_guests(trial);
	unsigned int client_ms = (unsigned int)trial_integer(trial, "client_ms");
	const uint64_t enough = answers_in(trial, SERVED_BEFORE_MS);

	for (; watch->count < count; watch->count++) {
		struct watched_guest *guest = &watch->guests[watch->count];

		*guest = (struct watched_guest){fleet, guests[watch->count]};
		watch->targets[watch->count] = (struct probe_target){
			.name = fleet_guest_name(fleet, guest->number),
			.address = fleet_guest_address(fleet, guest->number, 0),
			.lives = zerocopy_topology(trial)->seen_from_here ? lives : NULL,
			.lives_context = guest,
		};
	}
	try_(probe_start(watch->targets, count, 1000 * client_ms, &watch->probe));
	try_(stream_start(watch->targets, count, trial_deadline(trial), &watch->stream));
	return await_clients((struct served){trial, watch, enough, enough, false});
}

/* A connection that broke is no error here: it is what is to be found out. */
static struct error *watch_stop(struct trial *trial, struct watch *watch)
{
	try_(await_clients((struct served){
		trial, watch, watch->replies_after, answers_in(trial, SERVED_AFTER_MS), true}));
	try_(probe_stop(take_ptr(watch->probe), watch->probed));
	return stream_stop(take_ptr(watch->stream), watch->streamed);
}

/* ---- who has the guest, and on which memory ---- */

static struct error *find_placement(
	struct trial *trial, unsigned int guest, struct placement *placement)
{
	_cleanup_free_ char *maps = NULL;
	uint64_t largest = 0;
	struct proc_map map;

	placement->process = fleet_guest_pid(zerocopy_guests(trial), guest);
	try_(proc_read_maps(placement->process, &maps));
	for (const char *at = maps; proc_next_map(&at, &map);) {
		if (!map.shared || map.inode == 0 || map.to - map.from <= largest)
			continue;
		largest = map.to - map.from;
		placement->inode = map.inode;
		placement->device_major = map.device_major;
		placement->device_minor = map.device_minor;
	}
	return NULL;
}

static bool same_file(const struct placement *a, const struct placement *b)
{
	return a->inode != 0 && a->inode == b->inode && a->device_major == b->device_major &&
	       a->device_minor == b->device_minor;
}

/* ---- one move ---- */

enum move_method zerocopy_method(const struct trial *trial)
{
	const char *name = trial_choice(trial, "method");
	enum move_method method = MOVE_ZEROCOPY;

	while (method < MOVE_CPR && strcmp(name, move_method_name(method)) != 0)
		method++;
	return method;
}

struct move_options zerocopy_move_options(const struct trial *trial)
{
	return (struct move_options){
		.method = zerocopy_method(trial),
		.digest_all = trial_boolean(trial, "digest_all"),
		.populate = trial_boolean(trial, "populate"),
		/* Together, those that have been copied would stand still until the last one has.
		 */
		.one_by_one = zerocopy_copies(trial),
		.deadline = trial_deadline(trial),
	};
}

/* 0 of links that the topology has not. */
static struct error *read_links(struct trial *trial, uint64_t *network, uint64_t *control)
{
	const struct topology *topology = zerocopy_topology(trial);

	*network = *control = 0;
	if (topology->network)
		try_(topology->network(trial, network));
	return topology->control ? topology->control(trial, control) : NULL;
}

static struct error *read_counters(struct trial *trial, double *bytes)
{
	const struct zerocopy *state = trial_state(trial);

	*bytes = NAN;
	return state->counters ? memory_counters_read(state->counters, bytes) : NULL;
}

static struct error *move_them(
	struct trial *trial, const unsigned int guests[], size_t count, struct move_seen *seen)
{
	const struct topology *topology = zerocopy_topology(trial);
	struct move_options options = zerocopy_move_options(trial);

	for (size_t i = 0; topology->seen_from_here && i < count; i++)
		try_(find_placement(trial, guests[i], &seen->before[i]));
	/* Innermost what counts bytes: reading CPU time of another machine takes some. */
	try_(topology->cpu(trial, seen->from, &seen->cpu_before));
	try_(read_links(trial, &seen->network_before, &seen->control_before));
	try_(read_counters(trial, &seen->counted_before));
	seen->begin_ns = clock_now_ns();
	try_(topology->move(trial, guests, count, &options, seen->reports));
	seen->end_ns = clock_now_ns();
	try_(read_counters(trial, &seen->counted_after));
	try_(read_links(trial, &seen->network_after, &seen->control_after));
	return topology->cpu(trial, seen->from, &seen->cpu_after);
}

/* ---- proof ---- */

/* Copying takes what QEMU says to have sent over the link; without it next to nothing crosses. */
static void prove_link(struct trial *trial, size_t count, const struct move_seen *seen)
{
	struct proof *proof = &((struct zerocopy *)trial_state(trial))->proof;
	uint64_t carried = seen->network_after - seen->network_before;
	uint64_t control = seen->control_after - seen->control_before;
	uint64_t sent = 0, memory = 0;

	for (size_t i = 0; i < count; i++) {
		sent += seen->reports[i].sent_bytes;
		memory += seen->reports[i].memory_bytes;
	}
	proof->link_bytes += carried + control;
	if (zerocopy_copies(trial)
			? sent > 0 && carried >= sent
			: (double)(carried + control) < ZEROCOPY_LINK_SHARE_MOST * (double)memory)
		proof->link_right += (unsigned int)count;
}

static struct error *prove_one(struct trial *trial, unsigned int guest, unsigned int from,
	const struct move_report *report, const struct placement *before,
	const struct stream_series *stream)
{
	struct zerocopy *state = trial_state(trial);
	struct zerocopy_guest *own = &state->guests[guest];
	const struct topology *topology = zerocopy_topology(trial);
	struct proof *proof = &state->proof;
	_cleanup_free_ char *boot_id = NULL;
	struct placement after = {0};
	struct sight sight = {0};

	own->moves++;
	own->sent_bytes += report->sent_bytes;
	proof->moves++;
	proof->same_memory += report->same_memory;
	proof->digest_pages += report->digest_pages;
	proof->watched += stream->arrivals != NULL;
	proof->connected += stream->arrivals && !stream->broken;
	if (stream->broken && !proof->broken)
		proof->broken = format_string("%s", stream->broken);
	try_(guest_boot_id(trial, guest, &boot_id));
	proof->same_boot += strcmp(boot_id, own->boot_id) == 0;
	if (topology->seen_from_here) {
		try_(find_placement(trial, guest, &after));
		sight.same_memory = same_file(before, &after);
		sight.changed_sides =
			after.process != before->process && proc_has_ended(before->process);
	} else {
		try_(topology->sight(trial, guest, from, &sight));
	}
	proof->same_inode += sight.same_memory;
	proof->source_ended += sight.changed_sides;
	return NULL;
}

/* Where nobody watches, what only clients see is not there to be read. */
static struct error *move_and_read(struct trial *trial, const unsigned int guests[], size_t count,
	bool watched, json_t *at, struct watch *watch, struct move_seen *seen)
{
	const struct topology *topology = zerocopy_topology(trial);
	struct error *silence;

	seen->from = fleet_guest_stack(zerocopy_guests(trial), guests[0]);
	if (topology->ready)
		topology->ready(trial, seen->from);
	if (watched)
		try_(watch_start(trial, guests, count, watch));
	watch->count = count;
	try_(move_them(trial, guests, count, seen));
	silence = watched ? watch_stop(trial, watch) : NULL;
	if (silence)
		return explain_silence(trial, guests, count, silence);
	for (size_t i = 0; i < count; i++)
		try_(prove_one(trial, guests[i], seen->from, &seen->reports[i], &seen->before[i],
			&watch->streamed[i]));
	prove_link(trial, count, seen);
	try_(read_times(trial, watch, seen, at));
	return read_costs(trial, count, seen, at);
}

/* `moments` may be NULL; else the clients stay for longer. */
static struct error *observe(struct trial *trial, const unsigned int guests[], size_t count,
	bool watched, json_t *at, struct move_seen *seen, struct guest_moments *moments)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	struct error *err;

	if (!watch)
		abort();
	watch->replies_after = answers_in(trial, moments ? SERVED_LONG_AFTER_MS : SERVED_AFTER_MS);
	err = move_and_read(trial, guests, count, watched, at, watch, seen);
	if (!err && moments)
		*moments = find_moments(&watch->probed[0], seen);
	watch_deinit(watch);
	free(watch);
	return err;
}

struct error *observe_move(
	struct trial *trial, const unsigned int guests[], size_t count, json_t *at)
{
	_cleanup_free_ struct move_seen *seen = calloc(1, sizeof(*seen));

	if (!seen || count > ZEROCOPY_GUESTS_MAX)
		abort();
	return observe(trial, guests, count, true, at, seen, NULL);
}

struct error *observe_move_in_guest(
	struct trial *trial, unsigned int guest, json_t *at, struct guest_moments *moments)
{
	_cleanup_free_ struct move_seen *seen = calloc(1, sizeof(*seen));

	if (!seen)
		abort();
	return observe(trial, &guest, 1, true, at, seen, moments);
}

struct error *observe_bare_move(
	struct trial *trial, unsigned int guest, int64_t *begin_ns, int64_t *end_ns)
{
	_cleanup_free_ struct move_seen *seen = calloc(1, sizeof(*seen));

	if (!seen)
		abort();
	try_(observe(trial, &guest, 1, false, NULL, seen, NULL));
	*begin_ns = seen->begin_ns;
	*end_ns = seen->end_ns;
	return NULL;
}
