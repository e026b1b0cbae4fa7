/* The report as Markdown, as README shows it: see report.h. */
#include "harness/base/fs.h"
#include "harness/record/samples.h"
#include "harness/report/emulation.h"
#include "harness/report/figures.h"
#include "harness/report/formats.h"
#include "harness/report/markdown.h"
#include "harness/report/series.h"

#include <math.h>
#include <string.h>

void markdown_put(FILE *out, const char *text)
{
	_cleanup_free_ char *escaped = markdown_text(text);

	fputs(escaped, out);
}

void markdown_emulation(const json_t *part, FILE *out)
{
	_cleanup_free_ char *list = emulation_text(part);

	if (*list) {
		fputs(" Emulated: ", out);
		markdown_put(out, list);
		fputs(".", out);
	}
	fputs("\n\n", out);
}

void markdown_graded(const json_t *paper, FILE *out)
{
	const json_t *comparable = json_object_get(paper, "comparable");

	if (!json_is_false(json_object_get(comparable, "ok")))
		return;
	fputs(" Ratios and shapes are graded, absolute values are not: ", out);
	markdown_put(out, json_text(comparable, "reason"));
	fputs(".", out);
}

/* ---- claims ---- */

/* What was claimed or compared, on how many pairs, and why this verdict. */
static char *why_text(const json_t *paper, const json_t *claim, const json_t *test, bool first)
{
	const char *source = json_text(json_object_get(claim, "published"), "text");
	_cleanup_free_ char *title = test_title(test);
	_cleanup_free_ char *full = NULL;
	const char *reason = test_reason(paper, test);
	char pairs[FIGURE_SIZE], forecast[FIGURE_SIZE];

	figure_pairs(test, pairs);
	forecast_text(json_object_get(test, "forecast"), forecast);
	if (first)
		full = format_string("%s (%s%s%s); %s%s%s%s%s%s%s", json_text(claim, "text"),
			json_text(claim, "source"), *source ? ": " : "", source, title,
			*title ? "; " : "", pairs, *pairs ? "; " : "", reason,
			*forecast ? "; " : "", forecast);
	else
		full = format_string("%s%s%s%s%s%s%s", title, *title ? "; " : "", pairs,
			*pairs ? "; " : "", reason, *forecast ? "; " : "", forecast);
	return markdown_text(full);
}

/* The first row is the claim's own: with the test that decided it. */
static void add_test(json_t *table, const json_t *paper, const json_t *claim, size_t place)
{
	const json_t *test =
		json_array_get(json_object_get(claim, "tests"), claim_test_at(claim, place));
	const char *verdict = json_text(place ? test : claim, "verdict");
	char published[FIGURE_SIZE], measured[FIGURE_SIZE], ratio[FIGURE_SIZE];
	_cleanup_free_ char *id = place ? markdown_text(json_text(test, "id"))
					: format_string("**%s**", json_text(claim, "id"));
	_cleanup_free_ char *why = why_text(paper, claim, test, place == 0);

	figure_published(test, published);
	figure_measured(test, measured);
	figure_ratio_to_published(test, ratio);
	_cleanup_free_ char *shown = markdown_figure(measured);

	markdown_row(table, 6, (const char *const[6]){id, verdict, published, shown, ratio, why});
}

static void put_claims(const json_t *paper, FILE *out)
{
	static const char *const head[] = {"claim", "verdict", "published",
		"measured [95 % interval]", "of published", "what, and why this verdict"};
	_cleanup_json_ json_t *table = json_array();
	const json_t *claim;
	size_t i;

	markdown_row(table, ARRAY_SIZE(head), head);
	json_array_foreach (json_object_get(paper, "claims"), i, claim) {
		size_t tests = json_array_size(json_object_get(claim, "tests"));

		for (size_t place = 0; place < tests; place++)
			add_test(table, paper, claim, place);
	}
	fputs("**Claims**.", out);
	markdown_graded(paper, out);
	markdown_emulation(paper, out);
	markdown_table(table, "llrlrl", out);
}

/* One command for each claim, and what it takes. */
static void put_commands(const json_t *paper, FILE *out)
{
	static const char *const head[] = {"claim", "command", "time", "disk", "evidence"};
	_cleanup_json_ json_t *table = json_array();
	const json_t *claim;
	size_t i;

	markdown_row(table, ARRAY_SIZE(head), head);
	json_array_foreach (json_object_get(paper, "claims"), i, claim) {
		_cleanup_free_ char *evidence = markdown_text(json_text(claim, "evidence"));
		_cleanup_free_ char *command = NULL;
		char took[FIGURE_SIZE], disk[FIGURE_SIZE];

		if (!json_object_get(claim, "command"))
			continue;
		command = format_string("`%s`", json_text(claim, "command"));
		figure_duration(json_number(claim, "wall_s", 0), took);
		figure_bytes(json_number(claim, "disk_bytes", 0), disk);
		markdown_row(table, 5,
			(const char *const[5]){
				json_text(claim, "id"), command, took, disk, evidence});
	}
	if (json_array_size(table) < 2)
		return;
	fputs("**Each claim by itself**, with what its trials took here:\n\n", out);
	markdown_table(table, "llrrl", out);
}

/* ---- the whole ---- */

static void put_paper(const json_t *paper, bool brief, FILE *out)
{
	fprintf(out, "### Paper %s: %s (%s)\n\n", json_text(paper, "id"), json_text(paper, "short"),
		json_text(paper, "mechanism"));
	if (brief) {
		markdown_brief(paper, out);
		return;
	}
	markdown_published(paper, out);
	put_claims(paper, out);
	markdown_also(paper, out);
	put_commands(paper, out);
}

static void put_problem(FILE *out, const json_t *problem)
{
	fprintf(out, "- %s: trial %.0f, ", json_text(problem, "outcome"),
		json_number(problem, "index", 0));
	markdown_put(out, json_text(problem, "variant"));
	fputs(": ", out);
	markdown_put(out, json_text(problem, "reason"));
	fputc('\n', out);
}

static void put_outlier(FILE *out, const json_t *trial)
{
	const json_t *readings = json_object_get(trial, "readings"), *one;
	size_t i;

	fprintf(out, "- stands apart (counted like the others): trial %.0f, ",
		json_number(trial, "index", 0));
	markdown_put(out, json_text(trial, "variant"));
	json_array_foreach (readings, i, one) {
		_cleanup_free_ char *name = series_name(one);
		_cleanup_free_ char *text = NULL;
		char value[FIGURE_SIZE];

		figure_value(json_number(one, "value", NAN), json_text(one, "unit"), value);
		text = format_string("%s %s %s", i ? ";" : ":", name, value);
		markdown_put(out, text);
	}
	fputc('\n', out);
}

/* Trials: how many, and with `verbose` which of them failed or stand apart. Failures of a report
 * for people are always listed. */
static void put_trials(const json_t *view, bool verbose, FILE *out)
{
	const json_t *trials = json_object_get(view, "trials"), *one;
	const json_t *outliers = json_object_get(view, "outliers");
	const json_t *problems = json_object_get(view, "problems");
	size_t i;

	fprintf(out, "Trials: %.0f of %.0f ok, each on a freshly booted fleet",
		json_number(trials, "ok", 0), json_number(trials, "planned", 0));
	if (json_array_size(outliers))
		fprintf(out, "; %zu with a reading that stands apart, counted like the others",
			json_array_size(outliers));
	fputs(".\n", out);
	if (json_array_size(problems) || verbose)
		fputc('\n', out);
	json_array_foreach (problems, i, one)
		put_problem(out, one);
	if (!verbose)
		return;
	json_array_foreach (outliers, i, one)
		put_outlier(out, one);
}

static void put_samples(const json_t *record, FILE *out)
{
	static const char *const head[] = {"trial", "variant", "metric", "samples"};
	_cleanup_json_ json_t *table = json_array();
	const json_t *trial, *sample;
	size_t t, s;

	markdown_row(table, ARRAY_SIZE(head), head);
	json_array_foreach (json_object_get(record, "trials"), t, trial) {
		_cleanup_free_ char *variant = markdown_text(json_text(trial, "variant"));
		char index[32];

		snprintf(index, sizeof(index), "%.0f", json_number(trial, "index", 0));
		json_array_foreach (json_object_get(trial, "samples"), s, sample) {
			_cleanup_free_ char *raw = series_name(sample);
			_cleanup_free_ char *name = markdown_text(raw);
			_cleanup_free_ char *values = json_dumps(json_object_get(sample, "values"),
				JSON_COMPACT | JSON_REAL_PRECISION(5));

			markdown_row(table, 4,
				(const char *const[4]){index, variant, name, values ? values : ""});
		}
	}
	fputc('\n', out);
	markdown_table(table, "rlll", out);
}

static void put_run(const json_t *view, FILE *out)
{
	const json_t *run = json_object_get(view, "run"), *host = json_object_get(view, "host");
	const json_t *peer = json_object_get(view, "peer");
	_cleanup_free_ char *line = NULL;
	char took[FIGURE_SIZE], cpu[FIGURE_SIZE];
	const json_t *note;
	size_t i;

	figure_duration(json_number(run, "wall_s", 0), took);
	figure_cpu(host, cpu);
	line = format_string("Run %s, profile %s, %s in trials, on %s, Linux %s, QEMU %s, "
			     "accelerator %s%s.",
		json_text(run, "id"), json_text(run, "profile"), took, cpu,
		json_text(host, "kernel"), json_text(host, "qemu"), json_text(host, "accelerator"),
		json_is_true(json_object_get(host, "emulated"))
			? ": the CPU is emulated, times are not those of hardware"
			: "");
	markdown_put(out, line);
	if (peer) {
		_cleanup_free_ char *second = NULL;

		figure_cpu(peer, cpu);
		second = format_string(" The second machine is %s: %s, Linux %s, QEMU %s.",
			json_is_true(json_object_get(peer, "same_host")) ? "this host itself"
									 : "a real one",
			cpu, json_text(peer, "kernel"), json_text(peer, "qemu"));
		markdown_put(out, second);
	}
	if (strcmp(json_text(run, "state"), "complete") != 0)
		fprintf(out, " **Not complete**: %s.", json_text(run, "state"));
	fputs("\n\n", out);
	if (json_is_true(json_object_get(run, "synthetic")))
		fputs("**Synthetic**: made for a test, measured nowhere.\n\n", out);
	if (json_is_true(json_object_get(run, "altered")))
		fputs("**Altered**: this record was changed after it was written. The verdicts are "
		      "computed from its samples.\n\n",
			out);
	json_array_foreach (json_object_get(run, "notes"), i, note) {
		fputs("- ", out);
		markdown_put(out, json_string_value(note));
		fputs("\n", out);
	}
	if (json_array_size(json_object_get(run, "notes")))
		fputc('\n', out);
}

static const char *aa_word(const json_t *row)
{
	if (json_is_true(json_object_get(row, "differs")))
		return "yes";
	return json_object_get(row, "low") ? "no" : "too few pairs to tell";
}

static void put_aa(const json_t *view, FILE *out)
{
	static const char *const head[] = {
		"experiment", "variant", "metric", "B over A", "pairs", "differs"};
	const json_t *rows = json_object_get(view, "aa"), *row;
	_cleanup_json_ json_t *table = json_array();
	size_t i;

	if (!rows)
		return;
	markdown_row(table, ARRAY_SIZE(head), head);
	json_array_foreach (rows, i, row) {
		_cleanup_free_ char *experiment = markdown_text(json_text(row, "experiment"));
		_cleanup_free_ char *variant = markdown_text(json_text(row, "variant"));
		_cleanup_free_ char *raw = series_name(row);
		_cleanup_free_ char *name = markdown_text(raw);
		char ratio[FIGURE_SIZE], pairs[32];

		figure_interval(json_number(row, "median", NAN), json_number(row, "low", NAN),
			json_number(row, "high", NAN), "x", ratio);
		_cleanup_free_ char *shown = markdown_figure(ratio);

		snprintf(pairs, sizeof(pairs), "%.0f", json_number(row, "pairs", 0));
		markdown_row(table, ARRAY_SIZE(head),
			(const char *const[]){
				experiment, variant, name, shown, pairs, aa_word(row)});
	}
	fputs("**A/A: one variant against itself.**", out);
	markdown_emulation(view, out);
	markdown_table(table, "lllrrl", out);
}

void markdown_render(
	const json_t *view, const json_t *record, const struct report_options *options, FILE *out)
{
	const json_t *one;
	size_t i;

	put_run(view, out);
	json_array_foreach (json_object_get(view, "papers"), i, one)
		put_paper(one, options->brief, out);
	if (json_object_get(view, "drill"))
		fputs("**DRILL: a variant was slowed down on purpose; no claim is graded.**\n\n",
			out);
	put_aa(view, out);
	json_array_foreach (json_object_get(view, "not_run"), i, one)
		fprintf(out, "- %s (%s): %s\n", json_text(one, "id"), json_text(one, "short"),
			json_text(one, "why"));
	if (json_array_size(json_object_get(view, "not_run")))
		fputc('\n', out);
	put_trials(view, options->verbose, out);
	if (options->verbose)
		put_samples(record, out);
}
