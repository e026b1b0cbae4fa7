/* The report as Markdown tables, as README shows it: see report.h. */
#include "harness/record/samples.h"
#include "harness/report/figures.h"
#include "harness/report/formats.h"
#include "harness/report/series.h"

#include <math.h>
#include <string.h>

/* Text that stays text: nothing of it is taken for a table, a tag or emphasis. */
static void put(FILE *out, const char *text)
{
	_cleanup_free_ char *harmless = text_harmless(text);

	for (const char *p = harmless; *p; p++) {
		if (strchr("|<>*`[]\\_", *p))
			fputc('\\', out);
		fputc(*p, out);
	}
}

/* A figure: only brackets need care, and only before "(", which figures do not have. */
static void put_plain(FILE *out, const char *text)
{
	_cleanup_free_ char *harmless = text_harmless(text);

	fputs(harmless, out);
}

static void put_emulation(const json_t *view, FILE *out)
{
	const json_t *host = json_object_get(view, "host"), *text;
	size_t i;

	if (json_is_true(json_object_get(host, "emulated"))) {
		fputs("Emulated: CPU by ", out);
		put(out, json_text(host, "accelerator"));
		fputs("; times are not those of hardware. ", out);
	}
	json_array_foreach (json_object_get(view, "emulated"), i, text) {
		fputs("Emulated: ", out);
		put(out, json_string_value(text));
		fputs(". ", out);
	}
	fputs("\n\n", out);
}

static void put_ours(FILE *out, const json_t *ours)
{
	char measured[FIGURE_SIZE] = "not measured";

	if (json_object_get(ours, "median"))
		figure_interval(json_number(ours, "median", NAN), json_number(ours, "low", NAN),
			json_number(ours, "high", NAN), json_text(ours, "unit"), measured);
	fputs("| | ", out);
	put(out, json_text(ours, "label"));
	fputs(" | | ", out);
	put_plain(out, measured);
	fprintf(out, " | %.0f |\n", json_number(ours, "trials", 0));
}

static void put_table(const json_t *view, const json_t *table, FILE *out)
{
	const json_t *columns = json_object_get(table, "columns");
	const json_t *row, *cell, *ours;
	size_t r, c, o;

	fputs("**", out);
	put(out, json_text(table, "id"));
	fputs("**: ", out);
	put(out, json_text(table, "title"));
	fputs(". ", out);
	put_emulation(view, out);
	fputs("| | | published | measured [95 % interval] | trials |\n|---|---|--:|---|--:|\n",
		out);
	json_array_foreach (json_object_get(table, "rows"), r, row) {
		json_array_foreach (json_object_get(row, "cells"), c, cell) {
			const char *column = json_string_value(json_array_get(columns, c));
			char published[FIGURE_SIZE];

			figure_cell(cell, published);
			fputs("| ", out);
			put(out, c == 0 ? json_text(row, "label") : "");
			fputs(" | ", out);
			put(out, json_array_size(columns) > 1 && column ? column : "");
			fprintf(out, " | %s | | |\n", published);
			json_array_foreach (json_object_get(cell, "ours"), o, ours)
				put_ours(out, ours);
		}
	}
	fputc('\n', out);
}

static void put_why(const json_t *claim, const json_t *test, bool first, FILE *out)
{
	_cleanup_free_ char *title = test_title(test);
	char pairs[FIGURE_SIZE], forecast[FIGURE_SIZE];

	figure_pairs(test, pairs);
	forecast_text(json_object_get(test, "forecast"), forecast);
	if (first) {
		put(out, json_text(claim, "text"));
		fputs("; ", out);
	}
	if (*title) {
		put(out, title);
		fputs("; ", out);
	}
	if (*pairs)
		fprintf(out, "%s; ", pairs);
	put(out, json_text(test, "reason"));
	if (*forecast)
		fprintf(out, "; %s", forecast);
}

static void put_test(const json_t *claim, const json_t *test, size_t number, FILE *out)
{
	const char *verdict = json_text(number ? test : claim, "verdict");
	char published[FIGURE_SIZE], measured[FIGURE_SIZE], ratio[FIGURE_SIZE];
	char took[FIGURE_SIZE], disk[FIGURE_SIZE];

	figure_published(test, published);
	figure_measured(test, measured);
	figure_ratio_to_published(test, ratio);
	figure_duration(json_number(claim, "wall_s", 0), took);
	figure_bytes(json_number(claim, "disk_bytes", 0), disk);
	fputs("| ", out);
	if (number == 0)
		fprintf(out, "**%s**", json_text(claim, "id"));
	else
		put(out, json_text(test, "id"));
	fprintf(out, " | %s | %s | %s | %s | ", published, measured, ratio, verdict);
	put_why(claim, test, number == 0, out);
	fputs(" | ", out);
	if (number == 0) {
		fputs(json_is_true(json_object_get(json_object_get(claim, "comparable"), "ok"))
				? "yes"
				: "ratios only",
			out);
		fputs(" | ", out);
		put(out, json_text(claim, "evidence"));
		fprintf(out, " | %s | %s |\n", took, disk);
	} else {
		fputs(" | | | |\n", out);
	}
}

static bool is_measured(const json_t *table)
{
	const json_t *row, *cell;
	size_t r, c;

	json_array_foreach (json_object_get(table, "rows"), r, row) {
		json_array_foreach (json_object_get(row, "cells"), c, cell) {
			if (json_array_size(json_object_get(cell, "ours")))
				return true;
		}
	}
	return false;
}

static void put_paper(const json_t *view, const json_t *paper, FILE *out)
{
	const json_t *comparable = json_object_get(paper, "comparable");
	const json_t *table, *claim, *test;
	size_t i, t;

	fprintf(out, "## %s: %s (%s)\n\n", json_text(paper, "id"), json_text(paper, "short"),
		json_text(paper, "mechanism"));
	json_array_foreach (json_object_get(paper, "tables"), i, table) {
		if (is_measured(table))
			put_table(view, table, out);
	}
	fputs("**Claims**. ", out);
	put_emulation(view, out);
	fputs("| claim | published | measured [95 % interval] | ratio to published | verdict | why "
	      "| comparable? | evidence | time | disk |\n"
	      "|---|--:|---|--:|---|---|---|---|--:|--:|\n",
		out);
	json_array_foreach (json_object_get(paper, "claims"), i, claim) {
		json_array_foreach (json_object_get(claim, "tests"), t, test)
			put_test(claim, test, t, out);
	}
	if (json_is_false(json_object_get(comparable, "ok"))) {
		fputs("\nAbsolute values are not comparable: ", out);
		put(out, json_text(comparable, "reason"));
		fputs(".\n", out);
	}
	fputc('\n', out);
}

static void put_list(const json_t *view, FILE *out)
{
	const json_t *one;
	size_t i;

	json_array_foreach (json_object_get(view, "not_run"), i, one)
		fprintf(out, "- %s: %s: not run in this record\n", json_text(one, "id"),
			json_text(one, "short"));
	json_array_foreach (json_object_get(view, "problems"), i, one) {
		fprintf(out, "- %s: trial %.0f, ", json_text(one, "outcome"),
			json_number(one, "index", 0));
		put(out, json_text(one, "variant"));
		fputs(": ", out);
		put(out, json_text(one, "reason"));
		fputc('\n', out);
	}
	json_array_foreach (json_object_get(view, "outliers"), i, one) {
		_cleanup_free_ char *name = series_name(one);
		char value[FIGURE_SIZE];

		figure_value(json_number(one, "value", NAN), json_text(one, "unit"), value);
		fprintf(out, "- outlier (kept): trial %.0f, ", json_number(one, "index", 0));
		put(out, json_text(one, "variant"));
		fputs(", ", out);
		put(out, name);
		fprintf(out, ": %s\n", value);
	}
}

static void put_samples(const json_t *record, FILE *out)
{
	const json_t *trial, *sample;
	size_t t, s;

	fputs("\n| trial | variant | metric | samples |\n|--:|---|---|---|\n", out);
	json_array_foreach (json_object_get(record, "trials"), t, trial) {
		json_array_foreach (json_object_get(trial, "samples"), s, sample) {
			_cleanup_free_ char *name = series_name(sample);
			_cleanup_free_ char *values = json_dumps(json_object_get(sample, "values"),
				JSON_COMPACT | JSON_REAL_PRECISION(5));

			fprintf(out, "| %.0f | ", json_number(trial, "index", 0));
			put(out, json_text(trial, "variant"));
			fputs(" | ", out);
			put(out, name);
			fprintf(out, " | %s |\n", values ? values : "");
		}
	}
}

void markdown_render(const json_t *view, const json_t *record, bool verbose, FILE *out)
{
	const json_t *run = json_object_get(view, "run"), *host = json_object_get(view, "host");
	const json_t *paper, *note;
	size_t i;

	fprintf(out, "# Run %s\n\nProfile %s, seed %.0f, %s. Host: ", json_text(run, "id"),
		json_text(run, "profile"), json_number(run, "seed", 0), json_text(run, "state"));
	put(out, json_text(host, "cpu"));
	fputs(", Linux ", out);
	put(out, json_text(host, "kernel"));
	fputs(", QEMU ", out);
	put(out, json_text(host, "qemu"));
	fputs(", accelerator ", out);
	put(out, json_text(host, "accelerator"));
	fputs(".\n\n", out);
	if (json_is_true(json_object_get(run, "synthetic")))
		fputs("**Synthetic**: made for a test, measured nowhere.\n\n", out);
	if (json_is_true(json_object_get(run, "altered")))
		fputs("**Altered**: this record was changed after it was written. The verdicts are "
		      "computed from its samples.\n\n",
			out);
	json_array_foreach (json_object_get(run, "notes"), i, note) {
		fputs("- ", out);
		put(out, json_string_value(note));
		fputs("\n", out);
	}
	json_array_foreach (json_object_get(view, "papers"), i, paper)
		put_paper(view, paper, out);
	put_list(view, out);
	if (verbose)
		put_samples(record, out);
}
