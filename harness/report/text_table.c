/* A paper's tables with ours beside them, for a terminal: see text.h. */
#include "harness/base/cleanup.h"
#include "harness/record/samples.h"
#include "harness/report/figures.h"
#include "harness/report/formats.h"
#include "harness/report/published.h"
#include "harness/report/text.h"

#include <math.h>
#include <string.h>

#define PUBLISHED_COLUMNS 12
#define MEASURED_COLUMNS 32 /* "0.00782 x RAM [0.00782, 0.00782]" */

static int label_columns(const struct page *page)
{
	return page->width >= WIDE ? 47 : 27;
}

/* "84.1 us [81, 90.2]" and "n=8", or "not measured". */
static void ours_text(const json_t *ours, char *measured, char *trials, size_t size)
{
	snprintf(measured, FIGURE_SIZE, "not measured");
	trials[0] = '\0';
	if (!json_object_get(ours, "median"))
		return;
	figure_interval(json_number(ours, "median", NAN), json_number(ours, "low", NAN),
		json_number(ours, "high", NAN), json_text(ours, "unit"), measured);
	snprintf(trials, size, "n=%.0f", json_number(ours, "trials", 0));
}

/* A row whose third cell is measured values: on a line of their own where they would be cut. */
static void put_measured_row(const struct page *page, int indent, struct cell *cells,
	const char *measured, const char *trials)
{
	int columns = text_columns(measured);
	int before = indent + cells[0].columns + PUBLISHED_COLUMNS + 2;
	bool fits = before + columns + (*trials ? 1 + text_columns(trials) : 0) <= page->width;

	cells[2] = (struct cell){columns > MEASURED_COLUMNS ? columns : MEASURED_COLUMNS,
		fits ? measured : "", NULL};
	if (fits && before + cells[2].columns + 1 + text_columns(trials) > page->width)
		cells[2].columns = columns;
	cells[3] = (struct cell){0, fits ? trials : "", "2"};
	page_row(page, indent, cells, 4);
	if (!fits)
		page_wrap(page, indent + 2, indent + 4, "%s %s", measured, trials);
}

static void put_ours(const struct page *page, const json_t *ours)
{
	char measured[FIGURE_SIZE], trials[16];
	struct cell cells[4] = {
		{label_columns(page) - 2, json_text(ours, "label"), NULL},
		{-PUBLISHED_COLUMNS, "", NULL},
	};

	ours_text(ours, measured, trials, sizeof(trials));
	put_measured_row(page, 4, cells, measured, trials);
}

/* One published value. Where a single reading stands beside it, it does so on the same line. */
static void put_cell_line(
	const struct page *page, int indent, const char *label, const json_t *cell)
{
	const json_t *ours = json_object_get(cell, "ours"), *one;
	int columns = label_columns(page) + 2 - indent;
	char published[FIGURE_SIZE], measured[FIGURE_SIZE] = "", trials[16] = "";
	bool fits = text_columns(label) <= columns;
	struct cell line[4] = {
		{columns, fits ? label : "", NULL},
		{-PUBLISHED_COLUMNS, published, NULL},
	};
	size_t i;

	figure_cell(cell, published);
	if (json_array_size(ours) == 1)
		ours_text(json_array_get(ours, 0), measured, trials, sizeof(trials));
	if (!fits)
		page_wrap(page, indent, indent, "%s", label);
	put_measured_row(page, indent, line, measured, trials);
	if (json_array_size(ours) < 2)
		return;
	json_array_foreach (ours, i, one)
		put_ours(page, one);
}

static void put_row(const struct page *page, const json_t *table, const json_t *row)
{
	const json_t *cells = json_object_get(row, "cells"), *cell;
	bool single = json_array_size(cells) == 1;
	size_t c;

	if (!single)
		page_wrap(page, 2, 4, "%s", json_text(row, "label"));
	json_array_foreach (cells, c, cell) {
		const char *column =
			json_string_value(json_array_get(json_object_get(table, "columns"), c));

		if (single)
			put_cell_line(page, 2, json_text(row, "label"), cell);
		else
			put_cell_line(page, 4, column ? column : "", cell);
	}
}

static void put_table(const struct page *page, const json_t *table)
{
	bool fits = label_columns(page) + PUBLISHED_COLUMNS + 4 + 24 <= page->width;
	const struct cell head[] = {
		{label_columns(page), "", NULL},
		{-PUBLISHED_COLUMNS, "published", "2"},
		{30, fits ? "measured [95 % interval]" : "measured", "2"},
	};
	const json_t *row;
	size_t r;

	page_blank(page);
	page_wrap(page, 2, 4, "%s: %s", json_text(table, "id"), json_text(table, "title"));
	text_emulation(table, page);
	page_row(page, 2, head, ARRAY_SIZE(head));
	json_array_foreach (json_object_get(table, "rows"), r, row)
		put_row(page, table, row);
}

static void put_unmeasured(const struct page *page, const json_t *paper)
{
	_cleanup_free_ char *list = published_unmeasured(paper);

	if (!*list)
		return;
	page_blank(page);
	page_wrap(page, 2, 4, "not measured in this run: %s", list);
}

void text_tables(const struct page *page, const json_t *paper, bool brief)
{
	const json_t *table;
	size_t i;

	json_array_foreach (json_object_get(paper, "tables"), i, table) {
		if (published_has(table, brief ? "median" : NULL))
			put_table(page, table);
	}
	if (brief)
		put_unmeasured(page, paper);
}
