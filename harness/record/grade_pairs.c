/* Tests of paired ratios: ratio, order, and bound with two selectors; see claims.h. Must never
 * pair trials of different blocks. */
#include "harness/record/grade.h"

#include "harness/base/fs.h"
#include "harness/stats/pairs.h"

#include <math.h>
#include <string.h>

static bool empty_selector(
	const struct source *source, const json_t *test, const json_t *selector, json_t *result)
{
	_cleanup_readings_ struct readings readings = {0};
	_cleanup_free_ char *name = test_name(test, selector);

	readings_collect(source, selector, true, &readings);
	return result_if_empty(result, &readings, name);
}

/* Where one of two variants never ran, "largest" is known of neither: that it did not is why. */
static bool never_ran(
	const struct source *source, const json_t *test, const json_t *selector, json_t *result)
{
	_cleanup_readings_ struct readings readings = {0};
	_cleanup_free_ char *name = test_name(test, selector);

	readings_collect(source, selector, true, &readings);
	return readings.seen == 0 && result_if_empty(result, &readings, name);
}

/* Before the target: is the direction of the ratio right, wrong or open? */
static int direction_of(const char *direction, const struct interval *interval, double tolerance)
{
	if (strcmp(direction, "equal") == 0) {
		if (interval->low >= 1 / tolerance && interval->high <= tolerance)
			return 1;
		return interval->high < 1 / tolerance || interval->low > tolerance ? -1 : 0;
	}
	if (interval->low <= 1 && interval->high >= 1)
		return 0;
	return (interval->low > 1) == (strcmp(direction, "greater") == 0) ? 1 : -1;
}

/* Inconclusive, with what would probably decide. */
static void leave_open(json_t *result, size_t more, double seconds_each, const char *reason)
{
	/* None: the point is decided on one side, the interval reaches over the other. */
	result_open(result, more ? (double)more : 2, 2, seconds_each, reason);
}

/* Of a ratio whose direction holds. An interval that reaches into the range around the published
 * value does not make a median beyond it near. */
static void judge_size(json_t *result, const char *direction, const struct target *target,
	const struct ratio_estimate *estimate, double seconds_each)
{
	double low = target->low / target->tolerance, high = target->high * target->tolerance;
	bool above = estimate->interval.low > high, below = estimate->interval.high < low;
	bool stronger = above != (strcmp(direction, "less") == 0);

	if (!target->given || strcmp(direction, "equal") == 0 ||
		(estimate->median >= low && estimate->median <= high)) {
		result_conclude(result, "reproduced",
			target->given ? "size and direction hold" : "the direction holds");
	} else if (above || below) {
		json_object_set_new(result, "word", json_string(stronger ? "stronger" : "weaker"));
		result_conclude(result, "direction-only",
			"the direction holds, the effect is %s than published",
			stronger ? "stronger" : "weaker");
	} else {
		leave_open(result, pairs_forecast(estimate, estimate->median > high ? high : low),
			seconds_each, "the direction holds, its size is open");
	}
}

static void judge_ratio(json_t *result, const struct source *source, const json_t *test,
	const json_t *of, const json_t *to, const struct ratio_estimate *estimate)
{
	const struct target target = test_target(test);
	const char *direction = json_text(test, "direction");
	size_t want = test_pairs_needed(test, CLAIMS_PAIRS_NEEDED), more = 0;
	double seconds = trials_mean_wall_s(source, of) + trials_mean_wall_s(source, to);
	int holds = direction_of(direction, &estimate->interval, target.tolerance);

	if (estimate->n < want) {
		more = want - estimate->n;
		result_forecast(result, more, 2, seconds);
		result_conclude(result, "inconclusive", "%zu of %zu pairs", estimate->n, want);
		return;
	}
	if (holds > 0) {
		judge_size(result, direction, &target, estimate, seconds);
		return;
	}
	if (holds < 0) {
		result_conclude(result, "contradicted", "%s",
			strcmp(direction, "equal") == 0 ? "the interval lies outside the margin"
							: "the direction is the opposite");
		return;
	}
	more = strcmp(direction, "equal") == 0
		       ? pairs_forecast(estimate,
				 estimate->median > 1 ? target.tolerance : 1 / target.tolerance)
		       : pairs_forecast(estimate, 1.0);
	leave_open(result, more, seconds, "the interval leaves it open");
}

static void put_ratio(json_t *result, const struct ratio_estimate *estimate)
{
	result_number(result, "measured", estimate->median);
	result_interval(result, estimate->interval);
	result_number(result, "p_value", estimate->p_value);
	json_object_set_new(result, "pairs", json_integer((json_int_t)estimate->n));
	json_object_set_new(result, "unit", json_string("x"));
}

static size_t not_positive(const double *values, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += !(values[i] > 0);
	return count;
}

static char *reading_text(const struct reading *reading)
{
	return format_string(fabs(reading->median) < 1000 ? "%.4g %s" : "%.0f %s", reading->median,
		reading->unit ? reading->unit : "");
}

/* Where the metric is a difference that the paper's data explain: what was more than the whole it
 * is taken from. NULL when that is not what happened. */
static char *difference_text(const struct source *source, const json_t *difference)
{
	const json_t *whole = json_object_get(difference, "whole");
	const json_t *part = json_object_get(difference, "part");
	struct reading all, taken;

	if (!difference ||
		!source_reading(source, json_object_get(whole, "reading"), INTERVAL_LEVEL, &all) ||
		!source_reading(source, json_object_get(part, "reading"), INTERVAL_LEVEL, &taken) ||
		taken.median < all.median)
		return NULL;
	_cleanup_free_ char *more = reading_text(&taken);
	_cleanup_free_ char *less = reading_text(&all);

	return format_string("%s (%s) is larger than %s (%s): it cannot be applied here",
		json_text(part, "name"), more, json_text(whole, "name"), less);
}

/* Ratios are of positive readings: says which are not. */
static void say_no_ratio(const struct source *source, const json_t *test, const json_t *of,
	const json_t *to, const double *subject, const double *baseline, size_t pairs,
	json_t *result)
{
	_cleanup_free_ char *why = difference_text(source, json_object_get(test, "difference"));
	size_t bad = not_positive(subject, pairs);
	_cleanup_free_ char *name = test_name(test, bad ? of : to);

	if (why)
		result_conclude(result, "inconclusive", "%s", why);
	else
		result_conclude(result, "inconclusive",
			"no ratio: %s of %s is zero or negative in %zu of %zu pairs",
			json_text(bad ? of : to, "metric"), name,
			bad ? bad : not_positive(baseline, pairs), pairs);
}

/* The paired ratio of a test's two selectors; false when the result is concluded already. */
static bool estimate_pairs(const struct source *source, const json_t *test, const json_t *of,
	const json_t *to, json_t *result, struct ratio_estimate *estimate)
{
	_cleanup_free_ double *subject = NULL;
	_cleanup_free_ double *baseline = NULL;
	size_t pairs, want = test_pairs_needed(test, CLAIMS_PAIRS_NEEDED);

	if (json_object_get(json_object_get(test, "of"), "best_of") ||
		json_object_get(json_object_get(test, "to"), "best_of"))
		json_object_set_new(result, "best",
			json_string(json_text(
				json_object_get(json_object_get(test, "of"), "best_of") ? of : to,
				"variant")));
	if (never_ran(source, test, of, result) || never_ran(source, test, to, result) ||
		empty_selector(source, test, of, result) ||
		empty_selector(source, test, to, result))
		return false;
	pairs = result_first(result, source_pairs(source, of, to, &subject, &baseline), PAIRS_MAX);
	json_object_set_new(result, "pairs", json_integer((json_int_t)pairs));
	if (pairs == 0) {
		result_forecast(result, want, 2,
			trials_mean_wall_s(source, of) + trials_mean_wall_s(source, to));
		result_conclude(result, "inconclusive", "no pair: never both counted in one block");
		return false;
	}
	if (!pairs_ratio_at(subject, baseline, pairs, record_level(source->record), estimate)) {
		say_no_ratio(source, test, of, to, subject, baseline, pairs, result);
		return false;
	}
	put_ratio(result, estimate);
	return true;
}

void grade_ratio(const struct grading *grading, const json_t *test, json_t *result)
{
	struct source source = test_source(grading, test);
	_cleanup_json_ json_t *of = selector_settle(&source, json_object_get(test, "of"));
	_cleanup_json_ json_t *to = selector_settle(&source, json_object_get(test, "to"));
	const struct target target = test_target(test);
	struct ratio_estimate estimate;

	json_object_set_new(result, "pairs_needed",
		json_integer((json_int_t)test_pairs_needed(test, CLAIMS_PAIRS_NEEDED)));
	if (!estimate_pairs(&source, test, of, to, result, &estimate))
		return;
	result_published(result, &target, estimate.median);
	judge_ratio(result, &source, test, of, to, &estimate);
}

/* Nothing at all is no ratio, but it is within any limit that is above nothing: pair by pair, with
 * the largest share as what was measured. False where no subject's reading is nothing. */
static bool judge_nothing(const struct source *source, const json_t *of, const json_t *to,
	double at_most, size_t want, json_t *result)
{
	_cleanup_free_ double *subject = NULL;
	_cleanup_free_ double *baseline = NULL;
	size_t pairs = source_pairs(source, of, to, &subject, &baseline), within = 0;
	double largest = 0;
	bool nothing = false;

	for (size_t i = 0; i < pairs; i++) {
		if (subject[i] < 0 || !(baseline[i] > 0))
			return false;
		nothing = nothing || subject[i] == 0;
		within += subject[i] / baseline[i] <= at_most;
		largest = fmax(largest, subject[i] / baseline[i]);
	}
	if (!nothing)
		return false;
	result_number(result, "measured", largest);
	json_object_set_new(result, "pairs", json_integer((json_int_t)pairs));
	json_object_set_new(result, "unit", json_string("x"));
	if (pairs < want)
		result_conclude(result, "inconclusive", "%zu of %zu pairs", pairs, want);
	else if (within == pairs)
		result_conclude(result, "reproduced", "within the limit in all %zu pairs", pairs);
	else
		result_conclude(result, "inconclusive", "within the limit in %zu of %zu pairs",
			within, pairs);
	return true;
}

void grade_pair_bound(const struct grading *grading, const json_t *test, json_t *result)
{
	struct source source = test_source(grading, test);
	const json_t *of = json_object_get(test, "of"), *to = json_object_get(test, "to");
	double at_least = test_limit(test, "at_least", -INFINITY);
	double at_most = test_limit(test, "at_most", INFINITY);
	size_t want = test_pairs_needed(test, CLAIMS_PAIRS_NEEDED);
	struct ratio_estimate estimate;

	result_number(result, "published", isfinite(at_most) ? at_most : at_least);
	if (isfinite(at_most) && judge_nothing(&source, of, to, at_most, want, result))
		return;
	if (!estimate_pairs(&source, test, of, to, result, &estimate))
		return;
	if (estimate.n < want) {
		result_forecast(result, want - estimate.n, 2,
			trials_mean_wall_s(&source, of) + trials_mean_wall_s(&source, to));
		result_conclude(result, "inconclusive", "%zu of %zu pairs", estimate.n, want);
	} else if (estimate.interval.low >= at_least && estimate.interval.high <= at_most) {
		result_conclude(result, "reproduced", "within the limit");
	} else if (estimate.interval.high < at_least || estimate.interval.low > at_most) {
		bool side =
			isfinite(at_most) ? estimate.interval.high < 1 : estimate.interval.low > 1;

		if (side)
			json_object_set_new(result, "word", json_string("weaker"));
		result_conclude(result, side ? "direction-only" : "contradicted",
			"beyond the published limit%s", side ? ", on the right side of 1" : "");
	} else {
		double limit = estimate.interval.high > at_most ? at_most : at_least;

		leave_open(result, pairs_forecast(&estimate, limit),
			trials_mean_wall_s(&source, of) + trials_mean_wall_s(&source, to),
			"the interval holds the limit");
	}
}

/* The first adjacent pair of the order that is not ascending decides. */
void grade_order(const struct grading *grading, const json_t *test, json_t *result)
{
	struct source source = test_source(grading, test);
	const json_t *chain = json_object_get(test, "ascending");
	size_t want = test_pairs_needed(test, CLAIMS_PAIRS_NEEDED);
	const char *open = NULL;
	size_t more = 0;
	double seconds = 0;

	for (size_t i = 0; i + 1 < json_array_size(chain); i++) {
		const json_t *lower = json_array_get(chain, i);
		const json_t *higher = json_array_get(chain, i + 1);
		struct ratio_estimate estimate;
		int holds;

		if (!estimate_pairs(&source, test, higher, lower, result, &estimate))
			return;
		holds = direction_of("greater", &estimate.interval, 1);
		if (holds < 0) {
			result_conclude(result, "contradicted", "%s is above %s",
				json_text(lower, "variant"), json_text(higher, "variant"));
			return;
		}
		if (holds == 0 || estimate.n < want) {
			size_t needed = estimate.n < want ? want - estimate.n
							  : pairs_forecast(&estimate, 1.0);

			open = json_text(higher, "variant");
			more = needed > more ? needed : more;
			seconds = trials_mean_wall_s(&source, lower) +
				  trials_mean_wall_s(&source, higher);
		}
	}
	_cleanup_free_ char *reason = format_string("the place of %s is open", open ? open : "");

	if (open)
		leave_open(result, more, seconds, reason);
	else
		result_conclude(result, "reproduced", "the order holds");
}
