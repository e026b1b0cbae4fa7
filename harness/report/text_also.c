/* What was measured beyond the paper's tables, as grids for a terminal: see text.h. A grid wider
 * than the page goes on below, with its other variants. */
#include "harness/base/fs.h"
#include "harness/record/samples.h"
#include "harness/report/figures.h"
#include "harness/report/text.h"

#include <math.h>
#include <string.h>

/* More columns than these fit no page. */
#define MOST_COLUMNS 24
#define INDENT 2
#define GAIN_COLUMNS 7
#define COUNT_COLUMNS 3
/* A longer table, such as a time series, is of medians only: intervals would double its lines. */
#define MOST_ROWS_WITH_INTERVALS 16

/* A cell's median, and the interval that stands below it; each "" where there is none. */
static void cell_texts(
	const json_t *table, const json_t *row, const char *variant, char *median, char *interval)
{
	bool brief = json_array_size(json_object_get(table, "rows")) > MOST_ROWS_WITH_INTERVALS;
	const json_t *cell = json_object_get(json_object_get(row, "cells"), variant);
	double low = json_number(cell, "low", NAN), high = json_number(cell, "high", NAN);
	char from[FIGURE_SIZE], to[FIGURE_SIZE];

	interval[0] = '\0';
	median[0] = '\0';
	if (!cell)
		return;
	figure_of_unit(json_number(cell, "median", NAN), json_text(row, "unit"), median);
	if (brief || !isfinite(low) || !isfinite(high) ||
		strcmp(json_text(row, "unit"), "bool") == 0)
		return;
	figure_number(low, from);
	figure_number(high, to);
	snprintf(interval, FIGURE_SIZE, "[%.20s, %.20s]", from, to);
}

/* What stands above the labels: the coordinate of a sweep, nothing above names of metrics. */
static const char *label_head(const json_t *table)
{
	return json_text(table, "coordinate");
}

static int label_columns(const json_t *table)
{
	int columns = text_columns(label_head(table));
	const json_t *row;
	size_t i;

	json_array_foreach (json_object_get(table, "rows"), i, row) {
		_cleanup_free_ char *label = figure_label(table, row);

		if (text_columns(label) > columns)
			columns = text_columns(label);
	}
	return columns < 36 ? columns : 36;
}

static int variant_columns(const json_t *table, const char *variant)
{
	int columns = text_columns(variant);
	const json_t *row;
	size_t i;

	json_array_foreach (json_object_get(table, "rows"), i, row) {
		char median[FIGURE_SIZE], interval[FIGURE_SIZE];

		cell_texts(table, row, variant, median, interval);
		if (text_columns(median) > columns)
			columns = text_columns(median);
		if (text_columns(interval) > columns)
			columns = text_columns(interval);
	}
	return columns < 30 ? columns : 30;
}

static bool has_gain(const json_t *table)
{
	const json_t *row;
	size_t i;

	json_array_foreach (json_object_get(table, "rows"), i, row) {
		if (json_object_get(row, "gain"))
			return true;
	}
	return false;
}

/* The part of a grid that fits: variants from `first` to before `end`. */
struct part {
	const json_t *table;
	int label;
	size_t first, end;
	bool gain, count; /* has these columns, after the variants */
};

static const char *variant_at(const json_t *table, size_t index)
{
	return json_string_value(json_array_get(json_object_get(table, "variants"), index));
}

static void put_part_head(const struct page *page, const struct part *part)
{
	bool sweep = *json_text(part->table, "coordinate");
	struct cell cells[MOST_COLUMNS + 2];
	size_t count = 0;

	cells[count++] =
		(struct cell){sweep ? -part->label : part->label, label_head(part->table), "2"};
	for (size_t i = part->first; i < part->end; i++) {
		const char *variant = variant_at(part->table, i);

		cells[count++] =
			(struct cell){-variant_columns(part->table, variant), variant, "2"};
	}
	if (part->gain)
		cells[count++] = (struct cell){-GAIN_COLUMNS, "gain", "2"};
	if (part->count)
		cells[count++] = (struct cell){-COUNT_COLUMNS, "n", "2"};
	page_row(page, INDENT, cells, count);
}

static void put_part_row(const struct page *page, const struct part *part, const json_t *row)
{
	_cleanup_free_ char *label = figure_label(part->table, row);
	char medians[MOST_COLUMNS][FIGURE_SIZE], intervals[MOST_COLUMNS][FIGURE_SIZE];
	struct cell above[MOST_COLUMNS + 2], below[MOST_COLUMNS + 2];
	const json_t *gain = json_object_get(row, "gain");
	bool sweep = *json_text(part->table, "coordinate"), any = false, bounded = false;
	char ratio[FIGURE_SIZE] = "", trials[FIGURE_SIZE];
	size_t count = 0, lines = 0;

	above[count] = (struct cell){sweep ? -part->label : part->label, label, NULL};
	below[count++] = (struct cell){part->label, "", NULL};
	for (size_t i = part->first; i < part->end; i++, count++) {
		const char *variant = variant_at(part->table, i);
		int columns = -variant_columns(part->table, variant);

		cell_texts(part->table, row, variant, medians[count], intervals[count]);
		any = any || *medians[count];
		bounded = bounded || *intervals[count];
		above[count] = (struct cell){columns, *medians[count] ? medians[count] : "-", NULL};
		below[count] = (struct cell){columns, intervals[count], "2"};
	}
	if (!any)
		return;
	if (bounded)
		lines = count;
	if (gain)
		figure_times(json_number(gain, "ratio", NAN), ratio);
	if (part->gain)
		above[count++] = (struct cell){-GAIN_COLUMNS, ratio, NULL};
	figure_count(json_object_get(row, "trials"), trials);
	if (part->count)
		above[count++] = (struct cell){-COUNT_COLUMNS, trials, "2"};
	page_row(page, INDENT, above, count);
	if (lines)
		page_row(page, INDENT, below, lines);
}

/* As many variants as fit beside the labels, at least one. */
static struct part part_from(const struct page *page, const json_t *table, int label, size_t first)
{
	size_t variants = json_array_size(json_object_get(table, "variants"));
	struct part part = {table, label, first, first, false, false};
	int used = INDENT + part.label;

	while (part.end < variants && part.end - first < MOST_COLUMNS - 1) {
		int columns = 1 + variant_columns(table, variant_at(table, part.end));

		if (part.end > first && used + columns > page->width)
			break;
		used += columns;
		part.end++;
	}
	if (has_gain(table) && part.end == variants && used + 1 + GAIN_COLUMNS <= page->width) {
		part.gain = true;
		used += 1 + GAIN_COLUMNS;
	}
	part.count = used + 1 + COUNT_COLUMNS <= page->width;
	return part;
}

static void put_title(const struct page *page, const json_t *table)
{
	const char *coordinate = json_text(table, "coordinate");

	if (*json_text(table, "metric"))
		page_wrap(page, 2, 4, "also measured: %s, %s%s%s (experiment %s; medians)",
			json_text(table, "metric"), json_text(table, "unit"),
			*coordinate ? ", by " : "", coordinate, json_text(table, "experiment"));
	else
		page_wrap(page, 2, 4, "also measured: single figures (experiment %s; medians)",
			json_text(table, "experiment"));
}

static void put_grid(const struct page *page, const json_t *table, int label)
{
	const json_t *row;
	size_t r;

	for (size_t first = 0; first < json_array_size(json_object_get(table, "variants"));) {
		const struct part part = part_from(page, table, label, first);

		put_part_head(page, &part);
		json_array_foreach (json_object_get(table, "rows"), r, row)
			put_part_row(page, &part, row);
		first = part.end;
	}
}

void text_also(const struct page *page, const json_t *paper)
{
	const json_t *tables = json_object_get(paper, "also"), *table;
	int single_label = 0;
	size_t t;

	json_array_foreach (tables, t, table) {
		if (!*json_text(table, "metric") && label_columns(table) > single_label)
			single_label = label_columns(table);
	}
	json_array_foreach (tables, t, table) {
		bool single = !*json_text(table, "metric");

		page_blank(page);
		put_title(page, table);
		text_emulation(table, page);
		put_grid(page, table, single ? single_label : label_columns(table));
	}
}
