/* What a night has read: see readings.h. Only trials that count are looked at. */
#include "harness/watch/readings.h"

#include "harness/base/cleanup.h"
#include "harness/base/fs.h"
#include "harness/record/aa.h"
#include "harness/record/samples.h"

#include <math.h>
#include <string.h>

static bool same(const json_t *a, const json_t *b, const char *key)
{
	const json_t *one = json_object_get(a, key), *two = json_object_get(b, key);

	return one && two ? json_equal(one, two) : one == two;
}

/* The same thing measured, whichever variant did it. */
static bool same_metric(const json_t *a, const json_t *b)
{
	return same(a, b, "mechanism") && same(a, b, "experiment") && same(a, b, "metric") &&
	       same(a, b, "at");
}

static bool is_listed(const json_t *rows, const json_t *row)
{
	const json_t *one;
	size_t i;

	json_array_foreach (rows, i, one) {
		if (same_metric(one, row) && same(one, row, "variant"))
			return true;
	}
	return false;
}

static json_t *list_rows(const json_t *record)
{
	json_t *rows = json_array();
	const json_t *trial, *sample;
	size_t t, s;

	json_array_foreach (json_object_get(record, "trials"), t, trial) {
		if (!trial_counts(trial, NULL))
			continue;
		json_array_foreach (json_object_get(trial, "samples"), s, sample) {
			_cleanup_json_ json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:s, s:O*}",
				"mechanism", json_text(trial, "mechanism"), "experiment",
				json_text(trial, "experiment"), "variant",
				json_text(trial, "variant"), "role", json_text(trial, "role"),
				"metric", json_text(sample, "metric"), "at",
				json_object_get(sample, "at"));

			if (row && !is_listed(rows, row))
				json_array_append(rows, row);
		}
	}
	return rows;
}

/* The first baseline by name that measures the same; NULL when there is none. Borrowed. */
static const json_t *baseline_of(const json_t *rows, const json_t *row)
{
	const json_t *one, *best = NULL;
	size_t i;

	json_array_foreach (rows, i, one) {
		if (strcmp(json_text(one, "role"), "baseline") == 0 && same_metric(one, row) &&
			(!best ||
				strcmp(json_text(one, "variant"), json_text(best, "variant")) < 0))
			best = one;
	}
	return best;
}

static json_t *selector_of(const json_t *row)
{
	return json_pack("{s:O, s:O, s:O*}", "variant", json_object_get(row, "variant"), "metric",
		json_object_get(row, "metric"), "at", json_object_get(row, "at"));
}

/* Coordinates as JSON, sorted by name. */
static char *name_of(const json_t *row)
{
	const json_t *at = json_object_get(row, "at");
	_cleanup_free_ char *place = at ? json_dumps(at, JSON_SORT_KEYS | JSON_COMPACT) : NULL;

	return format_string("%s %s %s %s%s%s", json_text(row, "mechanism"),
		json_text(row, "experiment"), json_text(row, "variant"), json_text(row, "metric"),
		place ? " at " : "", place ? place : "");
}

static bool measure(
	const json_t *record, const json_t *row, const json_t *baseline, struct reading *reading)
{
	_cleanup_json_ json_t *of = selector_of(row);
	_cleanup_json_ json_t *to = baseline ? selector_of(baseline) : NULL;
	const char *mechanism = json_text(row, "mechanism");
	const char *experiment = json_text(row, "experiment");

	if (baseline)
		return record_ratio(record, mechanism, experiment, of, to, reading, NULL);
	return record_reading(record, mechanism, experiment, of, reading) && reading->median > 0;
}

static void put_aa(json_t *row, const json_t *aa_rows)
{
	const json_t *aa;
	size_t i;

	json_array_foreach (aa_rows, i, aa) {
		if (!same_metric(aa, row))
			continue;
		json_object_set(row, "aa", json_object_get(aa, "median"));
		return;
	}
}

static void put_reading(json_t *row, const struct reading *reading, const json_t *baseline)
{
	_cleanup_free_ char *name = name_of(row);

	json_object_del(row, "role");
	json_object_set_new(row, "name", json_string(name));
	json_object_set(
		row, "baseline", baseline ? json_object_get(baseline, "variant") : json_null());
	json_object_set_new(row, "value", json_real(reading->median));
	json_object_set_new(row, "pairs", json_integer((json_int_t)reading->trials));
	if (isfinite(reading->low) && isfinite(reading->high)) {
		json_object_set_new(row, "low", json_real(reading->low));
		json_object_set_new(row, "high", json_real(reading->high));
	}
}

json_t *watch_readings(const json_t *record, const json_t *aa_record)
{
	_cleanup_json_ json_t *candidates = list_rows(record);
	_cleanup_json_ json_t *aa_rows = aa_record ? aa_compare(aa_record) : NULL;
	json_t *rows = json_array(), *candidate;
	size_t i;

	json_array_foreach (candidates, i, candidate) {
		const json_t *baseline = baseline_of(candidates, candidate);
		_cleanup_json_ json_t *row = json_copy(candidate);
		struct reading reading;

		if (baseline && same(baseline, candidate, "variant"))
			baseline = NULL;
		if (!measure(record, candidate, baseline, &reading))
			continue;
		put_reading(row, &reading, baseline);
		put_aa(row, aa_rows);
		json_array_append(rows, row);
	}
	return rows;
}
