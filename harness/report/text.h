/* The parts of the report for a terminal; internal to report/. No line is wider than the page. */
#pragma once

#include "harness/report/line.h"

#include <jansson.h>

/* From this width on, evidence, time and disk are columns where there is room for them beside the
 * figures; below, a line of their own. */
#define WIDE 100

/* What is emulated in a table ("emulated" of the view or of one of its parts): every table says it,
 * in one paragraph below its title. */
void text_emulation(const json_t *table, const struct page *page);

/* The published tables that something of ours stands beside; when `brief`, those of which nothing
 * was measured are only named. */
void text_tables(const struct page *page, const json_t *paper, bool brief);

/* What was measured beyond these tables (also.h). */
void text_also(const struct page *page, const json_t *paper);

void text_claims(const struct page *page, const json_t *paper, bool verbose);

/* All claims in one line each, where there are several papers: the end of a report of many pages.
 */
void text_summary(const json_t *view, const struct page *page);
