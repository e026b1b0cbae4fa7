/* Tests of one variant's trials: holds, bound, absolute, outcome; see claims.h. Must never
 * let a trial that does not count decide anything. */
#include "harness/record/grade.h"

#include "harness/base/fs.h"

#include <math.h>
#include <string.h>

static const char *plural(size_t count)
{
	return count == 1 ? "" : "s";
}

/* Counts the readings that a limit or a truth value refuses; sets the worst. */
static size_t refused(
	const struct readings *readings, double at_least, double at_most, double *worst)
{
	size_t count = 0;

	*worst = readings->items[0].value;
	for (size_t i = 0; i < readings->count; i++) {
		double value = readings->items[i].value;

		if (isfinite(at_most) ? value > *worst : value < *worst)
			*worst = value;
		count += value < at_least || value > at_most;
	}
	return count;
}

static void judge_all(const struct source *source, const json_t *test, double at_least,
	double at_most, json_t *result)
{
	const json_t *of = json_object_get(test, "of");
	_cleanup_readings_ struct readings readings = {0};
	_cleanup_free_ char *name = test_name(test, of);
	size_t want = test_pairs_needed(test, CLAIMS_TRIALS_NEEDED), wrong;
	double worst;

	readings_collect(source, of, false, &readings);
	if (result_if_empty(result, &readings, name))
		return;
	wrong = refused(&readings, at_least, at_most, &worst);
	result_number(result, "measured", worst);
	json_object_set_new(result, "pairs", json_integer((json_int_t)readings.count));
	json_object_set_new(result, "unit", json_string(readings.unit ? readings.unit : ""));
	if (wrong) {
		result_conclude(result, "contradicted", "not so in %zu of %zu trials", wrong,
			readings.count);
	} else if (readings.count < want) {
		result_forecast(result, want - readings.count, 1, trials_mean_wall_s(source, of));
		result_conclude(result, "inconclusive", "%zu of %zu trials", readings.count, want);
	} else {
		result_conclude(result, "reproduced", "so in all %zu trial%s", readings.count,
			plural(readings.count));
	}
}

void grade_holds(const struct grading *grading, const json_t *test, json_t *result)
{
	struct source source = test_source(grading, test);

	judge_all(&source, test, 1, 1, result);
}

void grade_bound(const struct grading *grading, const json_t *test, json_t *result)
{
	struct source source = test_source(grading, test);
	double at_least = test_limit(test, "at_least", -INFINITY);
	double at_most = test_limit(test, "at_most", INFINITY);

	if (json_object_get(test, "to")) {
		grade_pair_bound(grading, test, result);
		return;
	}
	result_number(result, "published", isfinite(at_most) ? at_most : at_least);
	judge_all(&source, test, at_least, at_most, result);
}

/* Parameters that the test requires and the trials do not have; false when all are as required. */
static bool requirement_missed(
	const struct readings *readings, const json_t *requires, json_t *result)
{
	const json_t *parameters = json_object_get(readings->items[0].trial, "parameters");
	const char *key;
	json_t *wanted;

	if (json_has_part(parameters, requires))
		return false;
	json_object_foreach ((json_t *) requires, key, wanted) {
		const json_t *found = json_object_get(parameters, key);
		_cleanup_free_ char *here = NULL;

		if (found && json_equal(found, wanted))
			continue;
		here = found ? json_dumps(found, JSON_ENCODE_ANY) : NULL;
		result_conclude(result, "not-comparable", "%s: %s here, %s in the paper", key,
			here ? here : "unknown", json_string_value(wanted));
		return true;
	}
	return false;
}

/* How many trials more will probably bring bounds or, where there are some, the nearer end of the
 * interval to this side of the limit that the median is beyond. */
static double trials_missing(
	const struct reading *reading, struct interval interval, double low, double high)
{
	double median = reading->median, n = (double)reading->trials, times;

	if (!interval_is_bounded(interval))
		return (double)interval_least(interval.level) - n;
	times = median > high
			? interval_forecast(median - interval.low, median - high, interval.level)
			: interval_forecast(interval.high - median, low - median, interval.level);
	return ceil((times - 1) * n);
}

/* A median within the range is no more than a figure while its interval has no bounds. */
static void judge_absolute(const struct source *source, const json_t *test,
	const struct reading *reading, struct interval interval, json_t *result)
{
	const struct target target = test_target(test);
	double low = target.low / target.tolerance, high = target.high * target.tolerance;
	double median = reading->median;
	double wall_s = trials_mean_wall_s(source, json_object_get(test, "of"));
	size_t want = test_pairs_needed(test, CLAIMS_PAIRS_NEEDED);

	if (reading->trials < want) {
		result_forecast(result, want - reading->trials, 1, wall_s);
		result_conclude(result, "inconclusive", "%zu of %zu trials", reading->trials, want);
	} else if (!target.given) {
		result_conclude(result, "inconclusive", "the paper gives no value");
	} else if (interval.high < low || interval.low > high) {
		result_conclude(result, "contradicted", "more than %g times off", target.tolerance);
	} else if (interval_is_bounded(interval) && median >= low && median <= high) {
		result_conclude(result, "reproduced", "within a factor of %g", target.tolerance);
	} else {
		result_open(result, trials_missing(reading, interval, low, high), 1, wall_s,
			"the size is open");
	}
}

void grade_absolute(const struct grading *grading, const json_t *test, json_t *result)
{
	struct source source = test_source(grading, test);
	const json_t *of = json_object_get(test, "of");
	const struct target target = test_target(test);
	_cleanup_readings_ struct readings readings = {0};
	_cleanup_free_ char *name = test_name(test, of);
	_cleanup_json_ json_t *here = json_object();
	_cleanup_free_ char *elsewhere = NULL;
	struct interval interval = {.level = record_level(grading->record)};
	struct reading reading;

	readings_collect(&source, of, true, &readings);
	if (result_if_empty(result, &readings, name) ||
		!source_reading(&source, of, interval.level, &reading))
		return;
	interval.low = reading.low;
	interval.high = reading.high;
	result_number(result, "measured", reading.median);
	result_interval(result, interval);
	json_object_set_new(result, "pairs", json_integer((json_int_t)reading.trials));
	json_object_set_new(result, "unit", json_string(reading.unit ? reading.unit : ""));
	result_published(result, &target, reading.median);
	elsewhere = test_elsewhere(grading, test, here);
	if (!grading->comparable)
		result_conclude(result, "not-comparable", "%s", grading->incomparable);
	else if (elsewhere)
		result_conclude(result, "not-comparable", "%s", elsewhere);
	else if (!requirement_missed(&readings, json_object_get(test, "requires"), result))
		judge_absolute(&source, test, &reading, interval, result);
}

void grade_outcome(const struct grading *grading, const json_t *test, json_t *result)
{
	struct source source = test_source(grading, test);
	const char *expected = json_text(test, "expect");
	const json_t *trial;
	size_t seen = 0, right = 0, i;

	json_array_foreach (json_object_get(grading->record, "trials"), i, trial) {
		if (!trial_selected(trial, &source, json_object_get(test, "of")))
			continue;
		seen++;
		right += strcmp(json_text(trial, "outcome"), expected) == 0;
	}
	json_object_set_new(result, "pairs", json_integer((json_int_t)seen));
	if (seen == 0)
		result_conclude(result, "not-run", "no such trial in this record");
	else if (right < seen)
		result_conclude(result, "contradicted", "%zu of %zu trials did not end as %s",
			seen - right, seen, expected);
	else if (seen < test_pairs_needed(test, CLAIMS_TRIALS_NEEDED))
		result_conclude(result, "inconclusive", "%zu of %zu trials", seen,
			test_pairs_needed(test, CLAIMS_TRIALS_NEEDED));
	else
		result_conclude(result, "reproduced", "all %zu trial%s ended as %s", seen,
			plural(seen), expected);
}

void grade_none(const struct grading *grading, const json_t *test, json_t *result)
{
	(void)grading;
	result_conclude(result, "not-run", "%s", json_text(test, "reason"));
}
