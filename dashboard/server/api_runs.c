/* A run and its trials: see api.h. */
#include "dashboard/server/api.h"

#include "dashboard/server/run_logs.h"
#include "dashboard/server/topology.h"
#include "harness/base/fs.h"
#include "harness/record/samples.h"
#include "harness/report/view.h"

#include <math.h>
#include <string.h>

/* Of one sample; a time series of an hour at 1 s is below it twice. */
#define VALUES_SHOWN 2000

static struct error *give(struct answer **answer, json_t *json)
{
	*answer = answer_json(json, ANSWER_REVALIDATE);
	return NULL;
}

/* ---- the run ---- */

/* What the plan says, but for its trials. */
static json_t *plan_shown(const json_t *record)
{
	json_t *plan = json_copy(json_object_get(record, "plan"));

	json_object_del(plan, "trials");
	return plan;
}

/* The topology's XML has a resource of its own. */
static json_t *facts_shown(const json_t *record)
{
	json_t *facts = json_copy(json_object_get(record, "host"));
	json_t *topology = json_copy(json_object_get(facts, "topology"));

	if (topology) {
		json_object_del(topology, "xml");
		json_object_set_new(facts, "topology", topology);
	}
	return facts;
}

static void add_claims(const json_t *view, json_t *shown)
{
	json_t *claims = json_array();
	const json_t *paper;
	size_t i;

	json_array_foreach (json_object_get(view, "papers"), i, paper)
		json_array_extend(claims, json_object_get(paper, "claims"));
	json_object_set_new(shown, "claims", claims);
}

static struct error *run_shown(struct ask *ask, const struct held_record *held, json_t *shown)
{
	static const char *const of_view[] = {
		"emulated", "not_run", "aa", "problems", "outliers", "trials"};
	const struct record *record = held_record(held);
	const struct report_options options = {.only_claims = true};
	const char *id = json_text(record->json, "id");
	_cleanup_json_ json_t *view = NULL;
	_cleanup_json_ json_t *row = NULL;
	json_t *live = live_of(ask->live, id);

	try_(view_make(record, &options, &view));
	if (held_row(held))
		try_(index_run(ask->reader->index, id, &row));
	if (row) {
		json_object_set(shown, "outcomes", json_object_get(row, "outcomes"));
		json_object_del(row, "outcomes");
		json_object_set(shown, "run", row);
	}
	if (live)
		json_object_set_new(shown, "live", live);
	for (size_t i = 0; i < ARRAY_SIZE(of_view); i++)
		json_object_set(shown, of_view[i], json_object_get(view, of_view[i]));
	add_claims(view, shown);
	json_object_set_new(shown, "plan", plan_shown(record->json));
	json_object_set_new(shown, "facts", facts_shown(record->json));
	json_object_set_new(shown, "logs",
		json_integer((json_int_t)run_logs_count(store_root(ask->store), id)));
	return NULL;
}

struct error *api_run_get(struct ask *ask, struct answer **answer)
{
	_cleanup_held_ struct held_record *held = NULL;
	_cleanup_json_ json_t *shown = json_object();

	try_(api_hold(ask, ask->captured[0], &held));
	try_(run_shown(ask, held, shown));
	return give(answer, take_ptr(shown));
}

/* ---- trials ---- */

static bool is_wanted(const struct ask *ask, const json_t *trial)
{
	static const char *const keys[] = {"mechanism", "experiment", "variant", "outcome"};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *wanted = request_parameter(ask->request, keys[i]);

		if (wanted && strcmp(wanted, json_text(trial, keys[i])) != 0)
			return false;
	}
	return true;
}

struct error *api_trials_get(struct ask *ask, struct answer **answer)
{
	_cleanup_held_ struct held_record *held = NULL;
	_cleanup_json_ json_t *chosen = json_array();
	struct index_page page;
	json_t *trial, *shown;
	size_t i;

	try_(api_page(ask, API_PAGE_MAX, &page));
	try_(api_hold(ask, ask->captured[0], &held));
	json_array_foreach (json_object_get(held_record(held)->json, "trials"), i, trial) {
		if (is_wanted(ask, trial))
			json_array_append(chosen, trial);
	}
	shown = api_paged(chosen, page, "trials");
	json_array_foreach (json_object_get(shown, "trials"), i, trial)
		json_array_set_new(json_object_get(shown, "trials"), i, api_trial(trial));
	return give(answer, shown);
}

/* The trial that the path names; borrowed from the record. */
static struct error *find_trial(
	struct ask *ask, const struct held_record *held, const json_t **found)
{
	const char *text = ask->captured[1];
	const json_t *trial;
	size_t i;

	*found = NULL;
	json_array_foreach (json_object_get(held_record(held)->json, "trials"), i, trial) {
		_cleanup_free_ char *index = format_string(
			"%lld", (long long)json_integer_value(json_object_get(trial, "index")));

		if (strcmp(index, text) == 0)
			*found = trial;
	}
	return *found ? NULL
		      : api_not_found(
				ask, error_new(ERROR_USAGE, "this run has no trial %.40s", text));
}

struct error *api_trial_get(struct ask *ask, struct answer **answer)
{
	_cleanup_held_ struct held_record *held = NULL;
	const json_t *trial;
	json_t *shown;

	try_(api_hold(ask, ask->captured[0], &held));
	try_(find_trial(ask, held, &trial));
	shown = api_trial(trial);
	json_object_set_new(shown, "logs",
		run_logs_of_trial(store_root(ask->store), json_text(held_record(held)->json, "id"),
			json_integer_value(json_object_get(trial, "index"))));
	return give(answer, shown);
}

/* ---- samples ---- */

/* At most VALUES_SHOWN of them, evenly thinned. */
static json_t *thinned(const json_t *values)
{
	size_t count = json_array_size(values);
	json_t *shown = json_array();

	if (count <= VALUES_SHOWN)
		return json_array_extend(shown, (json_t *)values), shown;
	for (size_t i = 0; i < VALUES_SHOWN; i++)
		json_array_append(
			shown, json_array_get(values, i * (count - 1) / (VALUES_SHOWN - 1)));
	return shown;
}

static void put_values(json_t *shown, const json_t *sample)
{
	const json_t *values = json_object_get(sample, "values");
	double median;

	json_object_set_new(shown, "count", json_integer((json_int_t)json_array_size(values)));
	json_object_set_new(shown, "values", thinned(values));
	if (sample_value(sample, &median))
		json_object_set_new(shown, "median", json_real(median));
}

struct error *api_trial_samples_get(struct ask *ask, struct answer **answer)
{
	_cleanup_held_ struct held_record *held = NULL;
	struct index_page page;
	const json_t *trial;
	json_t *shown, *sample;
	size_t i;

	try_(api_page(ask, API_PAGE_MAX, &page));
	try_(api_hold(ask, ask->captured[0], &held));
	try_(find_trial(ask, held, &trial));
	shown = api_paged(json_object_get(trial, "samples"), page, "samples");
	json_array_foreach (json_object_get(shown, "samples"), i, sample) {
		json_t *one = json_copy(sample);

		put_values(one, sample);
		json_array_set_new(json_object_get(shown, "samples"), i, one);
	}
	return give(answer, shown);
}

/* The sample of a trial that has the metric and the coordinates; NULL when it has none. */
static const json_t *sample_of(const json_t *trial, const json_t *selector)
{
	const json_t *sample;
	size_t i;

	json_array_foreach (json_object_get(trial, "samples"), i, sample) {
		if (strcmp(json_text(sample, "metric"), json_text(selector, "metric")) == 0 &&
			json_has_part(
				json_object_get(sample, "at"), json_object_get(selector, "at")))
			return sample;
	}
	return NULL;
}

static json_t *sampled_trial(const json_t *trial, const json_t *sample)
{
	static const char *const fields[] = {
		"index", "block", "half", "order", "arm", "variant", "outcome", "reason"};
	const char *why_not = NULL;
	json_t *shown = json_pack("{s:b}", "counts", (int)trial_counts(trial, &why_not));

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		json_object_set(shown, fields[i], json_object_get(trial, fields[i]));
	if (why_not)
		json_object_set_new(shown, "why_not", json_string(why_not));
	if (sample)
		put_values(shown, sample);
	return shown;
}

/* {"variant", "metric", "at", "parameters", "arm"} of the request. */
static struct error *selector_of(struct ask *ask, json_t **selector)
{
	_cleanup_json_ json_t *at = NULL;
	_cleanup_json_ json_t *parameters = NULL;
	const char *metric;

	try_(api_required(ask, "metric", &metric));
	try_(api_json_parameter(ask, "at", &at));
	try_(api_json_parameter(ask, "parameters", &parameters));
	*selector = json_pack("{s:s, s:s*, s:s*, s:O*, s:O*}", "metric", metric, "variant",
		request_parameter(ask->request, "variant"), "arm",
		request_parameter(ask->request, "arm"), "at", at, "parameters", parameters);
	return NULL;
}

static void put_reading(json_t *shown, const struct reading *reading)
{
	json_object_set_new(shown, "unit", json_string(reading->unit ? reading->unit : ""));
	json_object_set_new(shown, "median", json_real(reading->median));
	json_object_set_new(shown, "low", json_real(reading->low)); /* refuses infinity */
	json_object_set_new(shown, "high", json_real(reading->high));
}

struct error *api_samples_get(struct ask *ask, struct answer **answer)
{
	_cleanup_held_ struct held_record *held = NULL;
	_cleanup_json_ json_t *selector = NULL;
	const char *mechanism, *experiment;
	struct reading reading;
	json_t *shown, *trials;
	const json_t *trial;
	size_t i;

	try_(api_required(ask, "mechanism", &mechanism));
	try_(api_required(ask, "experiment", &experiment));
	try_(selector_of(ask, &selector));
	try_(api_hold(ask, ask->captured[0], &held));

	const json_t *record = held_record(held)->json;
	struct source source = {record, mechanism, experiment, record_seed(record)};

	trials = json_array();
	shown = json_pack("{s:o}", "trials", trials);
	if (record_reading(record, mechanism, experiment, selector, &reading))
		put_reading(shown, &reading);
	json_array_foreach (json_object_get(record, "trials"), i, trial) {
		if (trial_selected(trial, &source, selector))
			json_array_append_new(
				trials, sampled_trial(trial, sample_of(trial, selector)));
	}
	return give(answer, shown);
}

struct error *api_run_series_get(struct ask *ask, struct answer **answer)
{
	_cleanup_held_ struct held_record *held = NULL;

	try_(api_hold(ask, ask->captured[0], &held));
	return give(
		answer, json_pack("{s:o}", "series", api_series_of(held_record(held)->json, NULL)));
}

/* ---- topology ---- */

struct error *api_topology_get(struct ask *ask, struct answer **answer)
{
	_cleanup_held_ struct held_record *held = NULL;
	const json_t *topology;
	const char *xml;
	json_t *shown, *tree;

	try_(api_hold(ask, ask->captured[0], &held));
	topology = json_object_get(json_object_get(held_record(held)->json, "host"), "topology");
	xml = json_text(topology, "xml");
	if (!*xml)
		return api_not_found(
			ask, error_new(ERROR_USAGE, "this record has no topology of its host"));
	if (!topology_parse(xml, &tree)) {
		ask->status = MHD_HTTP_UNPROCESSABLE_CONTENT;
		return error_new(ERROR_USAGE, "the topology in this record is damaged");
	}
	shown = json_copy((json_t *)topology);
	json_object_del(shown, "xml");
	json_object_set_new(shown, "tree", tree);
	return give(answer, shown);
}

/* ---- live ---- */

struct error *api_live_get(struct ask *ask, struct answer **answer)
{
	return give(answer, json_pack("{s:o}", "runs", live_list(ask->live)));
}
