/* Tests of shape: does a reading grow with a coordinate or parameter? See claims.h. Must never
 * count the points of one trial as several trials: they share its boot, its host's hour and its
 * noise. */
#include "harness/record/grade.h"

#include "harness/stats/allocate.h"
#include "harness/stats/pairs.h"
#include "harness/stats/slope.h"
#include "harness/stats/summary.h"

#include <math.h>
#include <string.h>

/* The points of all counted trials, one trial after the other. */
struct points {
	double *x, *y;		/* SLOPE_MAX at most */
	size_t *begin;		/* of each trial's points, and the end of the last one's */
	size_t trials;		/* with at least one point */
	size_t seen;		/* trials that the selector names, counted or not */
	size_t left_out;	/* counted trials whose points there is no room for */
	double lowest, highest; /* of all x */
};

static void points_deinit(struct points *points)
{
	free(points->x);
	free(points->y);
	free(points->begin);
}

/* Appends (x, y) of one trial: x is a coordinate of its samples or, where they do not have it, a
 * parameter of the trial. */
static size_t trial_points(const json_t *trial, const json_t *selector, const char *over, double *x,
	double *y, size_t room)
{
	const json_t *parameter = json_object_get(json_object_get(trial, "parameters"), over);
	const json_t *sample;
	size_t count = 0, i;

	json_array_foreach (json_object_get(trial, "samples"), i, sample) {
		const json_t *at = json_object_get(json_object_get(sample, "at"), over);

		if (count == room ||
			strcmp(json_text(sample, "metric"), json_text(selector, "metric")) != 0 ||
			!json_is_number(at) || !sample_value(sample, &y[count]))
			continue;
		x[count++] = json_number_value(at);
	}
	if (count == 0 && room > 0 && json_is_number(parameter) &&
		trial_value(
			trial, json_text(selector, "metric"), json_object_get(selector, "at"), y))
		x[count++] = json_number_value(parameter);
	return count;
}

/* Every counted trial that the selector names, whether or not its reading is a single one: whole or
 * not at all, and none after the first that there is no room for. */
static void collect(const struct source *source, const json_t *test, struct points *points)
{
	const json_t *selector = json_object_get(test, "of");
	const json_t *trials = json_object_get(source->record, "trials"), *trial;
	size_t end = 0, count, i;

	*points = (struct points){
		.x = allocate(SLOPE_MAX + 1, sizeof(double)), /* one more tells what is too much */
		.y = allocate(SLOPE_MAX + 1, sizeof(double)),
		.begin = allocate(json_array_size(trials) + 1, sizeof(size_t)),
		.lowest = INFINITY,
		.highest = -INFINITY,
	};
	json_array_foreach (trials, i, trial) {
		if (!trial_selected(trial, source, selector))
			continue;
		points->seen++;
		if (!trial_counts(trial, NULL))
			continue;
		count = trial_points(trial, selector, json_text(test, "over"), points->x + end,
			points->y + end, SLOPE_MAX + 1 - end);
		if (count && (points->left_out || end + count > SLOPE_MAX)) {
			points->left_out++;
		} else if (count) {
			end += count;
			points->begin[++points->trials] = end;
		}
	}
	for (i = 0; i < end; i++) {
		points->lowest = fmin(points->lowest, points->x[i]);
		points->highest = fmax(points->highest, points->x[i]);
	}
}

static void range_of(const struct points *points, size_t trial, double *lowest, double *highest)
{
	*lowest = INFINITY;
	*highest = -INFINITY;
	for (size_t i = points->begin[trial]; i < points->begin[trial + 1]; i++) {
		*lowest = fmin(*lowest, points->x[i]);
		*highest = fmax(*highest, points->x[i]);
	}
}

/* Trials that have the whole range each say how much it grows, and one of them is one reading. */
static bool estimate_within(
	const struct points *points, double level, struct slope_estimate *estimate)
{
	_cleanup_free_ double *growths = allocate(points->trials, sizeof(double));
	size_t count = 0;

	for (size_t trial = 0; trial < points->trials; trial++) {
		size_t begin = points->begin[trial];
		double lowest, highest;

		range_of(points, trial, &lowest, &highest);
		if (lowest <= points->lowest && highest >= points->highest &&
			slope_growth(points->x + begin, points->y + begin,
				points->begin[trial + 1] - begin, &growths[count]))
			count++;
	}
	return slope_of_growths(growths, count, level, estimate);
}

/* Trials at one place each: one point a trial. */
static bool estimate_across(const struct points *points, double level, unsigned long seed,
	struct slope_estimate *estimate)
{
	_cleanup_free_ double *x = allocate(points->trials, sizeof(double));
	_cleanup_free_ double *y = allocate(points->trials, sizeof(double));

	for (size_t trial = 0; trial < points->trials; trial++) {
		size_t begin = points->begin[trial];

		x[trial] = points->x[begin];
		y[trial] = stats_median(points->y + begin, points->begin[trial + 1] - begin);
	}
	return slope_fit_at(x, y, points->trials, level, seed, estimate) &&
	       isfinite(estimate->growth);
}

static bool estimate_growth(
	const struct source *source, const struct points *points, struct slope_estimate *estimate)
{
	double level = record_level(source->record);

	for (size_t trial = 0; trial < points->trials; trial++) {
		double lowest, highest;

		range_of(points, trial, &lowest, &highest);
		if (lowest < highest)
			return estimate_within(points, level, estimate);
	}
	return estimate_across(points, level, source->seed, estimate);
}

/* Open, with how many trials more of the same kind would probably decide. */
static void leave_open(json_t *result, const struct slope_estimate *estimate,
	enum slope_question question, double tolerance, double wall_s)
{
	double times = slope_forecast(estimate, question, tolerance);

	if (isnan(times)) /* no bounds yet: as many again is the least that can bring some */
		times = 2;
	result_open(result, ceil((times - 1) * (double)estimate->n), 1, wall_s,
		"the interval of the growth leaves it open");
}

static void judge(
	json_t *result, const json_t *test, const struct slope_estimate *estimate, double wall_s)
{
	double tolerance = json_number(test, "tolerance", 0);
	size_t want = test_pairs_needed(test, CLAIMS_PAIRS_NEEDED);
	const char *expect = json_text(test, "expect");
	bool grows = strcmp(expect, "grows") == 0, flat = strcmp(expect, "flat") == 0;
	enum slope_question question = flat ? SLOPE_WHICH_SHAPE : SLOPE_WHETHER_GROWS;

	if (estimate->n < want) {
		result_forecast(result, want - estimate->n, 1, wall_s);
		result_conclude(result, "inconclusive", "%zu of %zu trials", estimate->n, want);
		return;
	}
	if (!slope_decides(estimate, question, tolerance)) {
		leave_open(result, estimate, question, tolerance, wall_s);
		return;
	}
	switch (slope_shape(estimate, tolerance)) {
	case SLOPE_FLAT:
		result_conclude(result, grows ? "contradicted" : "reproduced", "flat within %g %%",
			100 * tolerance);
		return;
	case SLOPE_GROWS:
		result_conclude(result, grows ? "reproduced" : "contradicted", "it grows");
		return;
	case SLOPE_SHRINKS:
		result_conclude(
			result, grows || flat ? "contradicted" : "reproduced", "it shrinks");
		return;
	case SLOPE_UNDECIDED:
		result_conclude(result, grows ? "contradicted" : "reproduced",
			"it grows by %g %% at most", 100 * tolerance);
		return;
	}
}

void grade_slope(const struct grading *grading, const json_t *test, json_t *result)
{
	struct source source = test_source(grading, test);
	const json_t *of = json_object_get(test, "of");
	_cleanup_(points_deinit) struct points points = {0};
	_cleanup_free_ char *name = test_name(test, of);
	struct slope_estimate estimate;

	collect(&source, test, &points);
	result_first(result, points.trials + points.left_out, points.trials);
	json_object_set_new(result, "pairs", json_integer((json_int_t)points.trials));
	json_object_set_new(result, "unit", json_string("growth over the range"));
	if (points.seen == 0) {
		result_conclude(result, "not-run", "no trial of %s in this record", name);
		return;
	}
	if (!(points.lowest < points.highest)) {
		result_conclude(result, "inconclusive", "fewer than two values of %s with readings",
			json_text(test, "over"));
		return;
	}
	if (!estimate_growth(&source, &points, &estimate)) {
		result_conclude(result, "inconclusive",
			"no trial of %s has positive readings over the range of %s", name,
			json_text(test, "over"));
		return;
	}
	json_object_set_new(result, "pairs", json_integer((json_int_t)estimate.n));
	result_number(result, "measured", estimate.growth);
	result_interval(result, estimate.growth_interval);
	judge(result, test, &estimate, trials_mean_wall_s(&source, of));
}
