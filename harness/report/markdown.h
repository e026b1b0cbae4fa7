/* The parts of the report in Markdown; internal to report/. */
#pragma once

#include "harness/report/markdown_table.h"

/* The text, escaped. */
void markdown_put(FILE *out, const char *text);

/* Ends a table's title with what in it is emulated. */
void markdown_emulation(const json_t *view, FILE *out);

/* What was measured beyond the paper's tables (also.h). */
void markdown_also(const json_t *view, const json_t *paper, FILE *out);
