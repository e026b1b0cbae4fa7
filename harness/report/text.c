/* The report for a terminal: see report.h. Must never print a line wider than the page. */
#include "harness/record/samples.h"
#include "harness/report/figures.h"
#include "harness/report/formats.h"
#include "harness/report/series.h"

#include <math.h>
#include <string.h>

/* From this width on, evidence, time and disk are columns; below, a line of their own. */
#define WIDE 100

/* No list of trials is longer, unless verbose. */
#define MOST_LISTED 12

static void put_run(const json_t *view, const struct page *page)
{
	const json_t *run = json_object_get(view, "run"), *host = json_object_get(view, "host");
	char took[FIGURE_SIZE];
	const json_t *note;
	size_t i;

	figure_duration(json_number(run, "wall_s", 0), took);
	page_heading(page, json_text(run, "id"));
	page_wrap(page, 0, 2, "run:  profile %s, seed %.0f, %s, %s in trials; fleetlab %s (%s)",
		json_text(run, "profile"), json_number(run, "seed", 0), json_text(run, "state"),
		took, json_text(run, "version"), json_text(run, "commit"));
	page_wrap(page, 0, 6, "host: %s; Linux %s; QEMU %s; libvirt %s", json_text(host, "cpu"),
		json_text(host, "kernel"), json_text(host, "qemu"), json_text(host, "libvirt"));
	page_wrap(page, 0, 6, "      accelerator %s%s%s%s", json_text(host, "accelerator"),
		json_is_true(json_object_get(host, "emulated")) ? " (emulated CPU)" : "",
		*json_text(host, "reason") ? ": " : "", json_text(host, "reason"));
	if (json_is_true(json_object_get(run, "synthetic")))
		page_wrap(page, 0, 2, "SYNTHETIC: made for a test, measured nowhere.");
	if (json_is_true(json_object_get(run, "altered")))
		page_wrap(page, 0, 2,
			"ALTERED: this record was changed after it was written. "
			"The verdicts below are computed from its samples.");
	json_array_foreach (json_object_get(run, "notes"), i, note)
		page_wrap(page, 2, 4, "%s", json_string_value(note));
}

/* Every table says what in it is emulated. */
static void put_emulation(const json_t *view, const struct page *page)
{
	const json_t *host = json_object_get(view, "host");
	const json_t *text;
	size_t i;

	if (json_is_true(json_object_get(host, "emulated")))
		page_wrap(page, 2, 2, "emulated: CPU by %s; times are not those of hardware",
			json_text(host, "accelerator"));
	json_array_foreach (json_object_get(view, "emulated"), i, text)
		page_wrap(page, 2, 2, "emulated: %s", json_string_value(text));
}

static int label_columns(const struct page *page)
{
	return page->width >= WIDE ? 46 : 30;
}

static int measured_columns(const struct page *page)
{
	return page->width >= WIDE ? 32 : 28;
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

static void put_ours(const struct page *page, const json_t *ours)
{
	char measured[FIGURE_SIZE], trials[16];
	const struct cell cells[] = {
		{label_columns(page) - 2, json_text(ours, "label"), NULL},
		{-13, "", NULL},
		{measured_columns(page), measured, NULL},
		{0, trials, "2"},
	};

	ours_text(ours, measured, trials, sizeof(trials));
	page_row(page, 4, cells, ARRAY_SIZE(cells));
}

/* One published value. Where a single reading stands beside it, it does so on the same line. */
static void put_cell_line(
	const struct page *page, int indent, const char *label, const json_t *cell)
{
	const json_t *ours = json_object_get(cell, "ours"), *one;
	int columns = label_columns(page) + 2 - indent;
	char published[FIGURE_SIZE], measured[FIGURE_SIZE] = "", trials[16] = "";
	bool fits = text_columns(label) <= columns;
	const struct cell line[] = {
		{columns, fits ? label : "", NULL},
		{-13, published, NULL},
		{measured_columns(page), measured, NULL},
		{0, trials, "2"},
	};
	size_t i;

	figure_cell(cell, published);
	if (json_array_size(ours) == 1)
		ours_text(json_array_get(ours, 0), measured, trials, sizeof(trials));
	if (!fits)
		page_wrap(page, indent, indent, "%s", label);
	page_row(page, indent, line, ARRAY_SIZE(line));
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

static bool has_ours(const json_t *table)
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

static void put_table(const json_t *view, const struct page *page, const json_t *table)
{
	const struct cell head[] = {
		{label_columns(page), "", NULL},
		{-13, "published", "2"},
		{30, "measured [95 % interval]", "2"},
	};
	const json_t *row;
	size_t r;

	if (!has_ours(table)) /* a table of settings: nothing of ours stands beside it */
		return;
	page_blank(page);
	page_wrap(page, 2, 4, "%s: %s", json_text(table, "id"), json_text(table, "title"));
	put_emulation(view, page);
	page_row(page, 2, head, ARRAY_SIZE(head));
	json_array_foreach (json_object_get(table, "rows"), r, row)
		put_row(page, table, row);
}

struct claim_columns {
	int id, verdict, published, measured, ratio, evidence, time, disk;
};

static const struct claim_columns narrow = {8, 14, 13, 28, 8, 0, 0, 0};
static const struct claim_columns wide = {8, 14, 13, 27, 8, 7, 7, 0};

static const struct claim_columns *columns_for(const struct page *page)
{
	return page->width >= WIDE ? &wide : &narrow;
}

static void put_claim_head(const struct page *page)
{
	const struct claim_columns *columns = columns_for(page);
	const struct cell cells[] = {
		{columns->id, "claim", "2"},
		{columns->verdict, "verdict", "2"},
		{columns->published, "published", "2"},
		{columns->measured, "measured [95 % interval]", "2"},
		{columns->ratio, "of publ.", "2"},
		{columns->evidence, columns->evidence ? "proven" : "", "2"},
		{columns->time, columns->time ? "time" : "", "2"},
		{columns->disk, page->width >= WIDE ? "disk" : "", "2"},
	};

	page_row(page, 2, cells, ARRAY_SIZE(cells));
}

/* "7/8" out of "7 of 8 trials: …". */
static void short_evidence(const char *evidence, char *out, size_t size)
{
	size_t have, all;

	if (sscanf(evidence, "%zu of %zu", &have, &all) == 2)
		snprintf(out, size, "%zu/%zu", have, all);
	else
		snprintf(out, size, "-");
}

static void short_duration(double seconds, char *out, size_t size)
{
	if (seconds < 10)
		snprintf(out, size, "%.1f s", seconds);
	else if (seconds < 100)
		snprintf(out, size, "%.0f s", seconds);
	else if (seconds < 6000)
		snprintf(out, size, "%.0f min", seconds / 60);
	else
		snprintf(out, size, "%.1f h", seconds / 3600);
}

/* One line: a claim's (with `claim`) or that of a further test (NULL). */
static void put_test_row(const struct page *page, const char *id, const char *verdict,
	const json_t *test, const json_t *claim)
{
	const struct claim_columns *columns = columns_for(page);
	char published[FIGURE_SIZE], measured[FIGURE_SIZE], ratio[FIGURE_SIZE];
	char evidence[32] = "", took[32] = "", disk[FIGURE_SIZE] = "";

	figure_published(test, published);
	figure_measured(test, measured);
	figure_ratio_to_published(test, ratio);
	if (claim && page->width >= WIDE) {
		short_evidence(json_text(claim, "evidence"), evidence, sizeof(evidence));
		short_duration(json_number(claim, "wall_s", 0), took, sizeof(took));
		figure_bytes(json_number(claim, "disk_bytes", 0), disk);
	}
	const struct cell cells[] = {
		{columns->id, id, claim ? "1" : NULL},
		{columns->verdict, verdict, verdict_colour(verdict)},
		{columns->published, published, NULL},
		{columns->measured, measured, NULL},
		{columns->ratio, ratio, NULL},
		{columns->evidence, evidence, NULL},
		{columns->time, took, NULL},
		{columns->disk, disk, NULL},
	};

	page_row(page, 2, cells, ARRAY_SIZE(cells));
}

char *test_title(const json_t *test)
{
	const char *note = json_text(test, "note"), *best = json_text(test, "best");
	char *title = NULL;

	if (asprintf(&title, "%s%s%s", note, *note && *best ? ": " : "", best) < 0)
		return strdup("");
	return title;
}

void forecast_text(const json_t *forecast, char *out)
{
	char took[FIGURE_SIZE];

	out[0] = '\0';
	if (!forecast)
		return;
	figure_duration(json_number(forecast, "seconds", 0), took);
	snprintf(out, FIGURE_SIZE, "%.0f more boots (%.40s) would probably decide",
		json_number(forecast, "boots", 0), took);
}

/* What stands below a row: what was compared, on how many pairs, why this verdict. */
static void put_why(const struct page *page, const json_t *paper, const json_t *test)
{
	const json_t *comparable = json_object_get(paper, "comparable");
	const char *reason = json_text(test, "reason");
	char pairs[FIGURE_SIZE], forecast[FIGURE_SIZE];
	_cleanup_free_ char *title = test_title(test);

	figure_pairs(test, pairs);
	forecast_text(json_object_get(test, "forecast"), forecast);
	if (strcmp(reason, json_text(comparable, "reason")) == 0)
		reason = "another kind of host, see above";
	page_wrap(page, 11, 11, "%s%s%s%s%s%s%s", title, *title ? "; " : "", pairs,
		*pairs ? "; " : "", reason, *forecast ? "; " : "", forecast);
}

static void put_claim(const struct page *page, const json_t *paper, const json_t *claim)
{
	const json_t *tests = json_object_get(claim, "tests"), *test;
	const json_t *published = json_object_get(claim, "published");
	bool run = strcmp(json_text(claim, "verdict"), "not-run") != 0;
	char took[FIGURE_SIZE], disk[FIGURE_SIZE];
	size_t i;

	put_test_row(page, json_text(claim, "id"), json_text(claim, "verdict"),
		json_array_get(tests, 0), claim);
	page_wrap(page, 11, 11, "%s (%s%s%s)", json_text(claim, "text"), json_text(claim, "source"),
		json_object_get(published, "text") ? ": " : "", json_text(published, "text"));
	json_array_foreach (tests, i, test) {
		char id[32];

		if (i > 0 && !run)
			break;
		snprintf(id, sizeof(id), " + %zu", i + 1);
		if (i > 0)
			put_test_row(page, *json_text(test, "id") ? json_text(test, "id") : id,
				json_text(test, "verdict"), test, NULL);
		put_why(page, paper, test);
	}
	if (!run || page->width >= WIDE)
		return;
	figure_duration(json_number(claim, "wall_s", 0), took);
	figure_bytes(json_number(claim, "disk_bytes", 0), disk);
	page_wrap(page, 11, 11, "evidence: %s; %s; %s on disk", json_text(claim, "evidence"), took,
		disk);
}

static void put_paper(const json_t *view, const struct page *page, const json_t *paper)
{
	const json_t *comparable = json_object_get(paper, "comparable");
	const json_t *table, *claim;
	char heading[160];
	size_t i;

	page_blank(page);
	snprintf(heading, sizeof(heading), "%s  %s (%s)", json_text(paper, "id"),
		json_text(paper, "short"), json_text(paper, "mechanism"));
	page_heading(page, heading);
	page_wrap(page, 2, 2, "%s", json_text(paper, "title"));
	json_array_foreach (json_object_get(paper, "tables"), i, table)
		put_table(view, page, table);
	page_blank(page);
	page_wrap(page, 2, 2, "claims");
	put_emulation(view, page);
	if (json_is_false(json_object_get(comparable, "ok")))
		page_wrap(page, 2, 4, "comparable? ratios and shapes; absolute values not: %s",
			json_text(comparable, "reason"));
	else
		page_wrap(page, 2, 4, "comparable? yes, absolute values too");
	put_claim_head(page);
	json_array_foreach (json_object_get(paper, "claims"), i, claim)
		put_claim(page, paper, claim);
}

static void put_problems(const json_t *view, const struct page *page, bool verbose)
{
	const json_t *problems = json_object_get(view, "problems"), *problem;
	const json_t *trials = json_object_get(view, "trials");
	size_t i;

	page_blank(page);
	page_wrap(page, 0, 8,
		"trials: %.0f planned, %.0f ended: %.0f ok, %.0f failed, %.0f invalid, %.0f "
		"skipped",
		json_number(trials, "planned", 0), json_number(trials, "finished", 0),
		json_number(trials, "ok", 0), json_number(trials, "failed", 0),
		json_number(trials, "invalid", 0), json_number(trials, "skipped", 0));
	json_array_foreach (problems, i, problem) {
		if (i == MOST_LISTED && !verbose) {
			page_wrap(page, 2, 4, "and %zu more (--verbose)",
				json_array_size(problems) - i);
			break;
		}
		page_wrap(page, 2, 4, "%s: trial %.0f, %s, %s, block %.0f: %s",
			json_text(problem, "outcome"), json_number(problem, "index", 0),
			json_text(problem, "experiment"), json_text(problem, "variant"),
			json_number(problem, "block", 0), json_text(problem, "reason"));
	}
}

static void put_outliers(const json_t *view, const struct page *page, bool verbose)
{
	const json_t *outliers = json_object_get(view, "outliers"), *one;
	size_t i;

	if (json_array_size(outliers))
		page_wrap(page, 0, 2, "outliers: %zu readings stand apart (flagged, never dropped)",
			json_array_size(outliers));
	json_array_foreach (outliers, i, one) {
		_cleanup_free_ char *name = series_name(one);
		char value[FIGURE_SIZE];

		if (i == MOST_LISTED / 2 && !verbose) {
			page_wrap(page, 2, 4, "and %zu more (--verbose)",
				json_array_size(outliers) - i);
			break;
		}
		figure_value(json_number(one, "value", NAN), json_text(one, "unit"), value);
		page_wrap(page, 2, 4, "trial %.0f, %s, %s: %s, %s", json_number(one, "index", 0),
			json_text(one, "variant"), name, value, json_text(one, "reason"));
	}
}

static void put_samples(const json_t *record, const struct page *page)
{
	const json_t *trial, *sample, *value;
	size_t t, s, v;

	page_blank(page);
	page_heading(page, "samples");
	json_array_foreach (json_object_get(record, "trials"), t, trial) {
		page_wrap(page, 2, 4, "trial %.0f: %s, %s, block %.0f.%.0f, %s, %.1f s",
			json_number(trial, "index", 0), json_text(trial, "experiment"),
			json_text(trial, "variant"), json_number(trial, "block", 0),
			json_number(trial, "half", 0), json_text(trial, "outcome"),
			json_number(trial, "wall_s", 0));
		json_array_foreach (json_object_get(trial, "samples"), s, sample) {
			_cleanup_free_ char *name = series_name(sample);
			_cleanup_free_ char *values = NULL;
			size_t size;
			FILE *list = open_memstream(&values, &size);

			if (!list)
				continue;
			json_array_foreach (json_object_get(sample, "values"), v, value) {
				char number[FIGURE_SIZE];

				figure_number(json_number_value(value), number);
				fprintf(list, " %s", number);
			}
			fclose(list);
			page_wrap(
				page, 4, 6, "%s (%s):%s", name, json_text(sample, "unit"), values);
		}
	}
}

static void put_legend(const struct page *page)
{
	page_blank(page);
	page_wrap(page, 0, 2,
		"verdicts: reproduced = direction and size hold; direction-only = another size; "
		"contradicted = the interval excludes it; inconclusive = more boots needed; "
		"not-comparable = another kind of host or guest; not-run = nothing graded.");
	page_wrap(page, 0, 2,
		"figures: medians over freshly booted fleets; x = ratio paired within blocks; "
		"of publ. = measured over published; a trial without evidence never counts.");
}

void text_render(const json_t *view, const json_t *record, const struct page *page, bool verbose)
{
	const json_t *paper, *other;
	size_t i;

	put_run(view, page);
	json_array_foreach (json_object_get(view, "papers"), i, paper)
		put_paper(view, page, paper);
	if (json_array_size(json_object_get(view, "not_run")))
		page_blank(page);
	json_array_foreach (json_object_get(view, "not_run"), i, other)
		page_wrap(page, 0, 3, "%s  %s: not run in this record", json_text(other, "id"),
			json_text(other, "short"));
	put_problems(view, page, verbose);
	put_outliers(view, page, verbose);
	if (verbose)
		put_samples(record, page);
	put_legend(page);
}
