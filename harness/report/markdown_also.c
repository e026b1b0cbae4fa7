/* What was measured beyond the paper's tables, in Markdown: see markdown.h. */
#include "harness/base/fs.h"
#include "harness/record/samples.h"
#include "harness/report/figures.h"
#include "harness/report/markdown.h"

#include <math.h>
#include <string.h>

static char *cell_text(const json_t *row, const char *variant)
{
	const json_t *cell = json_object_get(json_object_get(row, "cells"), variant);
	const char *unit = json_text(row, "unit");
	char text[FIGURE_SIZE] = "-";

	if (cell && strcmp(unit, "bool") == 0)
		figure_of_unit(json_number(cell, "median", NAN), unit, text);
	else if (cell)
		figure_interval(json_number(cell, "median", NAN), json_number(cell, "low", NAN),
			json_number(cell, "high", NAN), "", text);
	return markdown_figure(text);
}

static void append_text(json_t *cells, const char *text)
{
	json_array_append_new(cells, json_string(text));
}

static void add_row(json_t *table, const json_t *also, const json_t *row, bool gains)
{
	const json_t *trials = json_object_get(row, "trials"), *gain = json_object_get(row, "gain");
	_cleanup_free_ char *label = figure_label(also, row);
	_cleanup_free_ char *escaped = markdown_text(label);
	json_t *cells = json_array();
	const json_t *variant;
	char text[FIGURE_SIZE] = "-";
	size_t i;

	append_text(cells, escaped);
	json_array_foreach (json_object_get(also, "variants"), i, variant) {
		_cleanup_free_ char *shown = cell_text(row, json_string_value(variant));

		append_text(cells, shown);
	}
	if (gain)
		figure_times(json_number(gain, "ratio", NAN), text);
	if (gains)
		append_text(cells, text);
	figure_count(trials, text);
	append_text(cells, text);
	json_array_append_new(table, cells);
}

static void add_head(json_t *table, const json_t *also, bool gains)
{
	const json_t *variant;
	json_t *cells = json_array();
	_cleanup_free_ char *first = markdown_text(
		json_text(also, *json_text(also, "metric") ? "coordinate" : "experiment"));
	size_t i;

	append_text(cells, first);
	json_array_foreach (json_object_get(also, "variants"), i, variant) {
		_cleanup_free_ char *name = markdown_text(json_string_value(variant));

		append_text(cells, name);
	}
	if (gains)
		append_text(cells, "gain");
	append_text(cells, "n");
	json_array_append_new(table, cells);
}

static void put_title(const json_t *also, bool gains, FILE *out)
{
	const char *metric = json_text(also, "metric"), *coordinate = json_text(also, "coordinate");
	_cleanup_free_ char *text =
		*metric ? format_string("%s, %s%s%s; medians", metric, json_text(also, "unit"),
				  *coordinate ? ", by " : "", coordinate)
			: format_string("experiment %s; medians [95 %% interval]",
				  json_text(also, "experiment"));

	fputs("**Also measured**: ", out);
	markdown_put(out, text);
	fputs(gains ? "; gain: best subject over best baseline." : ".", out);
}

void markdown_also(const json_t *paper, FILE *out)
{
	const json_t *also, *row;
	size_t i, r;

	json_array_foreach (json_object_get(paper, "also"), i, also) {
		_cleanup_json_ json_t *table = json_array();
		char right[MARKDOWN_MOST_COLUMNS];
		bool gains = false;

		memset(right, 'r', sizeof(right));
		right[0] = *json_text(also, "metric") ? 'r' : 'l';
		json_array_foreach (json_object_get(also, "rows"), r, row)
			gains = gains || json_object_get(row, "gain");
		add_head(table, also, gains);
		json_array_foreach (json_object_get(also, "rows"), r, row)
			add_row(table, also, row, gains);
		put_title(also, gains, out);
		markdown_emulation(also, out);
		markdown_table(table, right, out);
	}
}
