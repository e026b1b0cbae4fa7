/* What the kinds of test share: see grade.h. */
#include "harness/record/grade.h"

#include "harness/base/fs.h"
#include "harness/record/coordinates.h"
#include "harness/stats/pairs.h"
#include "harness/stats/slope.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

/* Factor within which a size counts as reproduced when the test names none. */
#define DEFAULT_TOLERANCE 2.0

size_t test_pairs_needed(const json_t *test, size_t otherwise)
{
	return (size_t)json_number(test, "pairs", (double)otherwise);
}

void result_number(json_t *object, const char *key, double value)
{
	if (isfinite(value)) /* JSON has no infinity: an unbounded end is left out */
		json_object_set_new(object, key, json_real(value));
}

void result_interval(json_t *result, struct interval interval)
{
	json_object_set_new(result, "level", json_real(interval.level));
	if (!interval_is_bounded(interval))
		return;
	result_number(result, "low", interval.low);
	result_number(result, "high", interval.high);
}

void result_conclude(json_t *result, const char *verdict, const char *format, ...)
{
	_cleanup_free_ char *reason = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&reason, format, args) < 0)
		reason = NULL;
	va_end(args);
	json_object_set_new(result, "verdict", json_string(verdict));
	json_object_set_new(result, "reason", json_string(reason ? reason : ""));
}

struct source test_source(const struct grading *grading, const json_t *test)
{
	return (struct source){
		grading->record, grading->mechanism, json_text(test, "experiment"), grading->seed};
}

struct target test_target(const json_t *test)
{
	const json_t *published = json_object_get(test, "published");
	double value = json_number(published, "value", NAN);
	struct target target = {
		.low = json_number(published, "low", value),
		.high = json_number(published, "high", value),
		.tolerance = json_number(test, "tolerance", DEFAULT_TOLERANCE),
	};

	target.given = isfinite(target.low) && isfinite(target.high) && target.low > 0;
	return target;
}

void result_published(json_t *result, const struct target *target, double measured)
{
	if (!target->given)
		return;
	result_number(result, "published", sqrt(target->low * target->high));
	if (target->low != target->high) {
		result_number(result, "published_low", target->low);
		result_number(result, "published_high", target->high);
	}
	result_number(result, "ratio_to_published", measured / sqrt(target->low * target->high));
}

/* Says why a test has nothing to go by, from what its selector found; false when it has. */
bool result_if_empty(json_t *result, const struct readings *readings, const char *whose)
{
	if (readings->count)
		return false;
	if (readings->seen == 0)
		result_conclude(result, "not-run", "no trial of %s in this record", whose);
	else if (readings->ambiguous)
		result_conclude(result, "inconclusive",
			"the %zu trials of %s cannot be told apart: same block and half",
			readings->seen, whose);
	else
		result_conclude(result, "inconclusive", "none of %zu trials of %s counts: %s",
			readings->seen, whose, readings->why_not);
	return true;
}

char *test_name(const json_t *test, const json_t *selector)
{
	const char *variant = json_string_value(json_object_get(selector, "variant"));

	return variant ? format_string("%s (%s)", variant, json_text(test, "experiment"))
		       : format_string("%s", json_text(test, "experiment"));
}

/* Mean wall time of the trials that a selector names: what one more boot will cost. */
double trials_mean_wall_s(const struct source *source, const json_t *selector)
{
	const json_t *trial;
	double sum = 0;
	size_t count = 0, i;

	json_array_foreach (json_object_get(source->record, "trials"), i, trial) {
		if (!trial_selected(trial, source, selector))
			continue;
		sum += json_number(trial, "wall_s", 0);
		count++;
	}
	return count ? sum / (double)count : 0;
}

/* Adds what would decide: `more` pairs of `boots` fresh boots each. */
void result_forecast(json_t *result, size_t more, size_t boots, double seconds_each)
{
	json_object_set_new(result, "forecast",
		json_pack("{s:I, s:I, s:f}", "pairs", (json_int_t)more, "boots",
			(json_int_t)more * (json_int_t)boots, "seconds",
			(double)more * seconds_each));
}

void result_open(json_t *result, double more, size_t boots, double seconds_each, const char *reason)
{
	if (more >= PAIRS_UNLIKELY) {
		result_conclude(result, "inconclusive",
			"%s, and more boots are unlikely to settle it", reason);
		return;
	}
	result_forecast(result, more < 1 ? 1 : (size_t)more, boots, seconds_each);
	result_conclude(result, "inconclusive", "%s", reason);
}

size_t result_first(json_t *result, size_t count, size_t most)
{
	if (count <= most)
		return count;
	json_object_set_new(result, "left_out", json_integer((json_int_t)(count - most)));
	return most;
}

double test_limit(const json_t *test, const char *key, double otherwise)
{
	const json_t *limit = json_object_get(test, key);

	return json_is_number(limit) ? json_number_value(limit)
				     : json_number(limit, "value", otherwise);
}

/* At which coordinate or parameter the test was decided, where the paper names its own: sets
 * "at" and "paper_at", and says in the reason where the two differ. */
static void tell_coordinates(const struct grading *grading, const json_t *test, json_t *result)
{
	const json_t *paper_at = json_object_get(test, "paper_at");
	json_t *here = json_object();
	_cleanup_free_ char *difference = test_elsewhere(grading, test, here);

	if (!paper_at || json_object_size(here) == 0) {
		json_decref(here);
		return;
	}
	json_object_set_new(result, "at", here);
	json_object_set(result, "paper_at", (json_t *)paper_at);
	if (difference && strcmp(json_text(result, "verdict"), "not-comparable") != 0)
		result_conclude(result, json_text(result, "verdict"), "%s; %s",
			json_text(result, "reason"), difference);
}

/* Says so where a record has more than is looked at. */
static void tell_left_out(json_t *result)
{
	json_int_t count = json_integer_value(json_object_get(result, "left_out"));
	bool slope = strcmp(json_text(result, "kind"), "slope") == 0;

	if (count)
		result_conclude(result, json_text(result, "verdict"),
			"%s; the last %lld %s%s left out: at most %d %s count",
			json_text(result, "reason"), (long long)count, slope ? "trial" : "pair",
			count == 1 ? "" : "s", slope ? SLOPE_MAX : PAIRS_MAX,
			slope ? "points" : "pairs");
}

/* Says so where the interval is not one at 95 %, unless nothing was decided by it. */
static void tell_level(json_t *result)
{
	double level = json_number(result, "level", INTERVAL_LEVEL);

	if (level > INTERVAL_LEVEL && strcmp(json_text(result, "verdict"), "not-comparable") != 0)
		result_conclude(result, json_text(result, "verdict"),
			"%s; interval %g %%: stopped when decided", json_text(result, "reason"),
			100 * level);
}

/* The value of a coordinate (of the selector's readings) or parameter (of its trials). */
static const json_t *value_here(
	const struct grading *grading, const json_t *test, const json_t *selector, const char *key)
{
	struct source source = test_source(grading, test);
	const json_t *value = json_object_get(json_object_get(selector, "at"), key), *trial;
	size_t i;

	if (value) /* still a word: nothing was found to put in its place */
		return json_is_number(value) ? value : NULL;
	json_array_foreach (json_object_get(grading->record, "trials"), i, trial) {
		if (trial_selected(trial, &source, selector))
			return json_object_get(json_object_get(trial, "parameters"), key);
	}
	return NULL;
}

char *test_elsewhere(const struct grading *grading, const json_t *test, json_t *here)
{
	const json_t *of = json_object_get(test, "of");
	char *text = NULL;
	json_t *theirs;
	const char *key;

	json_object_foreach (json_object_get(test, "paper_at"), key, theirs) {
		const json_t *ours = value_here(grading, test, of, key);
		char *longer;

		if (!json_is_number(ours) || !json_is_number(theirs))
			continue;
		json_object_set(here, key, (json_t *)ours);
		if (json_number_value(ours) == json_number_value(theirs))
			continue;
		longer = format_string("%s%s%s: %.10g here, %.10g in the paper", text ? text : "",
			text ? "; " : "", key, json_number_value(ours), json_number_value(theirs));
		free(text);
		text = longer;
	}
	return text;
}

json_t *grade_test(const struct grading *grading, const json_t *test)
{
	static const struct {
		const char *kind;
		void (*grade)(const struct grading *, const json_t *, json_t *);
	} kinds[] = {
		{"ratio", grade_ratio},
		{"slope", grade_slope},
		{"holds", grade_holds},
		{"bound", grade_bound},
		{"order", grade_order},
		{"absolute", grade_absolute},
		{"outcome", grade_outcome},
		{"none", grade_none},
	};
	struct source source = test_source(grading, test);
	_cleanup_json_ json_t *settled = coordinates_settle_test(&source, test);
	json_t *result = json_object();

	json_object_set(result, "kind", json_object_get(test, "kind"));
	if (json_object_get(test, "id"))
		json_object_set(result, "id", json_object_get(test, "id"));
	if (json_object_get(test, "note"))
		json_object_set(result, "note", json_object_get(test, "note"));
	if (json_object_get(test, "unit"))
		json_object_set(result, "shown_in", json_object_get(test, "unit"));
	result_conclude(result, "not-run", "this kind of test is unknown");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(json_text(test, "kind"), kinds[i].kind) == 0)
			kinds[i].grade(grading, settled, result);
	}
	tell_coordinates(grading, settled, result);
	tell_left_out(result);
	tell_level(result);
	return result;
}
