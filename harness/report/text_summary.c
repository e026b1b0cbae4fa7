/* All claims of a run at a glance, for a terminal: see text.h. */
#include "harness/base/fs.h"
#include "harness/record/claims.h"
#include "harness/record/samples.h"
#include "harness/report/figures.h"
#include "harness/report/text.h"

#include <string.h>

/* Where measured values begin: behind id, verdict and what is published. */
#define MEASURED_AT 36

static size_t count_verdict(const json_t *view, const char *verdict)
{
	const json_t *paper, *claim;
	size_t count = 0, p, c;

	json_array_foreach (json_object_get(view, "papers"), p, paper) {
		json_array_foreach (json_object_get(paper, "claims"), c, claim)
			count += !verdict || strcmp(json_text(claim, "verdict"), verdict) == 0;
	}
	return count;
}

/* "17 claims: 3 reproduced, 1 direction-only, …". */
static void put_tally(const json_t *view, const struct page *page)
{
	static const char *const verdicts[] = {"reproduced", "direction-only", "contradicted",
		"inconclusive", "not-comparable", "not-run"};
	_cleanup_free_ char *list = format_string("%zu claims", count_verdict(view, NULL));
	const char *before = ": ";

	for (size_t i = 0; i < ARRAY_SIZE(verdicts); i++) {
		size_t count = count_verdict(view, verdicts[i]);
		char *longer;

		if (!count)
			continue;
		longer = format_string("%s%s%zu %s", list, before, count, verdicts[i]);
		free(list);
		list = longer;
		before = ", ";
	}
	page_heading(page, list);
}

/* What the paper says, where there is no test that a published value would stand beside. */
static void put_published(const json_t *claim, char *out)
{
	const json_t *published = json_object_get(claim, "published");

	if (json_object_get(published, "value") || json_object_get(published, "low"))
		figure_cell(published, out);
	else
		snprintf(out, FIGURE_SIZE, "-");
}

/* Columns that measured values need; 0 where they have a line of their own, since the page has no
 * room for the longest beside the others. */
static int measured_columns(const struct page *page, const json_t *papers)
{
	int columns = 24; /* the heading */
	const json_t *paper, *claim;
	size_t p, c;

	json_array_foreach (papers, p, paper) {
		json_array_foreach (json_object_get(paper, "claims"), c, claim) {
			char measured[FIGURE_SIZE];

			figure_measured(claim_deciding_test(claim), measured);
			if (text_columns(measured) > columns)
				columns = text_columns(measured);
		}
	}
	return MEASURED_AT + columns <= page->width ? columns : 0;
}

static void put_line(const struct page *page, const json_t *claim, int columns)
{
	const json_t *test = claim_headline_test(claim);
	const char *verdict = json_text(claim, "verdict");
	char published[FIGURE_SIZE], measured[FIGURE_SIZE];
	const struct cell cells[] = {
		{5, json_text(claim, "id"), "1"},
		{14, verdict, verdict_colour(verdict)},
		{12, published, NULL},
		{columns, columns ? measured : "", NULL},
		{0, json_text(claim, "source"), "2"},
	};

	if (strcmp(verdict, "not-run") == 0)
		put_published(claim, published);
	else
		figure_published(test, published);
	figure_measured(test, measured);
	page_row(page, 2, cells, ARRAY_SIZE(cells));
	if (!columns && strcmp(measured, "-") != 0)
		page_wrap(page, 8, 10, "measured %s", measured);
}

void text_summary(const json_t *view, const struct page *page)
{
	const json_t *papers = json_object_get(view, "papers"), *paper, *claim;
	int columns = measured_columns(page, papers);
	const struct cell head[] = {
		{5, "claim", "2"},
		{14, "verdict", "2"},
		{12, "published", "2"},
		{columns, columns ? "measured [95 % interval]" : "", "2"},
		{0, "where published", "2"},
	};
	size_t p, c;

	if (json_array_size(papers) < 2)
		return;
	page_blank(page);
	put_tally(view, page);
	text_emulation(view, page);
	page_row(page, 2, head, ARRAY_SIZE(head));
	json_array_foreach (papers, p, paper) {
		json_array_foreach (json_object_get(paper, "claims"), c, claim)
			put_line(page, claim, columns);
	}
}
