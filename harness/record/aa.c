/* One variant against itself: see aa.h. */
#include "harness/record/aa.h"

#include "harness/base/cleanup.h"
#include "harness/record/samples.h"
#include "harness/stats/multiple.h"
#include "harness/stats/pairs.h"

#include <math.h>
#include <string.h>

#define FALSE_DISCOVERIES 0.05

bool aa_is(const json_t *record)
{
	return json_is_true(json_object_get(json_object_get(record, "plan"), "aa"));
}

static bool is_listed(const json_t *rows, const json_t *row)
{
	const json_t *one;
	size_t i;

	json_array_foreach (rows, i, one) {
		if (json_equal(one, row))
			return true;
	}
	return false;
}

/* What arm A has read, each once. */
static json_t *list_rows(const json_t *record)
{
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

			if (row && !is_listed(rows, row))
				json_array_append(rows, row);
		}
	}
	return rows;
}

static json_t *selector_of(const json_t *row, const char *arm)
{
	return json_pack("{s:O, s:O, s:O*, s:s}", "variant", json_object_get(row, "variant"),
		"metric", json_object_get(row, "metric"), "at", json_object_get(row, "at"), "arm",
		arm);
}

static bool estimate(const json_t *record, const json_t *row, struct ratio_estimate *out)
{
	const struct source source = {record, json_text(row, "mechanism"),
		json_text(row, "experiment"), record_seed(record)};
	_cleanup_json_ json_t *a = selector_of(row, "A");
	_cleanup_json_ json_t *b = selector_of(row, "B");
	_cleanup_free_ double *of_a = NULL;
	_cleanup_free_ double *of_b = NULL;
	size_t pairs = source_pairs(&source, b, a, &of_b, &of_a);

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
	_cleanup_json_ json_t *candidates = list_rows(record);
	json_t *rows = json_array(), *row;
	size_t i;

	json_array_foreach (candidates, i, row) {
		struct ratio_estimate ratio;

		if (!estimate(record, row, &ratio))
			continue;
		put_estimate(row, &ratio);
		json_array_append(rows, row);
	}
	mark_differences(rows);
	return rows;
}
