/* Series of readings: see series.h. */
#include "harness/report/series.h"

#include "harness/base/fs.h"
#include "harness/record/gather.h"
#include "harness/stats/summary.h"

#include <stdio.h>
#include <stdlib.h>

json_t *series_list(const json_t *record)
{
	_cleanup_json_ json_t *seen = json_object();
	json_t *list = json_array();
	const json_t *trial, *sample;
	size_t t, s;

	json_array_foreach (json_object_get(record, "trials"), t, trial) {
		json_array_foreach (json_object_get(trial, "samples"), s, sample) {
			json_t *series = json_pack("{s:O, s:O, s:O, s:O, s:O}", "mechanism",
				json_object_get(trial, "mechanism"), "experiment",
				json_object_get(trial, "experiment"), "variant",
				json_object_get(trial, "variant"), "metric",
				json_object_get(sample, "metric"), "unit",
				json_object_get(sample, "unit"));
			_cleanup_free_ char *key = NULL;

			if (json_array_size(list) >= GATHER_MOST_SERIES) {
				json_decref(series);
				return list;
			}

			if (json_is_object(json_object_get(sample, "at")))
				json_object_set(series, "at", json_object_get(sample, "at"));
			key = json_dumps(series, JSON_COMPACT | JSON_SORT_KEYS);
			if (key && !json_object_get(seen, key)) {
				json_object_set_new(seen, key, json_true());
				json_array_append(list, series);
			}
			json_decref(series);
		}
	}
	return list;
}

/* The trial's entry among the flagged ones; made when it is the first reading of it. */
static json_t *flagged_trial(json_t *flagged, const json_t *trial)
{
	static const char *const fields[] = {"index", "mechanism", "experiment", "variant"};
	char index[32];
	json_t *one;

	snprintf(index, sizeof(index), "%" JSON_INTEGER_FORMAT,
		json_integer_value(json_object_get(trial, "index")));
	one = json_object_get(flagged, index);
	if (one)
		return one;
	one = json_pack("{s:[]}", "readings");
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		json_object_set(one, fields[i], json_object_get(trial, fields[i]));
	json_object_set_new(flagged, index, one);
	return one;
}

static void flag(const struct readings *readings, const json_t *series, json_t *flagged)
{
	_cleanup_free_ struct outlier *outliers = NULL;
	_cleanup_free_ double *values = NULL;

	values = calloc(readings->count + 1, sizeof(*values));
	outliers = calloc(readings->count + 1, sizeof(*outliers));
	if (!values || !outliers)
		return;
	for (size_t i = 0; i < readings->count; i++)
		values[i] = readings->items[i].value;
	outliers_flag(values, readings->count, outliers);
	for (size_t i = 0; i < readings->count; i++) {
		json_t *one;

		if (outliers[i].reason == OUTLIER_NONE)
			continue;
		one = json_pack("{s:O, s:O, s:f, s:s}", "metric", json_object_get(series, "metric"),
			"unit", json_object_get(series, "unit"), "value", values[i], "reason",
			outlier_reason_text(outliers[i].reason));
		if (json_object_get(series, "at"))
			json_object_set(one, "at", json_object_get(series, "at"));
		json_array_append_new(
			json_object_get(
				flagged_trial(flagged, readings->items[i].trial), "readings"),
			one);
	}
}

static int by_index(const void *a, const void *b)
{
	double one = json_number(*(json_t *const *)a, "index", 0);
	double two = json_number(*(json_t *const *)b, "index", 0);

	return (one > two) - (one < two);
}

static json_t *sorted_by_index(json_t *flagged)
{
	size_t count = json_object_size(flagged), i = 0;
	_cleanup_free_ json_t **trials = calloc(count + 1, sizeof(json_t *));
	json_t *sorted = json_array(), *one;
	const char *index;

	if (!trials)
		abort();
	json_object_foreach (flagged, index, one)
		trials[i++] = one;
	qsort(trials, count, sizeof(*trials), by_index);
	for (i = 0; i < count; i++)
		json_array_append(sorted, trials[i]);
	return sorted;
}

json_t *series_outliers(const json_t *record)
{
	_cleanup_gathered_ struct gathered *gathered = gather_readings(record);
	_cleanup_json_ json_t *list = series_list(record);
	_cleanup_json_ json_t *flagged = json_object();
	const json_t *series;
	size_t i;

	json_array_foreach (list, i, series) {
		const struct readings *readings = gathered_readings(gathered, series);

		if (readings)
			flag(readings, series, flagged);
	}
	return sorted_by_index(flagged);
}

char *series_name(const json_t *series)
{
	char *name = format_string("%s", json_text(series, "metric"));
	const char *between = " at ", *key;
	json_t *value;

	json_object_foreach (json_object_get(series, "at"), key, value) {
		char *shown = json_dumps(value, JSON_ENCODE_ANY);
		char *longer = format_string("%s%s%s=%s", name, between, key, shown ? shown : "?");

		free(shown);
		free(name);
		name = longer;
		between = ", ";
	}
	return name;
}
