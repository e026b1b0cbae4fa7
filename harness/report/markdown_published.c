/* Published values with ours beside them, in Markdown: see markdown.h. */
#include "harness/base/fs.h"
#include "harness/record/samples.h"
#include "harness/report/figures.h"
#include "harness/report/formats.h"
#include "harness/report/markdown.h"
#include "harness/report/published.h"

#include <math.h>
#include <string.h>

#define COLUMNS 4

static const char *const right = "lrlr";

static void put_row(json_t *table, const char *label, const char *published, const json_t *ours)
{
	char measured[FIGURE_SIZE] = "", trials[32] = "";

	if (json_object_get(ours, "median")) {
		figure_interval(json_number(ours, "median", NAN), json_number(ours, "low", NAN),
			json_number(ours, "high", NAN), json_text(ours, "unit"), measured);
		snprintf(trials, sizeof(trials), "%.0f", json_number(ours, "trials", 0));
	} else if (ours) {
		snprintf(measured, sizeof(measured), "not measured");
	}
	_cleanup_free_ char *shown = markdown_figure(measured);

	markdown_row(table, COLUMNS, (const char *const[COLUMNS]){label, published, shown, trials});
}

/* A single reading of ours stands in the published value's row, several in rows below it. */
static void add_cell(json_t *table, const char *label, const json_t *cell)
{
	const json_t *list = json_object_get(cell, "ours"), *ours;
	bool single = json_array_size(list) == 1;
	char published[FIGURE_SIZE];
	size_t i;

	figure_cell(cell, published);
	put_row(table, label, published, single ? json_array_get(list, 0) : NULL);
	if (single)
		return;
	json_array_foreach (list, i, ours) {
		_cleanup_free_ char *escaped = markdown_text(json_text(ours, "label"));
		_cleanup_free_ char *indented = format_string("&nbsp; %s", escaped);

		put_row(table, indented, "", ours);
	}
}

/* `measured`: only cells of which something was. */
static void add_cells(json_t *table, const json_t *published, bool measured)
{
	const json_t *columns = json_object_get(published, "columns"), *row, *cell;
	bool several = json_array_size(columns) > 1;
	size_t r, c;

	json_array_foreach (json_object_get(published, "rows"), r, row) {
		json_array_foreach (json_object_get(row, "cells"), c, cell) {
			const char *column = json_string_value(json_array_get(columns, c));
			_cleanup_free_ char *label = NULL;
			_cleanup_free_ char *escaped = NULL;

			if (measured && !published_cell_has(cell, "median"))
				continue;
			column = several && column ? column : "";
			label = format_string(
				"%s%s%s", json_text(row, "label"), *column ? ", " : "", column);
			escaped = markdown_text(label);
			add_cell(table, escaped, cell);
		}
	}
}

static json_t *new_table(const char *first)
{
	json_t *table = json_array();

	markdown_row(table, COLUMNS,
		(const char *const[COLUMNS]){first, "published", "measured [95 % interval]", "n"});
	return table;
}

static char *title_of(const json_t *published)
{
	_cleanup_free_ char *id = markdown_text(json_text(published, "id"));
	_cleanup_free_ char *title = markdown_text(json_text(published, "title"));

	return format_string("**%s**: %s", id, title);
}

void markdown_published(const json_t *paper, FILE *out)
{
	const json_t *published;
	size_t i;

	json_array_foreach (json_object_get(paper, "tables"), i, published) {
		_cleanup_json_ json_t *table = new_table("");
		_cleanup_free_ char *title = title_of(published);

		if (!published_has(published, NULL))
			continue;
		add_cells(table, published, false);
		fprintf(out, "%s.", title);
		markdown_emulation(published, out);
		markdown_table(table, right, out);
	}
}

/* ---- in brief ---- */

/* "**C1**: what it says (Table 3)"; caller frees. */
static char *claim_text(const json_t *claim)
{
	_cleanup_free_ char *id = markdown_text(json_text(claim, "id"));
	_cleanup_free_ char *text = markdown_text(json_text(claim, "text"));
	_cleanup_free_ char *source = markdown_text(json_text(claim, "source"));

	return format_string("**%s**: %s (%s)", id, text, source);
}

/* The reason, behind the test that it is of where there are several; and before that the test whose
 * figures are shown, where the one that decided was not run and has none. */
static char *why_text(const json_t *claim, const json_t *shown)
{
	const json_t *deciding = claim_deciding_test(claim);
	bool several = json_array_size(json_object_get(claim, "tests")) > 1;
	_cleanup_free_ char *of = test_title(shown);
	_cleanup_free_ char *title = test_title(deciding);
	_cleanup_free_ char *first =
		shown == deciding ? format_string("%s", "")
				  : format_string("%s: %s; ", of, json_text(shown, "verdict"));
	_cleanup_free_ char *full = format_string("%s%s%s%s", first, several ? title : "",
		several && *title ? "; " : "", json_text(claim, "reason"));

	return markdown_text(full);
}

static void add_claim(json_t *table, const json_t *claim)
{
	const json_t *test = claim_headline_test(claim);
	_cleanup_free_ char *text = claim_text(claim);
	_cleanup_free_ char *why = why_text(claim, test);
	_cleanup_free_ char *verdict =
		format_string("**%s**: %s", json_text(claim, "verdict"), why);
	char published[FIGURE_SIZE], measured[FIGURE_SIZE];

	figure_published(test, published);
	figure_measured(test, measured);
	_cleanup_free_ char *shown = markdown_figure(measured);

	markdown_row(table, COLUMNS, (const char *const[COLUMNS]){text, published, shown, verdict});
}

static void put_claims(const json_t *paper, FILE *out)
{
	static const char *const head[COLUMNS] = {
		"claim", "published", "measured [95 % interval]", "verdict"};
	_cleanup_free_ char *not_run = format_string("%s", "");
	_cleanup_json_ json_t *table = json_array();
	const json_t *claim;
	size_t i;

	markdown_row(table, COLUMNS, head);
	json_array_foreach (json_object_get(paper, "claims"), i, claim) {
		char *longer;

		if (strcmp(json_text(claim, "verdict"), "not-run") != 0) {
			add_claim(table, claim);
			continue;
		}
		longer = format_string("%s%s%s (%s)", not_run, *not_run ? ", " : "",
			json_text(claim, "id"), json_text(claim, "source"));
		free(not_run);
		not_run = longer;
	}
	if (json_array_size(table) > 1)
		markdown_table(table, "lrll", out);
	if (*not_run) {
		fputs("Claims not run: ", out);
		markdown_put(out, not_run);
		fputs(".\n\n", out);
	}
}

static void put_values(const json_t *paper, FILE *out)
{
	_cleanup_json_ json_t *table = new_table("published values, and ours beside them");
	_cleanup_free_ char *unmeasured = published_unmeasured(paper);
	const json_t *published;
	size_t i;

	json_array_foreach (json_object_get(paper, "tables"), i, published) {
		_cleanup_free_ char *title = title_of(published);

		if (!published_has(published, "median"))
			continue;
		markdown_row(table, COLUMNS, (const char *const[COLUMNS]){title, "", "", ""});
		add_cells(table, published, true);
	}
	if (json_array_size(table) > 1)
		markdown_table(table, right, out);
	if (*unmeasured) {
		fputs("Not measured: ", out);
		markdown_put(out, unmeasured);
		fputs(".\n\n", out);
	}
}

void markdown_brief(const json_t *paper, FILE *out)
{
	markdown_put(out, json_text(paper, "title"));
	fputs(".", out);
	markdown_graded(paper, out);
	markdown_emulation(paper, out);
	put_claims(paper, out);
	put_values(paper, out);
}
