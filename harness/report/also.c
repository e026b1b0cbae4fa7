/* What was measured beyond a paper's tables: see also.h. Must never hide a metric that only some
 * variants have in those tables. */
#include "harness/report/also.h"

#include "harness/base/fs.h"
#include "harness/record/gather.h"
#include "harness/report/selectors.h"
#include "harness/report/series.h"

#include <math.h>
#include <string.h>

static bool same_metric(const json_t *a, const json_t *b)
{
	return json_equal(json_object_get(a, "experiment"), json_object_get(b, "experiment")) &&
	       json_equal(json_object_get(a, "metric"), json_object_get(b, "metric"));
}

/* ---- variants in a steady order: subjects first, then as the paper names them ---- */

/* {variant: role} of a mechanism, as its first trial has it. */
static json_t *roles_in(const json_t *record, const json_t *mechanism)
{
	json_t *roles = json_object();
	const json_t *trial;
	size_t i;

	json_array_foreach (json_object_get(record, "trials"), i, trial) {
		const char *variant = json_text(trial, "variant");

		if (!json_object_get(roles, variant) &&
			json_equal(json_object_get(trial, "mechanism"), mechanism))
			json_object_set(roles, variant, json_object_get(trial, "role"));
	}
	return roles;
}

/* {variant: place}: less is further left. */
static json_t *places_of(const json_t *roles, const json_t *list, const json_t *selectors)
{
	json_t *places = json_object();
	const json_t *series, *one;
	size_t i, s;

	json_array_foreach (list, i, series) {
		const char *variant = json_text(series, "variant");
		size_t place = json_array_size(selectors);

		if (json_object_get(places, variant))
			continue;
		json_array_foreach (selectors, s, one) {
			if (strcmp(json_text(json_object_get(one, "selector"), "variant"),
				    variant) == 0) {
				place = s;
				break;
			}
		}
		if (strcmp(json_text(roles, variant), "subject") != 0)
			place += json_array_size(selectors) + 1;
		json_object_set_new(places, variant, json_integer((json_int_t)place));
	}
	return places;
}

static json_t *variants_in_order(const json_t *rows, const json_t *places)
{
	json_t *variants = json_array();
	const json_t *row;
	const char *name;
	json_t *cell;
	size_t i, at;

	json_array_foreach (rows, i, row) {
		json_object_foreach (json_object_get(row, "cells"), name, cell) {
			double place = json_number(places, name, 0);

			for (at = 0; at < json_array_size(variants); at++) {
				const char *other = json_string_value(json_array_get(variants, at));
				double its = json_number(places, other, 0);
				int order = strcmp(name, other);

				if (order == 0 || place < its || (place == its && order < 0))
					break;
			}
			if (at < json_array_size(variants) &&
				strcmp(name, json_string_value(json_array_get(variants, at))) == 0)
				continue;
			json_array_insert_new(variants, at, json_string(name));
		}
	}
	return variants;
}

/* ---- rows ---- */

int unit_better(const char *unit)
{
	static const char *const times[] = {"ns", "us", "ms", "s"};
	size_t length = strlen(unit);

	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		if (strcmp(unit, times[i]) == 0)
			return -1;
	}
	return length > 2 && strcmp(unit + length - 2, "/s") == 0 ? 1 : 0;
}

static json_t *cell_of(struct gathered *gathered, const json_t *series)
{
	struct reading reading;
	json_t *cell;

	if (!gathered_reading(gathered, series, &reading))
		return NULL;
	cell = json_pack(
		"{s:f, s:I}", "median", reading.median, "trials", (json_int_t)reading.trials);
	json_object_set_new(cell, "low", json_real(reading.low)); /* infinity is left out */
	json_object_set_new(cell, "high", json_real(reading.high));
	return cell;
}

static void add_to_row(
	json_t *rows, const char *label, struct gathered *gathered, const json_t *series)
{
	json_t *row = NULL, *one, *cell = cell_of(gathered, series);
	size_t i;

	if (!cell)
		return;
	json_array_foreach (rows, i, one) {
		if (strcmp(json_text(one, "label"), label) == 0)
			row = one;
	}
	if (!row) {
		row = json_pack("{s:s, s:s, s:{}}", "label", label, "unit",
			json_text(series, "unit"), "cells");
		json_array_append_new(rows, row);
	}
	json_object_set_new(json_object_get(row, "cells"), json_text(series, "variant"), cell);
}

/* The best cell of the row among the variants of a role; "" for none. */
static const char *best_in(const json_t *row, const json_t *places, bool subject, double baselines)
{
	int better = unit_better(json_text(row, "unit"));
	const char *name, *best = "";
	double value = NAN;
	json_t *cell;

	json_object_foreach (json_object_get(row, "cells"), name, cell) {
		double median = json_number(cell, "median", NAN);

		if ((json_number(places, name, 0) < baselines) != subject || !(median > 0))
			continue;
		if (!*best || (better < 0 ? median < value : median > value)) {
			best = name;
			value = median;
		}
	}
	return best;
}

static void add_gain(json_t *row, const json_t *places, double baselines)
{
	const json_t *cells = json_object_get(row, "cells");
	int better = unit_better(json_text(row, "unit"));
	const char *subject = best_in(row, places, true, baselines);
	const char *baseline = best_in(row, places, false, baselines);
	double ratio = json_number(json_object_get(cells, baseline), "median", NAN) /
		       json_number(json_object_get(cells, subject), "median", NAN);

	if (better != 0 && isfinite(ratio) && ratio > 0)
		json_object_set_new(row, "gain",
			json_pack("{s:f, s:s, s:s}", "ratio", better < 0 ? ratio : 1 / ratio,
				"subject", subject, "baseline", baseline));
}

/* The fewest and the most trials behind a cell of the row. */
static void add_trials(json_t *row)
{
	json_int_t least = 0, most = 0;
	const char *name;
	json_t *cell;

	json_object_foreach (json_object_get(row, "cells"), name, cell) {
		json_int_t n = json_integer_value(json_object_get(cell, "trials"));

		least = least == 0 || n < least ? n : least;
		most = n > most ? n : most;
	}
	json_object_set_new(row, "trials", json_pack("[I, I]", least, most));
}

/* Puts the rows into the table and adds what is made of them. Takes `rows` over. */
static json_t *finish_table(json_t *table, json_t *rows, const json_t *places, double baselines)
{
	json_t *row;
	size_t i;

	json_object_set_new(table, "rows", rows);
	json_array_foreach (rows, i, row) {
		add_trials(row);
		add_gain(row, places, baselines);
	}
	json_object_set_new(table, "variants", variants_in_order(rows, places));
	return table;
}

/* ---- tables ---- */

static bool same_point(const json_t *a, const json_t *b)
{
	const json_t *one = json_object_get(a, "at"), *two = json_object_get(b, "at");

	return (!one && !two) || json_equal(one, two);
}

static char *metric_key(const json_t *series)
{
	return format_string(
		"%s\n%s", json_text(series, "experiment"), json_text(series, "metric"));
}

/* {key of a metric: its first series}, and in *sweeps those of which others have other points. */
static json_t *metrics_of(const json_t *list, json_t **sweeps)
{
	json_t *metrics = json_object(), *first, *series;
	size_t i;

	*sweeps = json_object();
	json_array_foreach (list, i, series) {
		_cleanup_free_ char *key = metric_key(series);

		first = json_object_get(metrics, key);
		if (!first)
			json_object_set(metrics, key, series);
		else if (!same_point(first, series))
			json_object_set(*sweeps, key, first);
	}
	return metrics;
}

/* The one coordinate of a sweep, "" where there are several. */
static const char *coordinate_of(const json_t *series)
{
	json_t *at = json_object_get(series, "at");

	return json_object_size(at) == 1 ? json_object_iter_key(json_object_iter(at)) : "";
}

static char *point_label(const json_t *series, const char *coordinate)
{
	const json_t *value = json_object_get(json_object_get(series, "at"), coordinate);
	const char *name;
	_cleanup_free_ char *full = NULL;

	if (json_is_string(value))
		return format_string("%s", json_string_value(value));
	if (json_is_number(value))
		return format_string("%.10g", json_number_value(value));
	full = series_name(series);
	name = strstr(full, " at ");
	return format_string("%s", name ? name + 4 : full);
}

/* Ascending labels where they are numbers; others stay as they came. */
static json_t *rows_in_order(json_t *rows)
{
	json_t *sorted = json_array(), *row;
	size_t i, at;

	json_array_foreach (rows, i, row) {
		double value = strtod(json_text(row, "label"), NULL);

		for (at = json_array_size(sorted); at > 0; at--) {
			if (strtod(json_text(json_array_get(sorted, at - 1), "label"), NULL) <=
				value)
				break;
		}
		json_array_insert(sorted, at, row);
	}
	json_decref(rows);
	return sorted;
}

struct gathering {
	struct gathered *gathered;
	const json_t *list;   /* series of this mechanism that are to be shown */
	const json_t *sweeps; /* metrics with several points */
	const json_t *places; /* of variants */
	double baselines;     /* place of the first baseline */
};

/* The metrics of one experiment that have a single point. */
static json_t *single_figures(const struct gathering *gathering, const json_t *experiment)
{
	json_t *rows = json_array(), *table;
	const json_t *series;
	size_t i;

	json_array_foreach (gathering->list, i, series) {
		_cleanup_free_ char *key = NULL;
		_cleanup_free_ char *name = NULL;

		if (!json_equal(json_object_get(series, "experiment"), experiment))
			continue;
		key = metric_key(series);
		if (json_object_get(gathering->sweeps, key))
			continue;
		name = series_name(series);
		add_to_row(rows, name, gathering->gathered, series);
	}
	table = json_pack("{s:O, s:s, s:s, s:s}", "experiment", experiment, "metric", "", "unit",
		"", "coordinate", "");
	return finish_table(table, rows, gathering->places, gathering->baselines);
}

static json_t *sweep(const struct gathering *gathering, const json_t *first)
{
	const char *coordinate = coordinate_of(first);
	json_t *rows = json_array(), *table;
	const json_t *series;
	size_t i;

	json_array_foreach (gathering->list, i, series) {
		_cleanup_free_ char *label = NULL;

		if (!same_metric(series, first))
			continue;
		label = point_label(series, coordinate);
		add_to_row(rows, label, gathering->gathered, series);
	}
	table = json_pack("{s:O, s:O, s:O, s:s}", "experiment",
		json_object_get(first, "experiment"), "metric", json_object_get(first, "metric"),
		"unit", json_object_get(first, "unit"), "coordinate", coordinate);
	return finish_table(table, rows_in_order(rows), gathering->places, gathering->baselines);
}

/* Series of the paper's mechanism, of metrics that are not wholly shown already. */
static json_t *unshown(const json_t *all, const json_t *paper, const json_t *selectors)
{
	_cleanup_json_ json_t *shown = json_object();
	json_t *list = json_array();
	json_t *series;
	size_t i;

	json_array_foreach (all, i, series) {
		_cleanup_free_ char *key = metric_key(series);

		if (json_equal(json_object_get(series, "mechanism"),
			    json_object_get(paper, "mechanism")) &&
			!selectors_show(selectors, series))
			json_object_set_new(shown, key, json_true());
	}
	json_array_foreach (all, i, series) {
		_cleanup_free_ char *key = metric_key(series);

		if (json_object_get(shown, key) && json_equal(json_object_get(series, "mechanism"),
							   json_object_get(paper, "mechanism")))
			json_array_append(list, series);
	}
	return list;
}

static void append_filled(json_t *tables, json_t *table)
{
	if (json_array_size(json_object_get(table, "rows")))
		json_array_append(tables, table);
	json_decref(table);
}

/* A table for each experiment, then one for each sweep, in the order of the list. */
static json_t *tables_of(const struct gathering *gathering, const json_t *metrics)
{
	_cleanup_json_ json_t *experiments = json_object();
	json_t *tables = json_array();
	const json_t *series;
	size_t i;

	json_array_foreach (gathering->list, i, series) {
		const char *experiment = json_text(series, "experiment");

		if (json_object_get(experiments, experiment))
			continue;
		json_object_set_new(experiments, experiment, json_true());
		append_filled(
			tables, single_figures(gathering, json_object_get(series, "experiment")));
	}
	json_array_foreach (gathering->list, i, series) {
		_cleanup_free_ char *key = metric_key(series);

		if (json_object_get(metrics, key) == series &&
			json_object_get(gathering->sweeps, key))
			append_filled(tables, sweep(gathering, series));
	}
	return tables;
}

json_t *also_measured(const json_t *record, const json_t *paper)
{
	_cleanup_gathered_ struct gathered *gathered = gather_readings(record);
	_cleanup_json_ json_t *all = series_list(record);
	_cleanup_json_ json_t *selectors = paper_selectors(paper);
	_cleanup_json_ json_t *list = unshown(all, paper, selectors);
	_cleanup_json_ json_t *roles = roles_in(record, json_object_get(paper, "mechanism"));
	_cleanup_json_ json_t *places = places_of(roles, list, selectors);
	_cleanup_json_ json_t *sweeps = NULL;
	_cleanup_json_ json_t *metrics = metrics_of(list, &sweeps);
	const struct gathering gathering = {
		gathered, list, sweeps, places, (double)json_array_size(selectors) + 1};

	return tables_of(&gathering, metrics);
}
