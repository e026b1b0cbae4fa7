/* One variant against itself: see aa.h. */
#include "harness/record/aa.h"

#include "harness/base/cleanup.h"
#include "harness/record/gather.h"
#include "harness/stats/multiple.h"
#include "harness/stats/pairs.h"

#include <math.h>
#include <string.h>

#define FALSE_DISCOVERIES 0.05

bool aa_is(const json_t *record)
{
	return json_is_true(json_object_get(json_object_get(record, "plan"), "aa"));
}

/* What arm A has read, each once. */
static json_t *list_rows(const json_t *record)
{
	_cleanup_json_ json_t *seen = json_object();
	json_t *rows = json_array();
	const json_t *trial, *sample;
	size_t t, s;

	json_array_foreach (json_object_get(record, "trials"), t, trial) {
		if (strcmp(json_text(trial, "arm"), "A") != 0)
			continue;
		json_array_foreach (json_object_get(trial, "samples"), s, sample) {
			_cleanup_json_ json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:O*}",
				"mechanism", json_text(trial, "mechanism"), "experiment",
				json_text(trial, "experiment"), "variant",
				json_text(trial, "variant"), "metric", json_text(sample, "metric"),
				"at", json_object_get(sample, "at"));
			_cleanup_free_ char *key = series_key(row);

			if (json_object_get(seen, key) ||
				json_array_size(rows) >= GATHER_MOST_SERIES)
				continue;
			json_object_set_new(seen, key, json_true());
			json_array_append(rows, row);
		}
	}
	return rows;
}

static json_t *in_arm(const json_t *row, const char *arm)
{
	json_t *series = json_copy((json_t *)row);

	json_object_set_new(series, "arm", json_string(arm));
	return series;
}

static bool estimate(struct gathered *gathered, const json_t *row, struct ratio_estimate *out)
{
	_cleanup_json_ json_t *a = in_arm(row, "A");
	_cleanup_json_ json_t *b = in_arm(row, "B");
	_cleanup_free_ double *of_a = NULL;
	_cleanup_free_ double *of_b = NULL;
	size_t pairs = gathered_pairs(gathered, b, a, &of_b, &of_a);

	return pairs_ratio(of_b, of_a, pairs, out);
}

static void put_estimate(json_t *row, const struct ratio_estimate *ratio)
{
	json_object_set_new(row, "pairs", json_integer((json_int_t)ratio->n));
	json_object_set_new(row, "median", json_real(ratio->median));
	if (interval_is_bounded(ratio->interval)) {
		json_object_set_new(row, "low", json_real(ratio->interval.low));
		json_object_set_new(row, "high", json_real(ratio->interval.high));
	}
	json_object_set_new(row, "p_value", json_real(ratio->p_value));
}

static void mark_differences(json_t *rows)
{
	size_t n = json_array_size(rows), i;
	_cleanup_free_ double *p_values = calloc(n + 1, sizeof(*p_values));
	_cleanup_free_ bool *differs = calloc(n + 1, sizeof(*differs));
	json_t *row;

	if (!p_values || !differs)
		abort();
	json_array_foreach (rows, i, row)
		p_values[i] = json_number(row, "p_value", NAN);
	multiple_discoveries(p_values, n, FALSE_DISCOVERIES, differs);
	json_array_foreach (rows, i, row)
		json_object_set_new(row, "differs", json_boolean(differs[i]));
}

json_t *aa_compare(const json_t *record)
{
	_cleanup_gathered_ struct gathered *gathered = gather_readings(record);
	_cleanup_json_ json_t *candidates = list_rows(record);
	json_t *rows = json_array(), *row;
	size_t i;

	json_array_foreach (candidates, i, row) {
		struct ratio_estimate ratio;

		if (!estimate(gathered, row, &ratio))
			continue;
		put_estimate(row, &ratio);
		json_array_append(rows, row);
	}
	mark_differences(rows);
	return rows;
}
