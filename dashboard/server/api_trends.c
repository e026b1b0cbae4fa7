/* Metrics over the runs, and two runs side by side: see api.h. */
#include "dashboard/server/api.h"

#include "dashboard/server/nights.h"
#include "harness/base/fs.h"
#include "harness/record/claims.h"
#include "harness/record/samples.h"
#include "harness/report/also.h"
#include "harness/report/report.h"
#include "harness/stats/change_points.h"

#include <math.h>
#include <string.h>

#define POINTS_MAX 10000
#define POINTS_USUAL 1000
/* Change points are looked for in the latest ones: their search takes the square of it. */
#define POINTS_JUDGED 1000

/* ---- trends ---- */

/* What changed between two points of a host. */
static const char *const noted[] = {"commit", "kernel", "qemu", "microcode", "settings"};

static bool differs(const json_t *a, const json_t *b, const char *key)
{
	const json_t *one = json_object_get(a, key), *two = json_object_get(b, key);

	return one && two && !json_equal(one, two);
}

static void annotate(json_t *annotations, const json_t *before, const json_t *point)
{
	for (size_t k = 0; k < ARRAY_SIZE(noted); k++) {
		if (!differs(before, point, noted[k]))
			continue;
		json_array_append_new(
			annotations, json_pack("{s:O, s:O, s:O, s:s, s:O, s:O}", "started_s",
					     json_object_get(point, "started_s"), "run",
					     json_object_get(point, "run"), "host",
					     json_object_get(point, "host"), "what", noted[k],
					     "from", json_object_get(before, noted[k]), "to",
					     json_object_get(point, noted[k])));
	}
}

static json_t *annotations_of(const json_t *points)
{
	_cleanup_json_ json_t *latest = json_object(); /* of each host */
	json_t *annotations = json_array(), *point;
	size_t i;

	json_array_foreach (points, i, point) {
		const char *host = json_text(point, "host");
		const json_t *before = json_object_get(latest, host);

		if (before)
			annotate(annotations, before, point);
		json_object_set(latest, host, point);
	}
	return annotations;
}

/* The latest points of each host: {HOST: [[place among all points, point]]}. They are not one
 * series: between two hosts everything may differ. */
static json_t *by_host(const json_t *points)
{
	size_t total = json_array_size(points);
	json_t *hosts = json_object();

	for (size_t i = total > POINTS_JUDGED ? total - POINTS_JUDGED : 0; i < total; i++) {
		json_t *point = json_array_get(points, i);
		const char *host = json_text(point, "host");

		if (!json_object_get(hosts, host))
			json_object_set_new(hosts, host, json_array());
		json_array_append_new(
			json_object_get(hosts, host), json_pack("[I, O]", (json_int_t)i, point));
	}
	return hosts;
}

/* The index-th point of a host. */
static const json_t *point_of(const json_t *own, size_t index)
{
	return json_array_get(json_array_get(own, index), 1);
}

/* What changed in the same run as the level, or in one of the two beside it: a change point may be
 * a little off its place. */
static json_t *coinciding(const json_t *own, size_t index)
{
	json_t *names = json_array();
	size_t first = index > 1 ? index - 1 : 1, count = json_array_size(own);

	for (size_t k = 0; k < ARRAY_SIZE(noted); k++) {
		for (size_t i = first; i <= index + 1 && i < count; i++) {
			if (!differs(point_of(own, i - 1), point_of(own, i), noted[k]))
				continue;
			json_array_append_new(names, json_string(noted[k]));
			break;
		}
	}
	return names;
}

/* In the order of the points, whatever hosts they are of. */
static void insert_change(json_t *changes, json_t *change)
{
	size_t at = json_array_size(changes);

	while (at > 0 && json_number(json_array_get(changes, at - 1), "index", 0) >
				 json_number(change, "index", 0))
		at--;
	json_array_insert_new(changes, at, change);
}

static void add_change(
	json_t *changes, const json_t *own, size_t index, const struct change_point *change)
{
	const json_t *point = point_of(own, index);
	json_t *one = json_pack("{s:O, s:O, s:O, s:O, s:f, s:f, s:f, s:f, s:o}", "index",
		json_array_get(json_array_get(own, index), 0), "run", json_object_get(point, "run"),
		"host", json_object_get(point, "host"), "started_s",
		json_object_get(point, "started_s"), "before", exp(change->before), "after",
		exp(change->after), "effect", expm1(change->shift), "p_value", change->p_value,
		"coincides", coinciding(own, index));

	json_object_set_new(one, "low", json_real(expm1(change->within.low)));
	json_object_set_new(one, "high", json_real(expm1(change->within.high)));
	insert_change(changes, one);
}

/* Points with positive readings; *places is where each of their logarithms comes from. */
static size_t logarithms(const json_t *own, double **values, size_t **places)
{
	size_t total = json_array_size(own), count = 0;

	*values = calloc(total + 1, sizeof(**values));
	*places = calloc(total + 1, sizeof(**places));
	if (!*values || !*places)
		abort();
	for (size_t i = 0; i < total; i++) {
		double median = json_number(point_of(own, i), "median", 0);

		if (!(median > 0) || !isfinite(median))
			continue;
		(*values)[count] = log(median);
		(*places)[count++] = i;
	}
	return count;
}

static void find_changes(const json_t *own, json_t *changes)
{
	_cleanup_free_ struct change_point *found = NULL;
	_cleanup_free_ double *values = NULL;
	_cleanup_free_ size_t *places = NULL;
	size_t count = logarithms(own, &values, &places);
	size_t n = change_points_find(values, count, &change_defaults, &found);

	for (size_t i = 0; i < n; i++)
		add_change(changes, own, places[found[i].index], &found[i]);
}

static json_t *changes_of(const json_t *points)
{
	_cleanup_json_ json_t *hosts = by_host(points);
	json_t *changes = json_array(), *own;
	const char *host;

	json_object_foreach (hosts, host, own)
		find_changes(own, changes);
	return changes;
}

static struct error *series_name(struct ask *ask, struct index_series_name *name)
{
	*name = (struct index_series_name){
		.at = request_parameter(ask->request, "at"),
		.unit = request_parameter(ask->request, "unit"),
	};
	try_(api_required(ask, "mechanism", &name->mechanism));
	try_(api_required(ask, "experiment", &name->experiment));
	try_(api_required(ask, "variant", &name->variant));
	return api_required(ask, "metric", &name->metric);
}

const char *api_better(const char *unit)
{
	int better = unit_better(unit);

	return better < 0 ? "lower" : better > 0 ? "higher" : NULL;
}

/* The page that was asked for; the latest points where no offset was given. */
static struct error *find_points(struct ask *ask, const struct index_series_name *name,
	const struct index_filter *filter, struct index_page page, json_t **trend)
{
	_cleanup_json_ json_t *first = NULL;
	size_t total;

	if (!request_parameter(ask->request, "limit"))
		page.limit = POINTS_USUAL;
	try_(index_trend(ask->reader->index, name, filter, page, &first));
	total = (size_t)json_number(first, "total", 0);
	if (request_parameter(ask->request, "offset") || total <= page.limit) {
		*trend = take_ptr(first);
		return NULL;
	}
	page.offset = total - page.limit;
	return index_trend(ask->reader->index, name, filter, page, trend);
}

/* The noise of the series' A/A arms, from the records of nights. */
static void add_noise(const struct ask *ask, const struct index_series_name *name, json_t *trend)
{
	_cleanup_json_ json_t *at = name->at ? json_loads(name->at, 0, NULL) : NULL;
	_cleanup_json_ json_t *series = json_pack("{s:s, s:s, s:s, s:s, s:O*}", "mechanism",
		name->mechanism, "experiment", name->experiment, "variant", name->variant, "metric",
		name->metric, "at", at);
	json_t *noise = nights_noise(store_root(ask->store), series);

	if (noise)
		json_object_set_new(trend, "noise", noise);
}

struct error *api_trends_get(struct ask *ask, struct answer **answer)
{
	_cleanup_json_ json_t *trend = NULL;
	struct index_series_name name;
	struct index_filter filter;
	struct index_page page;
	const json_t *points;
	const char *better;

	try_(series_name(ask, &name));
	try_(api_filter(ask, &filter));
	try_(api_page(ask, POINTS_MAX, &page));
	filter.mechanism = NULL; /* it names the series here */
	try_(find_points(ask, &name, &filter, page, &trend));
	if (!json_object_get(trend, "unit"))
		return api_not_found(ask, error_new(ERROR_USAGE, "no run has such a series"));
	points = json_object_get(trend, "points");
	better = api_better(json_text(trend, "unit"));
	if (better)
		json_object_set_new(trend, "better", json_string(better));
	json_object_set_new(trend, "changes", changes_of(points));
	json_object_set_new(trend, "annotations", annotations_of(points));
	add_noise(ask, &name, trend);
	*answer = answer_json(take_ptr(trend), ANSWER_REVALIDATE);
	return NULL;
}

struct error *api_series_get(struct ask *ask, struct answer **answer)
{
	json_t *series, *one;
	size_t i;

	try_(index_series(
		ask->reader->index, request_parameter(ask->request, "mechanism"), &series));
	json_array_foreach (series, i, one) {
		const char *better = api_better(json_text(one, "unit"));

		if (better)
			json_object_set_new(one, "better", json_string(better));
	}
	*answer = answer_json(json_pack("{s:o}", "series", series), ANSWER_REVALIDATE);
	return NULL;
}

/* ---- compare ---- */

struct error *api_compare_get(struct ask *ask, struct answer **answer)
{
	const struct report_options options = {
		.paper = request_parameter(ask->request, "paper"),
		.claim = request_parameter(ask->request, "claim"),
	};
	_cleanup_held_ struct held_record *first = NULL;
	_cleanup_held_ struct held_record *second = NULL;
	_cleanup_free_ char *a = NULL;
	_cleanup_free_ char *b = NULL;
	const char *text_a, *text_b;
	json_t *comparison;

	try_(api_required(ask, "a", &text_a));
	try_(api_required(ask, "b", &text_b));
	try_(api_run_id(ask, text_a, &a));
	try_(api_run_id(ask, text_b, &b));
	/* always in the same order: two who ask for the same two wait for each other, not for ever
	 */
	bool swapped = strcmp(a, b) > 0, same = strcmp(a, b) == 0;

	try_(api_hold(ask, swapped ? b : a, &first));
	if (!same)
		try_(api_hold(ask, swapped ? a : b, &second));
	const struct record *low = held_record(first), *high = held_record(same ? first : second);

	try_(report_comparison(swapped ? high : low, swapped ? low : high, &options, &comparison));
	*answer = answer_json(comparison, ANSWER_REVALIDATE);
	return NULL;
}
