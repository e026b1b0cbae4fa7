/* The formats, each made from a view (view.h). Internal to report/. */
#pragma once

#include "harness/report/line.h"
#include "harness/report/view.h"

void text_render(const json_t *view, const json_t *record, const struct page *page,
	const struct report_options *options);
void markdown_render(
	const json_t *view, const json_t *record, const struct report_options *options, FILE *out);
void csv_render(const json_t *view, FILE *out);
void junit_render(const json_t *view, FILE *out);

/* Two runs side by side (compare.c makes the JSON); `page` NULL: as Markdown to `out`. */
void comparison_render(const json_t *comparison, const struct page *page, FILE *out);

/* "(ratio) tcp-naive over shm-polling", "best network baseline here: udp": what a test compares,
 * from the graded test and the paper's; caller frees. */
char *test_title(const json_t *test);

/* Why a test has its verdict; where it is the paper's host, said once for all, a pointer to that.
 * Borrowed. */
const char *test_reason(const json_t *paper, const json_t *test);

/* "more boots: 6 pairs, 12 boots, 3 min 20 s" or ""; `out` holds FIGURE_SIZE bytes. */
void forecast_text(const json_t *forecast, char *out);
