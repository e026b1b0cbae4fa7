/* Claims with their verdicts, for a terminal: see text.h. */
#include "harness/record/samples.h"
#include "harness/report/figures.h"
#include "harness/report/formats.h"
#include "harness/report/text.h"

#include <math.h>
#include <string.h>

struct claim_columns {
	int id, verdict, published, measured, ratio, evidence, time, disk;
	bool stacked;
};

/* Measured values stand in a line of their own where `stacked`. */
static const struct claim_columns least = {8, 7, 9, 24, 7, 8, 6, 8, false};

static int larger(int columns, const char *text)
{
	int its = text_columns(text);

	return its > columns ? its : columns;
}

static void measure_test(struct claim_columns *columns, const char *verdict, const json_t *test)
{
	char published[FIGURE_SIZE], measured[FIGURE_SIZE], ratio[FIGURE_SIZE];

	figure_published(test, published);
	figure_measured(test, measured);
	figure_ratio_to_published(test, ratio);
	columns->verdict = larger(columns->verdict, verdict);
	columns->published = larger(columns->published, published);
	columns->measured = larger(columns->measured, measured);
	columns->ratio = larger(columns->ratio, ratio);
}

/* As wide as the paper's claims need: first evidence, time and disk make room, then the measured
 * values, so that no figure is cut. */
static struct claim_columns columns_for(const struct page *page, const json_t *paper)
{
	struct claim_columns columns = least;
	const json_t *claim, *test;
	size_t i, j;

	json_array_foreach (json_object_get(paper, "claims"), i, claim) {
		measure_test(&columns, json_text(claim, "verdict"), claim_deciding_test(claim));
		json_array_foreach (json_object_get(claim, "tests"), j, test)
			measure_test(&columns, json_text(test, "verdict"), test);
	}
	int narrow = 2 + columns.id + columns.verdict + columns.published + columns.measured +
		     columns.ratio + 4;
	int wide = narrow + columns.evidence + columns.time + columns.disk + 3;

	if (page->width < WIDE || wide > page->width)
		columns.evidence = columns.time = columns.disk = 0;
	columns.stacked = narrow > page->width;
	return columns;
}

static void put_claim_head(const struct page *page, const struct claim_columns *columns)
{
	const struct cell cells[] = {
		{columns->id, "claim", "2"},
		{columns->verdict, "verdict", "2"},
		{columns->published, "published", "2"},
		{columns->stacked ? 0 : columns->measured,
			columns->stacked ? "" : "measured [95 % interval]", "2"},
		{columns->ratio, "/ paper", "2"},
		{columns->evidence, columns->evidence ? "evidence" : "", "2"},
		{columns->time, columns->time ? "time" : "", "2"},
		{columns->disk, columns->disk ? "disk" : "", "2"},
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
	if (seconds <= 0) /* no trial */
		snprintf(out, size, "-");
	else if (seconds < 10)
		snprintf(out, size, "%.1f s", seconds);
	else if (seconds < 100)
		snprintf(out, size, "%.0f s", seconds);
	else if (seconds < 5940)
		snprintf(out, size, "%.0f min", seconds / 60);
	else
		snprintf(out, size, "%.1f h", seconds / 3600);
}

/* One line: a claim's (with `claim`) or that of another test (NULL). */
static void put_test_row(const struct page *page, const struct claim_columns *columns,
	const char *id, const char *verdict, const json_t *test, const json_t *claim)
{
	char published[FIGURE_SIZE], measured[FIGURE_SIZE], ratio[FIGURE_SIZE];
	char evidence[32] = "", took[32] = "", disk[FIGURE_SIZE] = "";

	figure_published(test, published);
	figure_measured(test, measured);
	figure_ratio_to_published(test, ratio);
	if (claim && columns->evidence) {
		short_evidence(json_text(claim, "evidence"), evidence, sizeof(evidence));
		short_duration(json_number(claim, "wall_s", 0), took, sizeof(took));
		if (strcmp(took, "-") != 0)
			figure_bytes(json_number(claim, "disk_bytes", 0), disk);
	}
	const struct cell cells[] = {
		{columns->id, id, claim ? "1" : NULL},
		{columns->verdict, verdict, verdict_colour(verdict)},
		{columns->published, published, NULL},
		{columns->stacked ? 0 : columns->measured, columns->stacked ? "" : measured, NULL},
		{columns->ratio, ratio, NULL},
		{columns->evidence, evidence, NULL},
		{columns->time, took, NULL},
		{columns->disk, disk, NULL},
	};

	page_row(page, 2, cells, ARRAY_SIZE(cells));
	if (columns->stacked && strcmp(measured, "-") != 0)
		page_wrap(page, 11, 13, "measured %s", measured);
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

const char *test_reason(const json_t *paper, const json_t *test)
{
	const json_t *comparable = json_object_get(paper, "comparable");
	const char *reason = json_text(test, "reason");

	return strcmp(reason, json_text(comparable, "reason")) == 0
		       ? "another kind of host, see above"
		       : reason;
}

/* What stands below a row: what was compared, on how many pairs, why this verdict. */
static void put_why(const struct page *page, const json_t *paper, const json_t *test)
{
	const char *reason = test_reason(paper, test);
	char pairs[FIGURE_SIZE], forecast[FIGURE_SIZE];
	_cleanup_free_ char *title = test_title(test);

	figure_pairs(test, pairs);
	forecast_text(json_object_get(test, "forecast"), forecast);
	page_wrap(page, 11, 11, "%s%s%s%s%s%s%s", title, *title ? "; " : "", pairs,
		*pairs ? "; " : "", reason, *forecast ? "; " : "", forecast);
}

/* Where the row has no columns for it. */
static void put_evidence(const struct page *page, const json_t *claim)
{
	char took[FIGURE_SIZE], disk[FIGURE_SIZE];

	figure_duration(json_number(claim, "wall_s", 0), took);
	figure_bytes(json_number(claim, "disk_bytes", 0), disk);
	page_wrap(page, 11, 11, "evidence: %s; %s; %s on disk", json_text(claim, "evidence"), took,
		disk);
}

static void put_claim(const struct page *page, const struct claim_columns *columns,
	const json_t *paper, const json_t *claim, bool verbose)
{
	const json_t *tests = json_object_get(claim, "tests");
	const json_t *published = json_object_get(claim, "published");
	bool run = strcmp(json_text(claim, "verdict"), "not-run") != 0;

	put_test_row(page, columns, json_text(claim, "id"), json_text(claim, "verdict"),
		claim_deciding_test(claim), claim);
	page_wrap(page, 11, 11, "%s (%s%s%s)", json_text(claim, "text"), json_text(claim, "source"),
		json_object_get(published, "text") ? ": " : "", json_text(published, "text"));
	for (size_t place = 0; place < json_array_size(tests); place++) {
		size_t number = claim_test_at(claim, place);
		const json_t *test = json_array_get(tests, number);
		char id[32];

		if (place > 0 && !run)
			break;
		snprintf(id, sizeof(id), " + %zu", number + 1);
		if (place > 0)
			put_test_row(page, columns,
				*json_text(test, "id") ? json_text(test, "id") : id,
				json_text(test, "verdict"), test, NULL);
		put_why(page, paper, test);
		if (place == 0 && run && (!columns->evidence || verbose))
			put_evidence(page, claim);
	}
	if (verbose && json_object_get(claim, "command"))
		page_wrap(page, 11, 13, "again: %s", json_text(claim, "command"));
}

void text_claims(const struct page *page, const json_t *paper, bool verbose)
{
	const json_t *comparable = json_object_get(paper, "comparable"), *claim;
	const struct claim_columns columns = columns_for(page, paper);
	size_t i;

	page_blank(page);
	page_wrap(page, 2, 2, "claims");
	text_emulation(paper, page);
	if (json_is_false(json_object_get(comparable, "ok")))
		page_wrap(page, 2, 4,
			"graded: ratios and shapes; absolute values not, since the hosts differ "
			"(%s)",
			json_text(comparable, "reason"));
	else
		page_wrap(page, 2, 4,
			"graded: ratios, shapes and absolute values (a host of the paper's kind)");
	put_claim_head(page, &columns);
	json_array_foreach (json_object_get(paper, "claims"), i, claim)
		put_claim(page, &columns, paper, claim, verbose);
}
