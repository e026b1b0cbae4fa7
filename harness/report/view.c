/* What is to be shown of a record: see view.h. Must never show a figure from a trial that does not
 * count. */
#include "harness/report/view.h"

#include "harness/base/fs.h"
#include "harness/record/aa.h"
#include "harness/record/paper.h"
#include "harness/record/samples.h"
#include "harness/report/also.h"
#include "harness/report/emulation.h"
#include "harness/report/redo.h"
#include "harness/report/selectors.h"
#include "harness/report/series.h"

#include <string.h>
#include <strings.h>

const char *host_field(const json_t *host, const char *name)
{
	const json_t *field = json_object_get(host, name);
	static const char *const members[] = {"model", "name", "version", "release"};

	if (json_is_string(field))
		return json_string_value(field);
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		if (json_is_string(json_object_get(field, members[i])))
			return json_string_value(json_object_get(field, members[i]));
	}
	return "unknown";
}

static json_t *view_host(const json_t *host)
{
	const json_t *accelerator = json_object_get(host, "accelerator");
	const char *name = host_field(host, "accelerator");
	const json_t *kernel = json_object_get(host, "kernel");
	const json_t *cpu = json_object_get(host, "cpu");

	return json_pack("{s:s, s:s, s:b, s:s, s:O*, s:s, s:s, s:s}", "accelerator", name, "reason",
		json_text(accelerator, "reason"), "emulated", strcmp(name, "kvm") != 0, "cpu",
		host_field(host, "cpu"), "cores", json_object_get(cpu, "cores"), "kernel",
		json_is_object(kernel) && json_object_get(kernel, "release")
			? json_text(kernel, "release")
			: host_field(host, "kernel"),
		"qemu", host_field(host, "qemu"), "libvirt", host_field(host, "libvirt"));
}

static double total_wall_s(const json_t *trials)
{
	const json_t *trial;
	double sum = 0;
	size_t i;

	json_array_foreach (trials, i, trial)
		sum += json_number(trial, "wall_s", 0);
	return sum;
}

static json_t *view_run(const struct record *record)
{
	const json_t *json = record->json;
	const json_t *plan = json_object_get(json, "plan");
	const json_t *build = json_object_get(json, "build");

	return json_pack("{s:s, s:b, s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:O, s:f, s:b, s:O}", "id",
		json_text(json, "id"), "synthetic",
		json_is_true(json_object_get(json, "synthetic")), "started",
		json_text(json, "started"), "finished", json_text(json, "finished"), "state",
		json_text(json, "state"), "profile", json_text(plan, "profile"), "seed",
		json_integer_value(json_object_get(plan, "seed")), "version",
		json_text(build, "version"), "commit", json_text(build, "commit"), "command",
		json_object_get(json, "command"), "wall_s",
		total_wall_s(json_object_get(json, "trials")), "altered", (int)record->altered,
		"notes", record->notes);
}

char *view_label(const json_t *ours)
{
	const json_t *of = json_object_get(ours, "of"), *to = json_object_get(ours, "to");

	if (json_object_get(ours, "label"))
		return format_string("%s", json_text(ours, "label"));
	if (of && to)
		return format_string(
			"%s over %s", json_text(of, "variant"), json_text(to, "variant"));
	return format_string("%s", json_text(of ? of : ours, "variant"));
}

static void set_finite(json_t *object, const char *key, double value)
{
	json_object_set_new(object, key, json_real(value)); /* refuses infinity: left out */
}

/* Adds what we measured to an entry of a cell's "ours", shares per cent where the paper has them
 * so. */
static void measure(const json_t *record, const char *mechanism, const json_t *cell, json_t *ours)
{
	const char *experiment = json_text(ours, "experiment");
	const json_t *of = json_object_get(ours, "of"), *to = json_object_get(ours, "to");
	_cleanup_free_ char *label = view_label(ours);
	struct reading reading;
	double factor = 1;
	bool found = to ? record_ratio(record, mechanism, experiment, of, to, &reading, NULL)
			: record_reading(record, mechanism, experiment, ours, &reading);

	json_object_set_new(ours, "label", json_string(label));
	json_object_set_new(ours, "trials", json_integer(found ? (json_int_t)reading.trials : 0));
	if (!found)
		return;
	if (to && strcmp(json_text(cell, "unit"), "%") == 0) {
		reading.unit = "%";
		factor = 100;
	}
	json_object_set_new(ours, "unit", json_string(reading.unit ? reading.unit : ""));
	set_finite(ours, "median", factor * reading.median);
	set_finite(ours, "low", factor * reading.low);
	set_finite(ours, "high", factor * reading.high);
}

/* Tells of `shown` what is emulated in the trials that these selectors read. */
static void add_emulation(
	json_t *shown, const json_t *record, const json_t *paper, json_t *selectors)
{
	json_object_set_new(
		shown, "emulated", emulation_of(record, json_text(paper, "mechanism"), selectors));
	json_decref(selectors);
}

static json_t *view_tables(const json_t *record, const json_t *paper)
{
	json_t *tables = json_deep_copy(json_object_get(paper, "tables"));
	const char *mechanism = json_text(paper, "mechanism");
	json_t *table, *row, *cell, *ours;
	size_t t, r, c, o;

	json_array_foreach (tables, t, table) {
		add_emulation(table, record, paper, table_selectors(table));
		json_array_foreach (json_object_get(table, "rows"), r, row) {
			json_array_foreach (json_object_get(row, "cells"), c, cell) {
				json_array_foreach (json_object_get(cell, "ours"), o, ours)
					measure(record, mechanism, cell, ours);
			}
		}
	}
	return tables;
}

static json_t *view_also(const json_t *record, const json_t *paper)
{
	_cleanup_json_ json_t *by_variant =
		emulation_by_variant(record, json_text(paper, "mechanism"));
	json_t *tables = also_measured(record, paper), *table;
	size_t i;

	json_array_foreach (tables, i, table)
		json_object_set_new(table, "emulated",
			emulation_of_variants(record, by_variant, json_text(table, "experiment"),
				json_object_get(table, "variants")));
	return tables;
}

static void add_command(
	json_t *shown, const json_t *record, const json_t *paper, const json_t *claim)
{
	_cleanup_free_ char *command = redo_command(record, paper, claim);

	if (command)
		json_object_set_new(shown, "command", json_string(command));
}

/* Tells of tests against a limit on which side of it: its "published" is that limit. */
static void add_limits(json_t *shown, const json_t *claim)
{
	json_t *test;
	size_t i;

	json_array_foreach (json_object_get(shown, "tests"), i, test) {
		const json_t *asked = json_array_get(json_object_get(claim, "tests"), i);

		if (json_object_get(asked, "at_most"))
			json_object_set_new(test, "limit", json_string("at most"));
		else if (json_object_get(asked, "at_least"))
			json_object_set_new(test, "limit", json_string("at least"));
	}
}

static json_t *view_claims(
	const json_t *record, const json_t *paper, const struct report_options *options)
{
	static const char *const fields[] = {
		"text", "source", "conditions", "published", "combine"};
	json_t *claims = json_array();
	const json_t *graded;
	size_t i;

	json_array_foreach (json_object_get(record, "claims"), i, graded) {
		const char *id = json_text(graded, "id");
		const json_t *claim = paper_claim(paper, id);
		json_t *shown;

		if (strcmp(json_text(graded, "paper"), json_text(paper, "id")) != 0 || !claim ||
			(options->claim && strcasecmp(options->claim, id) != 0))
			continue;
		shown = json_deep_copy(graded);
		for (size_t f = 0; f < ARRAY_SIZE(fields); f++) {
			if (json_object_get(claim, fields[f]))
				json_object_set(
					shown, fields[f], json_object_get(claim, fields[f]));
		}
		add_limits(shown, claim);
		add_command(shown, record, paper, claim);
		json_array_append_new(claims, shown);
	}
	return claims;
}

static json_t *view_paper(
	const json_t *record, const json_t *paper, const struct report_options *options)
{
	_cleanup_json_ json_t *claims = view_claims(record, paper, options);
	const json_t *first = json_array_get(claims, 0);
	json_t *shown = json_object();
	static const char *const fields[] = {"id", "mechanism", "short", "title", "authors"};

	for (size_t f = 0; f < ARRAY_SIZE(fields); f++)
		json_object_set(shown, fields[f], json_object_get(paper, fields[f]));
	json_object_set(shown, "comparable", json_object_get(first, "comparable"));
	add_emulation(shown, record, paper, claims_selectors(paper, options->claim));
	if (!options->claim && !options->only_claims) {
		json_object_set_new(shown, "tables", view_tables(record, paper));
		json_object_set_new(shown, "also", view_also(record, paper));
	}
	json_object_set(shown, "claims", claims);
	return shown;
}

/* Is the mechanism one of the names below `part` of the record: "plan" or "build"? */
static bool names_mechanism(const json_t *record, const char *part, const char *mechanism)
{
	const json_t *name;
	size_t i;

	json_array_foreach (json_object_get(json_object_get(record, part), "mechanisms"), i, name) {
		if (strcmp(json_string_value(name), mechanism) == 0)
			return true;
	}
	return false;
}

/* Records without that list, of older builds, do not tell: then nothing is said of the build. */
static json_t *view_not_run(const json_t *record, const json_t *paper)
{
	const json_t *known = json_object_get(json_object_get(record, "build"), "mechanisms");
	bool implemented =
		!known || names_mechanism(record, "build", json_text(paper, "mechanism"));

	return json_pack("{s:O, s:O, s:s}", "id", json_object_get(paper, "id"), "short",
		json_object_get(paper, "short"), "why",
		implemented ? "not run in this record" : "not implemented in this build");
}

static struct error *view_papers(
	const json_t *record, const struct report_options *options, json_t *view)
{
	json_t *papers = json_array(), *not_run = json_array();
	const char *id;

	json_object_set_new(view, "papers", papers);
	json_object_set_new(view, "not_run", not_run);
	for (size_t i = 0; (id = paper_id_at(i)); i++) {
		const json_t *paper = NULL;
		bool synthetic = strcmp(id, "null") == 0;

		if (options->paper && strcasecmp(options->paper, id) != 0)
			continue;
		try_(paper_load(id, &paper));
		if (options->claim && !paper_claim(paper, options->claim))
			continue;
		if (names_mechanism(record, "plan", json_text(paper, "mechanism")))
			json_array_append_new(papers, view_paper(record, paper, options));
		else if (!synthetic || options->paper)
			json_array_append_new(not_run, view_not_run(record, paper));
	}
	return NULL;
}

static json_t *view_counts(const json_t *record)
{
	static const char *const outcomes[] = {"ok", "failed", "invalid", "skipped"};
	const json_t *trials = json_object_get(record, "trials");
	json_t *counts = json_pack("{s:I, s:I}", "planned",
		(json_int_t)json_array_size(
			json_object_get(json_object_get(record, "plan"), "trials")),
		"finished", (json_int_t)json_array_size(trials));
	const json_t *trial;
	size_t i;

	for (size_t o = 0; o < ARRAY_SIZE(outcomes); o++) {
		json_int_t count = 0;

		json_array_foreach (trials, i, trial)
			count += strcmp(json_text(trial, "outcome"), outcomes[o]) == 0;
		json_object_set_new(counts, outcomes[o], json_integer(count));
	}
	return counts;
}

static json_t *view_problems(const json_t *record)
{
	json_t *problems = json_array();
	const json_t *trial;
	size_t i;

	json_array_foreach (json_object_get(record, "trials"), i, trial) {
		const char *why, *reason = json_text(trial, "reason");

		if (trial_counts(trial, &why))
			continue;
		json_array_append_new(
			problems, json_pack("{s:O, s:O, s:O, s:O, s:O, s:s, s:s}", "index",
					  json_object_get(trial, "index"), "mechanism",
					  json_object_get(trial, "mechanism"), "experiment",
					  json_object_get(trial, "experiment"), "variant",
					  json_object_get(trial, "variant"), "block",
					  json_object_get(trial, "block"), "outcome",
					  strcmp(json_text(trial, "outcome"), "ok") == 0
						  ? "invalid"
						  : json_text(trial, "outcome"),
					  "reason", *reason ? reason : why));
	}
	return problems;
}

/* An A/A run measured one variant twice, a drill one that was slowed down on purpose: they have
 * nothing to say of a paper. */
static struct error *view_contents(
	const json_t *record, const struct report_options *options, json_t *view)
{
	bool drill = json_is_true(json_object_get(json_object_get(record, "plan"), "drill"));

	if (!aa_is(record) && !drill)
		return view_papers(record, options, view);
	json_object_set_new(view, "papers", json_array());
	json_object_set_new(view, "not_run", json_array());
	if (drill)
		json_object_set_new(view, "drill", json_true());
	else
		json_object_set_new(view, "aa", aa_compare(record));
	return NULL;
}

struct error *view_make(
	const struct record *record, const struct report_options *options, json_t **view)
{
	_cleanup_json_ json_t *made = json_pack("{s:s}", "schema", "fleetlab.report/1");
	const json_t *peer = json_object_get(record->json, "peer");

	json_object_set_new(made, "run", view_run(record));
	json_object_set_new(made, "host", view_host(json_object_get(record->json, "host")));
	if (peer) {
		json_object_set_new(made, "peer", view_host(peer));
		json_object_set(json_object_get(made, "peer"), "same_host",
			json_object_get(peer, "same_host"));
	}
	json_object_set_new(made, "emulated", emulation_of(record->json, NULL, NULL));
	try_(view_contents(record->json, options, made));
	json_object_set_new(made, "trials", view_counts(record->json));
	json_object_set_new(made, "problems", view_problems(record->json));
	json_object_set_new(made, "outliers", series_outliers(record->json));
	*view = take_ptr(made);
	return NULL;
}
