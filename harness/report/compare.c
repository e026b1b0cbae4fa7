/*
 * Two runs side by side: see report.h. Refuses nothing, but says when the hosts differ in what
 * matters. Runs are not paired, so a ratio's interval is taken from the two intervals' ends: it is
 * wider than a test of the difference would give, never narrower.
 */
#include "harness/base/fs.h"
#include "harness/record/gather.h"
#include "harness/report/formats.h"
#include "harness/report/report.h"
#include "harness/report/series.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <strings.h>

/* A value longer than this (hwloc's XML) is compared but not shown. */
#define MOST_SHOWN 60

/* What makes two hosts incomparable, and what is shown first. */
static const char *const decisive[] = {
	"accelerator.name", "cpu.model", "cpu", "qemu.version", "qemu", "kernel.release", "kernel"};

static char *value_text(const json_t *value)
{
	if (!value)
		return format_string("%s", "absent");
	if (json_is_string(value))
		return format_string("%s", json_string_value(value));
	char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));

	return text ? text : format_string("%s", "unreadable");
}

static void add_difference(json_t *list, const char *path, const json_t *a, const json_t *b)
{
	_cleanup_free_ char *one = value_text(a);
	_cleanup_free_ char *two = value_text(b);

	bool is_long = strlen(one) > MOST_SHOWN || strlen(two) > MOST_SHOWN;

	json_array_append_new(
		list, json_pack("{s:s, s:s, s:s}", "field", path, "a", is_long ? "(long)" : one,
			      "b", is_long ? "(long)" : two));
}

/* Fields of the two hosts that differ, as paths; nesting is bounded. */
static void differences(
	json_t *list, const char *prefix, const json_t *a, const json_t *b, unsigned depth)
{
	_cleanup_json_ json_t *keys = json_object();
	const char *key;
	json_t *value;

	json_object_update(keys, (json_t *)a);
	json_object_update_missing(keys, (json_t *)b);
	json_object_foreach (keys, key, value) {
		const json_t *one = json_object_get(a, key), *two = json_object_get(b, key);
		_cleanup_free_ char *path =
			format_string("%s%s%.60s", prefix, *prefix ? "." : "", key);

		if (one && two && json_equal(one, two))
			continue;
		if (json_is_object(one) && json_is_object(two) && depth < 4)
			differences(list, path, one, two, depth + 1);
		else
			add_difference(list, path, one, two);
	}
}

static int rank_of(const json_t *difference)
{
	for (size_t i = 0; i < ARRAY_SIZE(decisive); i++) {
		if (strcmp(json_text(difference, "field"), decisive[i]) == 0)
			return (int)i;
	}
	return (int)ARRAY_SIZE(decisive);
}

/* What matters first; the rest in the order found. */
static json_t *sorted(const json_t *list)
{
	json_t *out = json_array();
	json_t *one;
	size_t i;

	for (int rank = 0; rank <= (int)ARRAY_SIZE(decisive); rank++) {
		json_array_foreach (list, i, one) {
			if (rank_of(one) == rank)
				json_array_append(out, one);
		}
	}
	return out;
}

static void image_differences(json_t *list, const json_t *a, const json_t *b)
{
	const json_t *one, *two;
	size_t i, j;

	json_array_foreach (json_object_get(a, "images"), i, one) {
		json_array_foreach (json_object_get(b, "images"), j, two) {
			_cleanup_free_ char *path = NULL;

			if (strcmp(json_text(one, "name"), json_text(two, "name")) != 0 ||
				strcmp(json_text(one, "hash"), json_text(two, "hash")) == 0)
				continue;
			path = format_string("image %.40s", json_text(one, "name"));
			add_difference(list, path, json_object_get(one, "hash"),
				json_object_get(two, "hash"));
		}
	}
}

static bool is_decisive(const json_t *difference)
{
	return rank_of(difference) < 3; /* accelerator and CPU */
}

/* {"comparable", "reason", "differences": [{"field", "a", "b"}]} */
static json_t *compare_hosts(const json_t *a, const json_t *b)
{
	_cleanup_json_ json_t *list = json_array();
	_cleanup_json_ json_t *ordered = NULL;
	const json_t *first;
	_cleanup_free_ char *reason = NULL;

	differences(list, "", json_object_get(a, "host"), json_object_get(b, "host"), 0);
	differences(list, "peer", json_object_get(a, "peer"), json_object_get(b, "peer"), 0);
	image_differences(list, a, b);
	ordered = sorted(list);
	first = json_array_get(ordered, 0);
	if (first && is_decisive(first))
		reason = format_string("%s differs: %s, %s", json_text(first, "field"),
			json_text(first, "a"), json_text(first, "b"));
	return json_pack("{s:b, s:s, s:O}", "comparable", reason == NULL, "reason",
		reason ? reason : "", "differences", ordered);
}

/* ---- settings ---- */

/* What trials of each group ran with: {"mechanism\nexperiment\nvariant": {parameter: value}}. A
 * trial that failed early may not have told all, so they complete each other. */
static json_t *parameters_of(const json_t *record)
{
	json_t *groups = json_object();
	const json_t *trial;
	size_t i;

	json_array_foreach (json_object_get(record, "trials"), i, trial) {
		_cleanup_free_ char *key =
			format_string("%s\n%s\n%s", json_text(trial, "mechanism"),
				json_text(trial, "experiment"), json_text(trial, "variant"));
		json_t *known = json_object_get(groups, key);

		if (!known)
			json_object_set_new(groups, key, known = json_object());
		json_object_update_missing(known, json_object_get(trial, "parameters"));
	}
	return groups;
}

/* One row for all experiments of a mechanism in which a parameter differs in the same way. `rows`
 * has them by what they say. */
static void add_setting(
	json_t *rows, const char *group, const char *field, const json_t *a, const json_t *b)
{
	_cleanup_free_ char *names = format_string("%s", group);
	_cleanup_json_ json_t *list = json_array();
	char *rest = names, *mechanism = strsep(&rest, "\n"), *experiment = strsep(&rest, "\n");
	json_t *row, *known, *experiments;

	add_difference(list, field, a, b);
	row = json_array_get(list, 0);
	json_object_set_new(row, "mechanism", json_string(mechanism));
	_cleanup_free_ char *key = json_dumps(row, JSON_COMPACT | JSON_SORT_KEYS);

	if (!row || !key)
		return;
	known = json_object_get(rows, key);
	if (!known) {
		json_object_set_new(row, "experiments", json_array());
		json_object_set(rows, key, known = row);
	}
	experiments = json_object_get(known, "experiments");
	const char *last =
		json_string_value(json_array_get(experiments, json_array_size(experiments) - 1));

	if (!last || strcmp(last, experiment) != 0)
		json_array_append_new(experiments, json_string(experiment));
}

static void parameter_differences(json_t *list, const json_t *a, const json_t *b)
{
	_cleanup_json_ json_t *of_a = parameters_of(a);
	_cleanup_json_ json_t *of_b = parameters_of(b);
	_cleanup_json_ json_t *rows = json_object();
	const char *group, *name;
	json_t *one, *value;

	json_object_foreach (of_a, group, one) {
		const json_t *two = json_object_get(of_b, group);
		_cleanup_json_ json_t *names = json_copy(one);

		if (!two)
			continue;
		json_object_update_missing(names, (json_t *)two);
		json_object_foreach (names, name, value) {
			const json_t *left = json_object_get(one, name);
			const json_t *right = json_object_get(two, name);

			if (!left || !right || !json_equal(left, right))
				add_setting(rows, group, name, left, right);
		}
	}
	json_object_foreach (rows, name, value)
		json_array_append(list, value);
}

/* How the two runs were asked to run, as far as it differs: [{"field", "a", "b"}], a parameter's
 * with "mechanism" and "experiments". Only of what both have run. */
static json_t *compare_settings(const json_t *a, const json_t *b)
{
	static const char *const fields[] = {"profile", "aa", "drill", "peer"};
	const json_t *of_a = json_object_get(a, "plan"), *of_b = json_object_get(b, "plan");
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const json_t *one = json_object_get(of_a, fields[i]);
		const json_t *two = json_object_get(of_b, fields[i]);

		if ((one || two) && !(one && two && json_equal(one, two)))
			add_difference(list, fields[i], one, two);
	}
	parameter_differences(list, a, b);
	return list;
}

/* b / a from two medians and their intervals; "excludes_one" only while both are bounded. */
static void put_ratio(
	json_t *row, double a, double a_low, double a_high, double b, double b_low, double b_high)
{
	double low = b_low / a_high, high = b_high / a_low;
	bool bounded = isfinite(low) && isfinite(high) && a_low > 0 && b_low > 0;

	if (a > 0 && b > 0)
		json_object_set_new(row, "ratio", json_real(b / a));
	if (bounded) {
		json_object_set_new(row, "ratio_low", json_real(low));
		json_object_set_new(row, "ratio_high", json_real(high));
	}
	json_object_set_new(row, "excludes_one", json_boolean(bounded && (low > 1 || high < 1)));
	json_object_set_new(row, "bounded", json_boolean(bounded));
}

/* b - a of two growths: they are shares already, and may be about 0, where a ratio says nothing. */
static void put_difference(json_t *row, const json_t *a, const json_t *b)
{
	double low = json_number(b, "low", NAN) - json_number(a, "high", NAN);
	double high = json_number(b, "high", NAN) - json_number(a, "low", NAN);
	bool bounded = isfinite(low) && isfinite(high);

	json_object_set_new(row, "difference",
		json_real(json_number(b, "measured", NAN) - json_number(a, "measured", NAN)));
	if (bounded) {
		json_object_set_new(row, "difference_low", json_real(low));
		json_object_set_new(row, "difference_high", json_real(high));
	}
	json_object_set_new(row, "excludes_one", json_boolean(bounded && (low > 0 || high < 0)));
	json_object_set_new(row, "bounded", json_boolean(bounded));
}

/* How far apart two results of one test are. */
static void put_apart(json_t *row, const json_t *a, const json_t *b)
{
	if (!json_object_get(a, "measured") || !json_object_get(b, "measured"))
		return;
	if (strcmp(json_text(a, "kind"), "slope") == 0)
		put_difference(row, a, b);
	else
		put_ratio(row, json_number(a, "measured", NAN), json_number(a, "low", NAN),
			json_number(a, "high", NAN), json_number(b, "measured", NAN),
			json_number(b, "low", NAN), json_number(b, "high", NAN));
}

static json_t *reading_json(const struct reading *reading)
{
	json_t *json = json_pack(
		"{s:f, s:I}", "median", reading->median, "trials", (json_int_t)reading->trials);

	json_object_set_new(json, "low", json_real(reading->low));
	json_object_set_new(json, "high", json_real(reading->high));
	return json;
}

static const json_t *claim_in(const json_t *record, const char *id)
{
	const json_t *claim;
	size_t i;

	json_array_foreach (json_object_get(record, "claims"), i, claim) {
		if (strcmp(json_text(claim, "id"), id) == 0)
			return claim;
	}
	return NULL;
}

static bool wanted(const struct report_options *options, const json_t *claim)
{
	if (options->paper && strcasecmp(options->paper, json_text(claim, "paper")) != 0)
		return false;
	return !options->claim || strcasecmp(options->claim, json_text(claim, "id")) == 0;
}

static json_t *compare_claims(
	const json_t *a, const json_t *b, const struct report_options *options)
{
	json_t *rows = json_array();
	const json_t *claim;
	size_t i;

	json_array_foreach (json_object_get(a, "claims"), i, claim) {
		const json_t *other = claim_in(b, json_text(claim, "id"));
		const json_t *one = claim_deciding_test(claim);
		const json_t *two = claim_deciding_test(other);
		bool same_test = claim_test_at(claim, 0) == claim_test_at(other, 0);
		json_t *row;

		if (!other || !wanted(options, claim))
			continue;
		row = json_pack("{s:s, s:s, s:s, s:s, s:s}", "claim", json_text(claim, "id"),
			"paper", json_text(claim, "paper"), "a", json_text(claim, "verdict"), "b",
			json_text(other, "verdict"), "unit", json_text(one, "unit"));
		json_object_set(row, "test_a", (json_t *)one);
		json_object_set(row, "test_b", (json_t *)two);
		if (same_test)
			put_apart(row, one, two);
		json_array_append_new(rows, row);
	}
	return rows;
}

static json_t *compare_metrics(const json_t *a, const json_t *b)
{
	_cleanup_gathered_ struct gathered *of_a = gather_readings(a);
	_cleanup_gathered_ struct gathered *of_b = gather_readings(b);
	_cleanup_json_ json_t *list = series_list(a);
	json_t *rows = json_array();
	json_t *series;
	size_t i;

	json_array_foreach (list, i, series) {
		struct reading one, two;
		json_t *row;

		if (!gathered_reading(of_a, series, &one) || !gathered_reading(of_b, series, &two))
			continue;
		row = json_copy(series);
		json_object_set_new(row, "a", reading_json(&one));
		json_object_set_new(row, "b", reading_json(&two));
		put_ratio(row, one.median, one.low, one.high, two.median, two.low, two.high);
		json_array_append_new(rows, row);
	}
	return rows;
}

static json_t *run_json(const struct record *record)
{
	const json_t *json = record->json;

	return json_pack("{s:s, s:s, s:s, s:b}", "id", json_text(json, "id"), "profile",
		json_text(json_object_get(json, "plan"), "profile"), "accelerator",
		json_text(json_object_get(json_object_get(json, "host"), "accelerator"), "name"),
		"altered", (int)record->altered);
}

struct error *report_comparison(const struct record *a, const struct record *b,
	const struct report_options *options, json_t **comparison)
{
	*comparison = json_pack("{s:s, s:[o, o], s:o, s:o, s:o, s:o}", "schema",
		"fleetlab.comparison/1", "runs", run_json(a), run_json(b), "hosts",
		compare_hosts(a->json, b->json), "settings", compare_settings(a->json, b->json),
		"claims", compare_claims(a->json, b->json, options), "metrics",
		compare_metrics(a->json, b->json));
	return *comparison ? NULL
			   : error_new(ERROR_INTERNAL, "the comparison cannot be put together");
}

struct error *report_compare(const struct record *a, const struct record *b,
	enum report_format format, const struct report_options *options, FILE *out)
{
	const struct page page = {out, page_width(options->width), options->colour};
	_cleanup_json_ json_t *comparison = NULL;

	if (format != REPORT_TEXT && format != REPORT_MARKDOWN && format != REPORT_JSON)
		return error_hint(error_new(ERROR_USAGE, "a comparison has no such format"),
			"use text, markdown or json");
	try_(report_comparison(a, b, options, &comparison));
	if (format == REPORT_JSON) {
		json_dumpf(comparison, out, JSON_INDENT(2));
		fputc('\n', out);
	} else {
		comparison_render(comparison, format == REPORT_TEXT ? &page : NULL, out);
	}
	return ferror(out) ? error_errno(errno, "cannot write the comparison") : NULL;
}
