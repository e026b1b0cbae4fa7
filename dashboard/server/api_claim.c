/* A claim, and how it was decided; a paper with its tables: see api.h. */
#include "dashboard/server/api.h"

#include "harness/base/fs.h"
#include "harness/record/claims.h"
#include "harness/record/coordinates.h"
#include "harness/record/gather.h"
#include "harness/record/paper.h"
#include "harness/record/samples.h"
#include "harness/report/basis.h"
#include "harness/report/formats.h"
#include "harness/report/series.h"
#include "mechanisms/mechanism.h"

#include <math.h>
#include <string.h>

/* Runs of a mechanism that a paper's page lets one choose from. */
#define RUNS_SHOWN 50

static void copy_fields(json_t *to, const json_t *from, const char *const *fields, size_t count)
{
	for (size_t i = 0; i < count; i++)
		json_object_set(to, fields[i], json_object_get(from, fields[i]));
}

/* The latest run that has a verdict on the claim; NULL when there is none. */
static struct error *latest_of_claim(struct ask *ask, const char *claim, char **id)
{
	_cleanup_json_ json_t *history = NULL;
	const json_t *row;
	size_t i;

	try_(index_claim_history(ask->reader->index, claim, NULL,
		(struct index_page){.limit = RUNS_SHOWN}, &history));
	json_array_foreach (json_object_get(history, "verdicts"), i, row) {
		if (!*id && strcmp(json_text(row, "verdict"), "not-run") != 0)
			*id = format_string("%s", json_text(row, "run"));
	}
	return NULL;
}

/* The run that says most of a paper: the newest one may have measured a single experiment. */
static struct error *fullest_of_paper(struct ask *ask, const char *paper, char **id)
{
	_cleanup_json_ json_t *fullest = NULL;

	try_(index_fullest_run(ask->reader->index, paper, &fullest));
	if (fullest)
		*id = format_string("%s", json_text(fullest, "run"));
	return NULL;
}

static struct error *latest_of_mechanism(struct ask *ask, const char *mechanism, char **id)
{
	const struct index_filter filter = {.mechanism = mechanism};
	_cleanup_json_ json_t *runs = NULL;
	const json_t *row;

	try_(index_runs(ask->reader->index, &filter, (struct index_page){.limit = 1}, &runs));
	row = json_array_get(json_object_get(runs, "runs"), 0);
	*id = row ? format_string("%s", json_text(row, "id")) : NULL;
	return NULL;
}

/* The run that "run" names, or the fittest for the claim, or without one for the paper; where none
 * graded anything the latest with the mechanism. *held is NULL when there is none. */
static struct error *hold_for(
	struct ask *ask, const json_t *paper, const char *claim, struct held_record **held)
{
	const char *named = request_parameter(ask->request, "run");
	_cleanup_free_ char *id = NULL;

	*held = NULL;
	if (named)
		return api_hold(ask, named, held);
	if (claim)
		try_(latest_of_claim(ask, claim, &id));
	else
		try_(fullest_of_paper(ask, json_text(paper, "id"), &id));
	if (!id)
		try_(latest_of_mechanism(ask, json_text(paper, "mechanism"), &id));
	return id ? api_hold(ask, id, held) : NULL;
}

/* ---- claim ---- */

static json_t *claim_about(const json_t *paper, const json_t *claim)
{
	static const char *const fields[] = {
		"id", "text", "source", "conditions", "published", "combine"};
	json_t *about = json_pack("{s:O}", "paper", json_object_get(paper, "id"));

	copy_fields(about, claim, fields, ARRAY_SIZE(fields));
	return about;
}

static void add_urls(const json_t *record, const json_t *paper, json_t *test)
{
	json_t *selector;
	size_t i;

	json_array_foreach (json_object_get(test, "selectors"), i, selector) {
		_cleanup_free_ char *url = api_samples_url(record, json_text(paper, "mechanism"),
			json_text(test, "experiment"), selector);

		json_object_set_new(selector, "samples", json_string(url));
		json_object_set(selector, "label", json_object_get(selector, "variant"));
	}
}

/* Puts what a test was decided by beside its result. */
static void add_basis(
	const json_t *record, const json_t *paper, const json_t *basis, json_t *graded)
{
	json_t *tests = json_object_get(graded, "tests"), *test, *shown;
	size_t i;

	json_array_foreach (basis, i, test) {
		_cleanup_free_ char *title = NULL;

		shown = json_array_get(tests, i);
		if (!shown)
			continue;
		title = test_title(shown);
		json_object_set_new(shown, "title", json_string(title));
		add_urls(record, paper, test);
		json_object_update(shown, test);
	}
}

static json_t *claim_trials(const json_t *record, const json_t *paper, const json_t *basis)
{
	static const char *const fields[] = {"index", "experiment", "variant", "role", "block",
		"half", "outcome", "reason", "wall_s", "evidence"};
	_cleanup_json_ json_t *trials = basis_trials(record, paper, basis);
	json_t *list = json_array();
	const json_t *trial;
	size_t i;

	json_array_foreach (trials, i, trial) {
		const char *why_not = NULL;
		json_t *shown = json_pack("{s:b}", "counts", (int)trial_counts(trial, &why_not));

		copy_fields(shown, trial, fields, ARRAY_SIZE(fields));
		if (why_not)
			json_object_set_new(shown, "why_not", json_string(why_not));
		json_array_append_new(list, shown);
	}
	return list;
}

/* The claim as the report has it: graded, with the command that measures it again. */
static struct error *graded_claim(
	const struct record *record, const json_t *paper, const char *id, json_t **graded)
{
	const struct report_options options = {.paper = json_text(paper, "id"), .claim = id};
	_cleanup_json_ json_t *view = NULL;
	const json_t *first;

	try_(view_make(record, &options, &view));
	first = json_array_get(json_object_get(view, "papers"), 0);
	*graded = json_deep_copy(json_array_get(json_object_get(first, "claims"), 0));
	return NULL;
}

static struct error *put_decision(
	const struct held_record *held, const json_t *paper, const json_t *claim, json_t *shown)
{
	static const char *const fields[] = {"verdict", "reason", "evidence", "wall_s",
		"disk_bytes", "command", "forecast", "decided_by", "tests"};
	const struct record *record = held_record(held);
	_cleanup_json_ json_t *graded = NULL;
	_cleanup_json_ json_t *basis = claim_basis(record->json, paper, claim);
	json_t *comparability;

	json_object_set(shown, "run", (json_t *)held_row(held));
	try_(graded_claim(record, paper, json_text(claim, "id"), &graded));
	if (!graded) { /* its mechanism is not in this run */
		json_object_set_new(shown, "verdict", json_string("not-run"));
		return NULL;
	}
	add_basis(record->json, paper, basis, graded);
	copy_fields(shown, graded, fields, ARRAY_SIZE(fields));
	json_object_set_new(shown, "trials", claim_trials(record->json, paper, basis));
	comparability = json_copy(json_object_get(graded, "comparable"));
	if (!json_is_string(json_object_get(comparability, "reason")))
		json_object_del(comparability, "reason");
	json_object_set_new(comparability, "fields", basis_comparability(record->json, paper));
	json_object_set_new(shown, "comparability", comparability);
	return NULL;
}

struct error *api_claim_get(struct ask *ask, struct answer **answer)
{
	_cleanup_held_ struct held_record *held = NULL;
	const json_t *paper = NULL;
	_cleanup_json_ json_t *shown = NULL;
	const json_t *claim;
	const char *paper_id;
	struct error *err = paper_find_claim(ask->captured[0], &paper_id);

	if (err)
		return api_not_found(ask, err);
	try_(paper_load(paper_id, &paper));
	claim = paper_claim(paper, ask->captured[0]);
	try_(hold_for(ask, paper, json_text(claim, "id"), &held));
	shown = json_pack("{s:o}", "claim", claim_about(paper, claim));
	if (held)
		try_(put_decision(held, paper, claim, shown));
	else
		json_object_set_new(shown, "verdict", json_string("not-run"));
	*answer = answer_json(take_ptr(shown), ANSWER_REVALIDATE);
	return NULL;
}

/* ---- paper ---- */

/* A copy of the cell's selectors as graded: coordinates and best variants settled, those of a ratio
 * together. */
static void settle_cell(const struct source *source, const json_t *ours, json_t *settled[2])
{
	const json_t *of = json_object_get(ours, "of"), *to = json_object_get(ours, "to");

	settled[0] = json_deep_copy(of ? of : ours);
	settled[1] = to ? json_deep_copy(to) : NULL;
	coordinates_settle(source, settled, 2);
	for (size_t i = 0; i < 2; i++) {
		json_t *one = settled[i] ? selector_settle(source, settled[i]) : NULL;

		json_decref(settled[i]);
		settled[i] = one;
	}
}

static void add_cell_urls(const json_t *record, const json_t *paper, json_t *ours)
{
	static const char *const roles[] = {"of", "to"};
	const char *experiment = json_text(ours, "experiment");
	struct source source = {
		record, json_text(paper, "mechanism"), experiment, record_seed(record)};
	json_t *urls = json_object(), *settled[2];

	settle_cell(&source, ours, settled);
	for (size_t i = 0; i < 2; i++) {
		_cleanup_free_ char *url = NULL;

		if (!settled[i])
			continue;
		url = api_samples_url(record, source.mechanism, experiment, settled[i]);
		json_object_set_new(urls, roles[i], json_string(url));
		json_decref(settled[i]);
	}
	json_object_set_new(ours, "samples", urls);
}

static void add_table_urls(const json_t *record, const json_t *paper, const json_t *tables)
{
	json_t *table, *row, *cell, *ours;
	size_t t, r, c, o;

	json_array_foreach (tables, t, table) {
		json_array_foreach (json_object_get(table, "rows"), r, row) {
			json_array_foreach (json_object_get(row, "cells"), c, cell) {
				json_array_foreach (json_object_get(cell, "ours"), o, ours)
					add_cell_urls(record, paper, ours);
			}
		}
	}
}

/* Every series of the mechanism with its figure; api.h has the same for a whole run. */
json_t *api_series_of(const json_t *record, const char *mechanism)
{
	_cleanup_gathered_ struct gathered *gathered = gather_readings(record);
	_cleanup_json_ json_t *list = series_list(record);
	json_t *shown = json_array();
	json_t *series;
	size_t i;

	json_array_foreach (list, i, series) {
		const char *whose = json_text(series, "mechanism");
		const char *experiment = json_text(series, "experiment");
		_cleanup_free_ char *url = NULL;
		struct reading reading;

		if (mechanism && strcmp(whose, mechanism) != 0)
			continue;
		url = api_samples_url(record, whose, experiment, series);
		json_object_set_new(series, "samples", json_string(url));
		if (gathered_reading(gathered, series, &reading)) {
			json_object_set_new(series, "median", json_real(reading.median));
			json_object_set_new(series, "low", json_real(reading.low));
			json_object_set_new(series, "high", json_real(reading.high));
			json_object_set_new(
				series, "trials", json_integer((json_int_t)reading.trials));
		}
		json_array_append(shown, series);
	}
	return shown;
}

static struct error *put_measured(
	const struct held_record *held, const json_t *paper, json_t *shown)
{
	static const char *const of_paper[] = {
		"comparable", "emulated", "tables", "also", "claims"};
	static const char *const of_view[] = {"emulated", "host", "aa"};
	const struct record *record = held_record(held);
	const struct report_options options = {.paper = json_text(paper, "id")};
	_cleanup_json_ json_t *view = NULL;
	const json_t *measured;

	try_(view_make(record, &options, &view));
	measured = json_array_get(json_object_get(view, "papers"), 0);
	json_object_set(shown, "run", (json_t *)held_row(held));
	copy_fields(shown, view, of_view, ARRAY_SIZE(of_view));
	if (!measured)
		return NULL;
	copy_fields(shown, measured, of_paper, ARRAY_SIZE(of_paper));
	add_table_urls(record->json, paper, json_object_get(shown, "tables"));
	json_object_set_new(
		shown, "series", api_series_of(record->json, json_text(paper, "mechanism")));
	return NULL;
}

static struct error *add_runs(struct ask *ask, const char *mechanism, json_t *shown)
{
	static const char *const fields[] = {
		"id", "started", "profile", "complete", "host", "commit", "place"};
	const struct index_filter filter = {.mechanism = mechanism};
	_cleanup_json_ json_t *runs = NULL;
	json_t *list = json_array();
	const json_t *run;
	size_t i;

	json_object_set_new(shown, "runs", list);
	try_(index_runs(
		ask->reader->index, &filter, (struct index_page){.limit = RUNS_SHOWN}, &runs));
	json_array_foreach (json_object_get(runs, "runs"), i, run) {
		json_t *one = json_object();

		copy_fields(one, run, fields, ARRAY_SIZE(fields));
		json_array_append_new(list, one);
	}
	return NULL;
}

struct error *api_paper_get(struct ask *ask, struct answer **answer)
{
	static const char *const fields[] = {"id", "mechanism", "short", "title", "original_title",
		"authors", "idea", "setup", "host"};
	_cleanup_held_ struct held_record *held = NULL;
	const json_t *paper = NULL;
	_cleanup_json_ json_t *shown = NULL;
	json_t *about = json_object();
	struct error *err = paper_load(ask->captured[0], &paper);

	shown = json_pack("{s:o}", "paper", about);
	if (err)
		return api_not_found(ask, err);
	copy_fields(about, paper, fields, ARRAY_SIZE(fields));
	json_object_set_new(about, "implemented",
		json_boolean(mechanism_find(json_text(paper, "mechanism")) != NULL));
	json_object_set(shown, "tables", json_object_get(paper, "tables"));
	try_(hold_for(ask, paper, NULL, &held));
	if (held)
		try_(put_measured(held, paper, shown));
	try_(add_runs(ask, json_text(paper, "mechanism"), shown));
	*answer = answer_json(take_ptr(shown), ANSWER_REVALIDATE);
	return NULL;
}
