/*
 * A Markdown table that is aligned in its source too. A table is a JSON array of rows, a row an
 * array of cells, the first row the heading; cells are Markdown already. Internal to report/.
 */
#pragma once

#include <jansson.h>
#include <stdio.h>

/* What is right of this column is left out. */
#define MARKDOWN_MOST_COLUMNS 64

/* Text that stays text: nothing of it is taken for a table, a tag or emphasis; caller frees. */
char *markdown_text(const char *text);

/* As markdown_text() for "2428 us [2124, 2860]": brackets stay, since no link can follow. */
char *markdown_figure(const char *text);

/* Appends a row of `count` cells. */
void markdown_row(json_t *table, size_t count, const char *const *cells);

/* Prints the table; `right` has an 'r' for each column that is aligned to the right: "lrl". */
void markdown_table(const json_t *table, const char *right, FILE *out);
