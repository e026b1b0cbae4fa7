/* What is moved in a trial of paper D, and what runs in the guests meanwhile. */
#include "mechanisms/zerocopy/zerocopy.h"
#include "harness/base/fs.h"
#include "workloads/host/recovery.h"

#include <math.h>

/* More windows than the longest trial has. */
enum { WINDOWS_MOST = 1 << 20 };

int64_t zerocopy_sweep_step(const struct trial *trial, int64_t i, int64_t count)
{
	return trial_is_reversed(trial) ? count - 1 - i : i;
}

/* Guest by guest, each alone. */
static struct error *measure_idle(struct trial *trial)
{
	struct fleet *fleet = zerocopy_guests(trial);
	const unsigned int count = fleet_count(fleet);

	for (unsigned int i = 0; i < count; i++) {
		const unsigned int guest = (unsigned int)zerocopy_sweep_step(trial, i, count);
		_cleanup_json_ json_t *at = json_pack("{s:I}", "memory_mib",
			(json_int_t)(fleet_guest_memory(fleet, guest) >> 20));

		try_(observe_move(trial, &guest, 1, at));
	}
	return NULL;
}

/* All guests as one transaction. */
static struct error *measure_stack(struct trial *trial)
{
	unsigned int count = fleet_count(zerocopy_guests(trial));
	unsigned int guests[ZEROCOPY_GUESTS_MAX];
	_cleanup_json_ json_t *at = json_pack("{s:i}", "guests", (int)count);

	for (unsigned int i = 0; i < count; i++)
		guests[i] = i;
	return observe_move(trial, guests, count, at);
}

/* ---- a guest that dirties its memory ---- */

/* Which of the guest's windows its clock was in. */
static struct error *window_of(
	const json_t *result, uint64_t guest_ns, size_t count, size_t *window)
{
	json_int_t start_ns = json_integer_value(json_object_get(result, "start_ns"));

	if (start_ns <= 0 || guest_ns < (uint64_t)start_ns ||
		(guest_ns - (uint64_t)start_ns) / 1000000 / ZEROCOPY_WINDOW_MS >= count)
		return error_new(ERROR_GUEST,
			"the move is not within the %zu windows in which a guest counted its pages",
			count);
	*window = (guest_ns - (uint64_t)start_ns) / 1000000 / ZEROCOPY_WINDOW_MS;
	return NULL;
}

/* The guest's clock stands still while it is stopped, so the stop itself does not show: what shows
 * is what came after. */
static struct error *find_recovery(const json_t *result, const struct guest_moments *moments,
	struct recovery *recovery, double *rest_ms)
{
	const json_t *pages = json_object_get(result, "pages_per_window"), *one;
	size_t count = json_array_size(pages), i;
	_cleanup_free_ double *windows = calloc(count + 1, sizeof(*windows));
	struct recovery_question question = {.window_ms = ZEROCOPY_WINDOW_MS};

	if (!windows || count > WINDOWS_MOST)
		return error_new(ERROR_GUEST, "a guest counted its pages in %zu windows", count);
	json_array_foreach (pages, i, one)
		windows[i] = json_number_value(one);
	question.throughput = windows;
	question.count = count;
	try_(window_of(result, moments->begin_ns, count, &question.former));
	try_(window_of(result, moments->stopped_ns, count, &question.event));
	*recovery = recovery_find(&question);
	*rest_ms = (double)(count - question.event - 1) * ZEROCOPY_WINDOW_MS;
	return isfinite(recovery->before)
		       ? NULL
		       : error_new(ERROR_GUEST, "a guest dirtied nothing before it was moved");
}

/* A guest that is not back by the end of its series is read as one that needed all of it. */
static struct error *put_recovery(
	struct trial *trial, const json_t *result, const struct guest_moments *moments, json_t *at)
{
	struct recovery recovery;
	double rest_ms;
	bool back;

	try_(find_recovery(result, moments, &recovery, &rest_ms));
	back = isfinite(recovery.time_ms);
	try_(trial_sample(trial, "throughput_pages", json_incref(at),
		recovery.before * 1e3 / ZEROCOPY_WINDOW_MS));
	try_(trial_sample(trial, "recovery_open", json_incref(at), back ? 0 : 1));
	return trial_sample(trial, "recovery_ms", json_incref(at),
		(back ? recovery.time_ms : rest_ms) + ZEROCOPY_WINDOW_MS);
}

static struct error *move_dirtying(struct trial *trial, int64_t rate, json_t *at)
{
	const unsigned int guest = fleet_count(zerocopy_guests(trial)) - 1;
	struct guest_program program = {0};
	struct guest_moments moments = {0};
	_cleanup_json_ json_t *result = NULL;
	_cleanup_(words_deinit) struct words words = {0};
	struct error *err;

	dirty_words(trial, rate, fleet_guest_memory(zerocopy_guests(trial), guest), &words);
	err = guest_start(trial, guest, &words, &program);
	if (!err)
		err = rate == 0 ? observe_move_in_guest(trial, guest, at, &moments)
				: observe_move(trial, &guest, 1, at);
	if (!err)
		err = guest_collect(trial, guest, &program, &result);
	if (!err && rate == 0)
		err = put_recovery(trial, result, &moments, at);
	if (!err && rate > 0)
		err = trial_sample(trial, "dirty_rate", json_incref(at),
			json_number_value(json_object_get(result, "reached_rate")));
	free(program.output);
	return err;
}

int64_t zerocopy_dirty_rate(const struct trial *trial, int64_t step)
{
	int64_t least = trial_integer(trial, "dirty_least");
	int64_t most = trial_integer(trial, "dirty_most");
	int64_t steps = trial_integer(trial, "dirty_steps");

	return steps > 1 ? least + (most - least) * step / (steps - 1) : least;
}

/* From rate to rate, to and fro. */
static struct error *measure_dirty(struct trial *trial)
{
	const int64_t steps = trial_integer(trial, "dirty_steps");

	for (int64_t i = 0; i < steps; i++) {
		int64_t rate = zerocopy_dirty_rate(trial, zerocopy_sweep_step(trial, i, steps));
		_cleanup_json_ json_t *at =
			json_pack("{s:I}", "dirty_pages_per_s", (json_int_t)rate);

		try_(move_dirtying(trial, rate, at));
	}
	return NULL;
}

static struct error *measure_pages(struct trial *trial)
{
	return move_dirtying(trial, 0, NULL);
}

struct error *zerocopy_measure(struct trial *trial)
{
	static const struct {
		const char *workload;
		struct error *(*measure)(struct trial *trial);
	} workloads[] = {
		{"idle", measure_idle},
		{"dirty", measure_dirty},
		{"pages", measure_pages},
		{"stack", measure_stack},
		{"throughput", measure_throughput},
		{"web", measure_web},
	};

	for (size_t i = 0; i < ARRAY_SIZE(workloads); i++) {
		if (strcmp(workloads[i].workload, trial_choice(trial, "workload")) == 0)
			return workloads[i].measure(trial);
	}
	return error_new(ERROR_INTERNAL, "no workload '%s'", trial_choice(trial, "workload"));
}
