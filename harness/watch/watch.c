/* One metric, night by night: see watch.h. Must stay pure: no clock, no files, no VM. */
#include "harness/watch/watch_internal.h"
#include "harness/base/cleanup.h"
#include "harness/stats/allocate.h"
#include "harness/stats/multiple.h"
#include "harness/stats/summary.h"

#include <gsl/gsl_cdf.h>
#include <math.h>
#include <string.h>

/* Nights in a row that must be back in the old range. */
#define RECOVERY_NIGHTS 3
/* The share of nights that is called unusual on either side. */
#define UNUSUAL 0.05
/* A night whose A/A arm is this many times beyond the floor accuses nobody. */
#define WILD_NIGHT 2.0

const struct watch_options watch_defaults = {
	.change = {.window = 60, .least_side = 10, .level = 0.01, .permutations = 19999},
	.least_effect = 0.05,
	.nights_in_a_row = 2,
};

const char *watch_state_name(enum watch_state state)
{
	static const char *const names[] = {
		"learning", "quiet", "suspect", "confirmed", "recovered"};

	return names[state];
}

/* The nights that are compared, as logarithms; at most a window of them. */
struct nights {
	double *values;
	size_t *indices; /* in the history */
	size_t count;
};

static void nights_deinit(struct nights *nights)
{
	free(nights->values);
	free(nights->indices);
}

bool watch_measured(double value)
{
	return isfinite(value) && value > 0;
}

/* Do a night's readings belong to the present baseline? */
static bool belongs(const struct watch_memory *memory, int64_t night)
{
	if (memory->pending && night >= memory->pending_night && night <= memory->pending_last)
		return false;
	for (size_t i = 0; i < memory->left_out_count; i++) {
		if (night >= memory->left_out[i].from && night < memory->left_out[i].until)
			return false;
	}
	return night >= (memory->changed ? memory->changed_night : memory->level_night);
}

static void leave_out(struct watch_memory *memory, struct watch_nights nights)
{
	struct watch_nights *list = memory->left_out;
	size_t *count = &memory->left_out_count;

	while (*count && list[*count - 1].from >= nights.from)
		--*count;
	if (*count == WATCH_LEFT_OUT) {
		if (list[0].until > memory->level_night)
			memory->level_night = list[0].until;
		memmove(list, list + 1, --*count * sizeof(*list));
	}
	list[(*count)++] = nights;
}

static void collect(const struct watch_reading *history, size_t count, size_t window,
	const struct watch_memory *memory, struct nights *nights)
{
	size_t begin = count, wanted = 0;

	while (begin > 0 && wanted < window) {
		begin--;
		wanted += watch_measured(history[begin].value) &&
			  belongs(memory, history[begin].night);
	}
	nights->values = allocate(count - begin, sizeof(double));
	nights->indices = allocate(count - begin, sizeof(size_t));
	for (size_t i = begin; i < count; i++) {
		if (!watch_measured(history[i].value) || !belongs(memory, history[i].night))
			continue;
		nights->values[nights->count] = log(history[i].value);
		nights->indices[nights->count++] = i;
	}
}

/* The 95 % quantile of |log A/A| over a window of nights before the last; 0 with too few. */
static double noise_floor(
	const struct watch_reading *history, size_t count, const struct change_options *change)
{
	_cleanup_free_ double *distances = allocate(change->window, sizeof(double));
	size_t n = 0;

	for (size_t i = count; i-- > 0 && n < change->window;) {
		if (watch_measured(history[i].aa))
			distances[n++] = fabs(log(history[i].aa));
	}
	return n < change->least_side ? 0 : stats_quantile(distances, n, 1 - UNUSUAL);
}

static struct interval usual_range(const double *values, size_t n)
{
	return (struct interval){
		.low = exp(stats_quantile(values, n, UNUSUAL)),
		.high = exp(stats_quantile(values, n, 1 - UNUSUAL)),
		.level = 1 - 2 * UNUSUAL,
	};
}

/* ---- the two tests ---- */

/* The chance of a reading at least as far out as the last one, were it like those before. */
static double tonight_p(const struct nights *nights)
{
	size_t m = nights->count - 1;
	double scatter = stats_scatter(nights->values, m);
	double away = fabs(nights->values[m] - stats_median(nights->values, m));

	if (!(scatter > 0))
		return away > 0 ? 0 : 1;
	return 2 * gsl_cdf_tdist_Q(away / (scatter * sqrt(1 + 1 / (double)m)), (double)(m - 1));
}

/* The latest change among these nights that is no chance; the most likely one when none is. */
static bool latest_change(const struct nights *nights, const struct change_options *options,
	struct change_point *latest)
{
	struct change_point next;
	bool found = change_point_best(nights->values, 0, nights->count, options, latest);

	while (found && latest->p_value <= options->level &&
		change_point_best(nights->values, latest->index, nights->count, options, &next) &&
		next.p_value <= options->level)
		*latest = next;
	return found;
}

static void describe_tonight(const struct nights *nights, struct watch_verdict *verdict)
{
	size_t m = nights->count - 1;

	verdict->index = nights->indices[m];
	verdict->nights = m;
	verdict->baseline = exp(stats_median(nights->values, m));
	verdict->usual = usual_range(nights->values, m);
	verdict->after = exp(nights->values[m]);
	verdict->effect = verdict->after / verdict->baseline - 1;
	verdict->within = interval_unbounded(INTERVAL_LEVEL);
}

static void describe_change(const struct nights *nights, const struct change_point *change,
	struct watch_verdict *verdict)
{
	verdict->index = nights->indices[change->index];
	verdict->nights = change->index - change->begin;
	verdict->baseline = exp(change->before);
	verdict->usual = usual_range(nights->values + change->begin, verdict->nights);
	verdict->effect = expm1(change->shift);
	verdict->after = verdict->baseline * exp(change->shift);
	verdict->within = (struct interval){.low = expm1(change->within.low),
		.high = expm1(change->within.high),
		.level = change->within.level};
}

/* ---- one night ---- */

/* The smallest |log ratio| that matters between medians of so many nights. */
static double least_shift(const struct watch_options *options, double floor)
{
	return fmax(log1p(options->least_effect), floor / sqrt((double)options->change.least_side));
}

bool watch_is_wild(const struct watch_verdict *verdict, double aa)
{
	return watch_measured(aa) && verdict->floor > 0 &&
	       fabs(log(aa)) > WILD_NIGHT * verdict->floor;
}

bool watch_stands_apart(
	const struct watch_options *options, const struct watch_verdict *verdict, double value)
{
	double edge = value > verdict->baseline ? verdict->usual.high : verdict->usual.low;

	return interval_excludes(verdict->usual, value) &&
	       fabs(log(value / edge)) >= log1p(options->least_effect) &&
	       fabs(log(value / verdict->baseline)) >= verdict->floor;
}

/* Until there are enough new nights, a refuted change point would only be found again. */
static bool dismissed_lately(const struct watch_memory *memory, const struct watch_reading *history,
	size_t count, size_t least_side)
{
	size_t later = 0;

	if (!memory->dismissed)
		return false;
	for (size_t i = count; i-- > 0 && history[i].night > memory->dismissed_night;)
		later += watch_measured(history[i].value);
	return later < least_side;
}

void watch_nothing_new(
	const struct watch_memory *memory, struct watch_verdict *verdict, const char *reason)
{
	verdict->kind = WATCH_NONE;
	verdict->standing = memory->changed;
	verdict->state = memory->changed ? WATCH_CONFIRMED : WATCH_QUIET;
	verdict->reason = memory->changed ? "changed, and not back in the old range" : reason;
}

/* In the range before the change, or less than a quarter of the way from the level before it to
 * the one since; never nearer to the latter. */
static bool is_back(const struct watch_memory *memory, double value)
{
	double way = fabs(log(memory->after / memory->before));
	double off = fabs(log(value / memory->before));

	return off < way / 4 || (!interval_excludes(memory->usual, value) && off < way / 2);
}

/* Are the last nights since the change all back? Then it is over. */
static bool recovers(const struct watch_reading *history, size_t count, struct watch_memory *memory)
{
	size_t back = 0, i = count;

	while (i > 0 && back < RECOVERY_NIGHTS && history[i - 1].night > memory->changed_night) {
		if (!watch_measured(history[--i].value))
			continue;
		if (!is_back(memory, history[i].value))
			return false;
		back++;
	}
	if (back < RECOVERY_NIGHTS)
		return false;
	memory->changed = false;
	leave_out(memory, (struct watch_nights){memory->changed_night, history[i].night});
	return true;
}

static void suspect(struct watch_verdict *verdict, enum watch_kind kind, const char *reason)
{
	verdict->state = WATCH_SUSPECT;
	verdict->kind = kind;
	verdict->reason = reason;
}

/* Both tests on enough nights. */
static void test_nights(const struct watch_reading *history, size_t count,
	const struct nights *nights, const struct watch_options *options,
	const struct watch_memory *memory, struct watch_verdict *verdict)
{
	const struct change_options *limits = &options->change;
	struct change_point change = {.p_value = 1};
	double p_tonight = tonight_p(nights), aa = history[count - 1].aa;
	bool found = latest_change(nights, limits, &change);

	verdict->p_value = fmin(1, 2 * fmin(p_tonight, change.p_value));
	if (found && 2 * change.p_value <= limits->level &&
		fabs(change.shift) >= least_shift(options, verdict->floor) &&
		!dismissed_lately(memory, history, count, limits->least_side)) {
		describe_change(nights, &change, verdict);
		suspect(verdict, WATCH_CHANGE, "the level has changed");
		return;
	}
	describe_tonight(nights, verdict);
	watch_nothing_new(memory, verdict, "as on the nights before");
	if (2 * p_tonight > limits->level || !interval_excludes(verdict->usual, verdict->after))
		return;
	if (!watch_stands_apart(options, verdict, verdict->after))
		watch_nothing_new(
			memory, verdict, "tonight stands apart by less than what matters");
	else if (watch_is_wild(verdict, aa))
		watch_nothing_new(memory, verdict, "tonight's A/A arm is wild: it accuses nobody");
	else
		suspect(verdict, WATCH_TONIGHT, "tonight stands apart from the nights before");
}

static void judge(const struct watch_reading *history, size_t count,
	const struct watch_options *options, struct watch_memory *memory,
	struct watch_verdict *verdict)
{
	_cleanup_(nights_deinit) struct nights nights = {0};

	*verdict = (struct watch_verdict){.p_value = NAN,
		.baseline = NAN,
		.after = NAN,
		.effect = NAN,
		.index = count ? count - 1 : 0,
		.usual = interval_unbounded(1 - 2 * UNUSUAL),
		.within = interval_unbounded(INTERVAL_LEVEL)};
	if (count == 0 || !watch_measured(history[count - 1].value)) {
		watch_nothing_new(memory, verdict, "not measured tonight");
		return;
	}
	if (memory->changed && recovers(history, count, memory)) {
		verdict->state = WATCH_RECOVERED;
		verdict->baseline = memory->before;
		verdict->usual = memory->usual;
		verdict->after = history[count - 1].value;
		verdict->effect = verdict->after / verdict->baseline - 1;
		verdict->reason = "back in the range that it had before the change";
		return;
	}
	if (memory->changed && is_back(memory, history[count - 1].value)) {
		watch_nothing_new(memory, verdict, "");
		verdict->reason = "changed, and tonight back in the old range";
		return;
	}
	collect(history, count, options->change.window, memory, &nights);
	if (nights.count <= options->change.least_side) {
		watch_nothing_new(memory, verdict, "");
		verdict->nights = nights.count - 1;
		if (!memory->changed) {
			verdict->state = WATCH_LEARNING;
			verdict->reason = "too few nights to compare with";
		}
		return;
	}
	verdict->floor = noise_floor(history, count - 1, &options->change);
	test_nights(history, count, &nights, options, memory, verdict);
}

/* A night that was tested and does not stand apart ends a row of those that did. */
static void end_row(struct watch_memory *memory, const struct watch_verdict *verdict)
{
	if (!isnan(verdict->p_value) && verdict->kind != WATCH_TONIGHT)
		memory->pending = 0;
}

void watch_judge(const struct watch_reading *history, size_t count,
	const struct watch_options *options, struct watch_memory *memory,
	struct watch_verdict *verdict)
{
	judge(history, count, options, memory, verdict);
	end_row(memory, verdict);
}

/* Drawing more permutations for a suspect is cheap: where it is none they soon end. Few need it,
 * since what changes together passes together. */
static void judge_again(const struct watch_metric *metrics, size_t count,
	const struct watch_options *options, double rate, const bool *discovered, size_t tests)
{
	struct watch_options finer = *options;

	/* The least p-value is 2 / (permutations + 1); rate / tests is what one alone may have. */
	finer.change.permutations = (size_t)ceil(2 * (double)tests / rate);
	for (size_t i = 0; i < count; i++) {
		const struct watch_metric *metric = &metrics[i];

		if (metric->verdict->state == WATCH_SUSPECT && !discovered[i] &&
			finer.change.permutations > options->change.permutations)
			judge(metric->history, metric->count, &finer, metric->memory,
				metric->verdict);
	}
}

size_t watch_night(const struct watch_metric *metrics, size_t count,
	const struct watch_options *options, double rate)
{
	_cleanup_free_ struct watch_verdict **verdicts = allocate(count, sizeof(*verdicts));
	_cleanup_free_ double *p_values = allocate(count, sizeof(double));
	_cleanup_free_ bool *discovered = allocate(count, sizeof(bool));
	size_t tests = 0;

	for (size_t i = 0; i < count; i++) {
		const struct watch_metric *metric = &metrics[i];

		judge(metric->history, metric->count, options, metric->memory, metric->verdict);
		verdicts[i] = metric->verdict;
		p_values[i] = metric->verdict->p_value;
		tests += !isnan(p_values[i]);
	}
	multiple_discoveries(p_values, count, rate, discovered);
	judge_again(metrics, count, options, rate, discovered, tests);
	/* the last word counts: with more permutations it can be another kind of suspect */
	for (size_t i = 0; i < count; i++)
		end_row(metrics[i].memory, metrics[i].verdict);
	return watch_select(verdicts, count, rate);
}

size_t watch_select(struct watch_verdict *const *verdicts, size_t count, double rate)
{
	_cleanup_free_ double *p_values = allocate(count, sizeof(double));
	_cleanup_free_ bool *discovered = allocate(count, sizeof(bool));
	size_t left = 0;

	for (size_t i = 0; i < count; i++)
		p_values[i] = verdicts[i]->p_value;
	multiple_discoveries(p_values, count, rate, discovered);
	for (size_t i = 0; i < count; i++) {
		if (verdicts[i]->state != WATCH_SUSPECT)
			continue;
		left += discovered[i];
		if (discovered[i])
			continue;
		verdicts[i]->state = verdicts[i]->standing ? WATCH_CONFIRMED : WATCH_QUIET;
		verdicts[i]->kind = WATCH_NONE;
		verdicts[i]->reason = "among so many metrics, one like this is to be expected";
	}
	return left;
}
