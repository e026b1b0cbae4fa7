/* The parts of the report for a terminal; internal to report/. No line is wider than the page. */
#pragma once

#include "harness/report/line.h"

#include <jansson.h>

/* From this width on, evidence, time and disk are columns; below, a line of their own. */
#define WIDE 100

/* What in this run is emulated: every table says it. */
void text_emulation(const json_t *view, const struct page *page);

/* The published tables that something of ours stands beside. */
void text_tables(const json_t *view, const struct page *page, const json_t *paper);

/* What was measured beyond these tables (also.h). */
void text_also(const json_t *view, const struct page *page, const json_t *paper);

void text_claims(const json_t *view, const struct page *page, const json_t *paper, bool verbose);
