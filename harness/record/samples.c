/* Which trials count, and what they measured: see claims.h. Must never let a trial without evidence
 * or a reading that is not a finite number into a figure. */
#include "harness/record/samples.h"
#include "harness/base/fs.h"
#include "harness/record/coordinates.h"

#include "harness/stats/bootstrap.h"
#include "harness/stats/pairs.h"
#include "harness/stats/summary.h"

#include <math.h>
#include <string.h>

const char *json_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

double json_number(const json_t *object, const char *key, double otherwise)
{
	const json_t *value = json_object_get(object, key);

	return json_is_number(value) ? json_number_value(value) : otherwise;
}

bool trial_counts(const json_t *trial, const char **reason)
{
	const json_t *evidence = json_object_get(trial, "evidence");
	const char *why = NULL;
	const json_t *item;
	size_t i;

	if (strcmp(json_text(trial, "outcome"), "ok") != 0)
		why = json_text(trial, "outcome");
	else if (json_array_size(evidence) == 0 && strcmp(json_text(trial, "role"), "subject") == 0)
		why = "no evidence";
	json_array_foreach (evidence, i, item) {
		if (!why && !json_is_true(json_object_get(item, "ok")))
			why = "its evidence does not hold";
	}
	if (reason)
		*reason = why;
	return !why;
}

/* 8192 and 8192.0 are equal here, unlike in json_equal(). */
bool json_has_part(const json_t *object, const json_t *part)
{
	const char *key;
	json_t *wanted;

	json_object_foreach ((json_t *)part, key, wanted) {
		const json_t *found = json_object_get(object, key);

		if (json_is_number(wanted) && json_is_number(found)) {
			if (json_number_value(wanted) != json_number_value(found))
				return false;
		} else if (!found || !json_equal(wanted, found)) {
			return false;
		}
	}
	return true;
}

static void set_coordinate(json_t *at, const char *name, json_t *value)
{
	double number = json_number_value(value);

	if (json_is_real(value) && fabs(number) < 1e15 && number == floor(number))
		json_object_set_new(at, name, json_integer((json_int_t)number));
	else
		json_object_set(at, name, value);
}

char *coordinates_text(const json_t *at)
{
	_cleanup_json_ json_t *same = json_object();
	const char *name;
	json_t *value;
	char *text;

	json_object_foreach ((json_t *)at, name, value)
		set_coordinate(same, name, value);
	text = json_object_size(same) ? json_dumps(same, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	return text ? text : format_string("%s", "");
}

/* The one sample of the metric that has the coordinates; NULL for none or more than one. */
static const json_t *find_sample(const json_t *trial, const char *metric, const json_t *at)
{
	const json_t *found = NULL;
	const json_t *sample;
	size_t i;

	json_array_foreach (json_object_get(trial, "samples"), i, sample) {
		if (strcmp(json_text(sample, "metric"), metric) != 0 ||
			!json_has_part(json_object_get(sample, "at"), at))
			continue;
		if (found)
			return NULL;
		found = sample;
	}
	return found;
}

bool sample_value(const json_t *sample, double *value)
{
	const json_t *values = json_object_get(sample, "values");
	_cleanup_free_ double *numbers = calloc(json_array_size(values) + 1, sizeof(*numbers));
	size_t count = 0;
	const json_t *item;
	size_t i;

	if (!numbers)
		return false;
	json_array_foreach (values, i, item) {
		double number = json_number_value(item);

		if (json_is_number(item) && isfinite(number))
			numbers[count++] = number;
	}
	if (count == 0)
		return false;
	*value = stats_median(numbers, count);
	return isfinite(*value);
}

bool trial_value(const json_t *trial, const char *metric, const json_t *at, double *value)
{
	const json_t *sample = find_sample(trial, metric, at);

	return sample && sample_value(sample, value);
}

const char *trial_unit(const json_t *trial, const char *metric, const json_t *at)
{
	return json_string_value(json_object_get(find_sample(trial, metric, at), "unit"));
}

static bool variant_matches(const json_t *trial, const json_t *selector)
{
	const char *wanted = json_string_value(json_object_get(selector, "variant"));

	if (wanted)
		return strcmp(json_text(trial, "variant"), wanted) == 0;
	return strcmp(json_text(trial, "role"), "subject") == 0;
}

bool trial_selected(const json_t *trial, const struct source *source, const json_t *selector)
{
	/* The arms of an A/A run are nobody's subject and baseline: only who asks for one has it.
	 */
	return strcmp(json_text(trial, "arm"), json_text(selector, "arm")) == 0 &&
	       strcmp(json_text(trial, "mechanism"), source->mechanism) == 0 &&
	       strcmp(json_text(trial, "experiment"), source->experiment) == 0 &&
	       variant_matches(trial, selector) &&
	       json_has_part(json_object_get(trial, "parameters"),
		       json_object_get(selector, "parameters"));
}

void readings_deinit(struct readings *readings)
{
	free(readings->items);
	*readings = (struct readings){0};
}

static int by_pair(const void *a, const void *b)
{
	const struct trial_reading *x = a, *y = b;

	if (x->pair != y->pair)
		return x->pair < y->pair ? -1 : 1;
	return 0;
}

/* Two counted trials of one variant in the same half of a block cannot be told apart: neither
 * counts. */
static void drop_ambiguous(struct readings *readings)
{
	size_t kept = 0;

	for (size_t i = 0; i < readings->count;) {
		size_t end = i + 1;

		while (end < readings->count &&
			readings->items[end].pair == readings->items[i].pair)
			end++;
		if (end == i + 1)
			readings->items[kept++] = readings->items[i];
		else
			readings->ambiguous += end - i;
		i = end;
	}
	readings->count = kept;
}

void readings_pair(struct readings *readings)
{
	if (readings->count)
		qsort(readings->items, readings->count, sizeof(*readings->items), by_pair);
	drop_ambiguous(readings);
}

json_int_t trial_pair(const json_t *trial)
{
	return json_integer_value(json_object_get(trial, "block")) * 1000003 +
	       json_integer_value(json_object_get(trial, "half"));
}

void readings_collect(
	const struct source *source, const json_t *selector, bool paired, struct readings *readings)
{
	const json_t *trials = json_object_get(source->record, "trials");
	const char *metric = json_text(selector, "metric");
	const json_t *at = json_object_get(selector, "at");
	const json_t *trial;
	size_t i;

	*readings = (struct readings){0};
	readings->items = calloc(json_array_size(trials) + 1, sizeof(*readings->items));
	json_array_foreach (trials, i, trial) {
		struct trial_reading item = {.trial = trial};
		const char *reason;

		if (!readings->items || !trial_selected(trial, source, selector))
			continue;
		readings->seen++;
		if (!trial_counts(trial, &reason) || !trial_value(trial, metric, at, &item.value)) {
			if (!readings->why_not)
				readings->why_not = reason ? reason : "no such reading";
			continue;
		}
		item.pair = trial_pair(trial);
		readings->unit = trial_unit(trial, metric, at);
		readings->items[readings->count++] = item;
	}
	if (paired)
		readings_pair(readings);
}

static double *values_of(const struct readings *readings)
{
	double *values = calloc(readings->count + 1, sizeof(*values));

	if (!values)
		abort();
	for (size_t i = 0; i < readings->count; i++)
		values[i] = readings->items[i].value;
	return values;
}

void readings_median(const struct readings *readings, struct reading *reading)
{
	_cleanup_free_ double *values = values_of(readings);

	*reading = (struct reading){
		.median = stats_median(values, readings->count),
		.low = -INFINITY,
		.high = INFINITY,
		.trials = readings->count,
		.unit = readings->unit,
	};
}

/* Takes a hundred times as long as the median. */
void readings_interval(
	const struct readings *readings, double level, unsigned long seed, struct reading *reading)
{
	_cleanup_free_ double *values = values_of(readings);
	struct interval interval = bootstrap_median(values, readings->count, level, seed);

	reading->low = interval.low;
	reading->high = interval.high;
}

/* Where a selector names several variants, the one with the best median; else NULL. */
static const char *best_variant(const struct source *source, const json_t *selector)
{
	bool higher = strcmp(json_text(selector, "better"), "higher") == 0;
	_cleanup_json_ json_t *one = json_copy((json_t *)selector);
	const char *best = NULL;
	double best_median = 0;
	const json_t *name;
	size_t i;

	json_object_del(one, "best_of");
	json_array_foreach (json_object_get(selector, "best_of"), i, name) {
		_cleanup_readings_ struct readings readings = {0};
		struct reading reading;

		json_object_set(one, "variant", (json_t *)name);
		readings_collect(source, one, true, &readings);
		if (readings.count == 0)
			continue;
		readings_median(&readings, &reading);
		if (!best ||
			(higher ? reading.median > best_median : reading.median < best_median)) {
			best = json_string_value(name);
			best_median = reading.median;
		}
	}
	return best;
}

json_t *selector_settle(const struct source *source, const json_t *selector)
{
	json_t *settled = json_copy((json_t *)selector);
	const char *best;

	if (!json_object_get(selector, "best_of"))
		return settled;
	best = best_variant(source, selector);
	if (!best)
		best = json_string_value(json_array_get(json_object_get(selector, "best_of"), 0));
	json_object_del(settled, "best_of");
	json_object_set_new(settled, "variant", json_string(best));
	return settled;
}

bool source_reading(
	const struct source *source, const json_t *selector, double level, struct reading *reading)
{
	_cleanup_readings_ struct readings readings = {0};

	readings_collect(source, selector, true, &readings);
	if (readings.count == 0)
		return false;
	readings_median(&readings, reading);
	readings_interval(&readings, level, source->seed, reading);
	return true;
}

size_t readings_match(
	const struct readings *a, const struct readings *b, double **of_a, double **of_b)
{
	size_t pairs = 0;

	*of_a = calloc(a->count + 1, sizeof(**of_a));
	*of_b = calloc(a->count + 1, sizeof(**of_b));
	if (!*of_a || !*of_b)
		return 0;
	for (size_t i = 0, j = 0; i < a->count && j < b->count;) {
		if (a->items[i].pair < b->items[j].pair) {
			i++;
		} else if (a->items[i].pair > b->items[j].pair) {
			j++;
		} else {
			(*of_a)[pairs] = a->items[i++].value;
			(*of_b)[pairs++] = b->items[j++].value;
		}
	}
	return pairs;
}

size_t source_pairs(const struct source *source, const json_t *of, const json_t *to,
	double **subject, double **baseline)
{
	_cleanup_readings_ struct readings a = {0};
	_cleanup_readings_ struct readings b = {0};

	readings_collect(source, of, true, &a);
	readings_collect(source, to, true, &b);
	return readings_match(&a, &b, subject, baseline);
}

unsigned long record_seed(const json_t *record)
{
	return (unsigned long)json_integer_value(
		json_object_get(json_object_get(record, "plan"), "seed"));
}

double record_level(const json_t *record)
{
	return json_is_true(json_object_get(json_object_get(record, "plan"), "until_decided"))
		       ? INTERVAL_LEVEL_STOPPED
		       : INTERVAL_LEVEL;
}

bool record_reading(const json_t *record, const char *mechanism, const char *experiment,
	const json_t *selector, struct reading *reading)
{
	const struct source source = {record, mechanism, experiment, record_seed(record)};
	_cleanup_json_ json_t *placed = json_deep_copy(selector);
	_cleanup_json_ json_t *settled = NULL;

	coordinates_settle(&source, &placed, 1);
	settled = selector_settle(&source, placed);
	return source_reading(&source, settled, INTERVAL_LEVEL, reading);
}

bool record_ratio(const json_t *record, const char *mechanism, const char *experiment,
	const json_t *of, const json_t *to, struct reading *ratio, double *p_value)
{
	const struct source source = {record, mechanism, experiment, record_seed(record)};
	_cleanup_json_ json_t *placed_of = json_deep_copy(of);
	_cleanup_json_ json_t *placed_to = json_deep_copy(to);
	_cleanup_json_ json_t *settled_of = NULL;
	_cleanup_json_ json_t *settled_to = NULL;
	_cleanup_free_ double *subject = NULL;
	_cleanup_free_ double *baseline = NULL;
	struct ratio_estimate estimate;
	size_t pairs;

	coordinates_settle(&source, (json_t *const[]){placed_of, placed_to}, 2);
	settled_of = selector_settle(&source, placed_of);
	settled_to = selector_settle(&source, placed_to);
	pairs = source_pairs(&source, settled_of, settled_to, &subject, &baseline);
	if (pairs > PAIRS_MAX) /* the first ones, as where claims are graded */
		pairs = PAIRS_MAX;
	if (!pairs_ratio(subject, baseline, pairs, &estimate))
		return false;
	*ratio = (struct reading){
		.median = estimate.median,
		.low = estimate.interval.low,
		.high = estimate.interval.high,
		.trials = pairs,
		.unit = "x",
	};
	if (p_value)
		*p_value = estimate.p_value;
	return true;
}
