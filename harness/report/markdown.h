/* The parts of the report in Markdown; internal to report/. */
#pragma once

#include "harness/report/markdown_table.h"

/* The text, escaped. */
void markdown_put(FILE *out, const char *text);

/* Ends a table's title with what in it is emulated ("emulated" of the view or of a part of it). */
void markdown_emulation(const json_t *part, FILE *out);

/* Says what is not graded of the paper's claims on this host, and why; nothing where all is. */
void markdown_graded(const json_t *paper, FILE *out);

/* The published tables that something of ours stands beside, each with its title. */
void markdown_published(const json_t *paper, FILE *out);

/* The claims, one row each, and in one table what was measured of the published values: short
 * enough for a README. */
void markdown_brief(const json_t *paper, FILE *out);

/* What was measured beyond the paper's tables (also.h). */
void markdown_also(const json_t *paper, FILE *out);
