/* Numbers as people read them, and what a claim's row consists of. Internal to report/. */
#pragma once

#include "harness/record/claims.h"

#include <stddef.h>

#define FIGURE_SIZE 96

/* "14978", "129.1", "0.25", "3e-05": four significant digits, integers whole. */
void figure_number(double value, char *out);
/* The number with its unit; a unit of "" is left out, "%" multiplies nothing. */
void figure_value(double value, const char *unit, char *out);
/* The number alone, for a table whose heading has the unit; "yes" or "no" of a "bool". */
void figure_of_unit(double value, const char *unit, char *out);
/* "148 x", "2.07 x": a ratio with three digits. */
void figure_times(double ratio, char *out);
/* "8", or "2-8" where the cells of a row differ, of [least, most]. */
void figure_count(const json_t *trials, char *out);
/* "84.1 us [81, 90.2]"; without the interval while it is unbounded. */
void figure_interval(double median, double low, double high, const char *unit, char *out);
/* "48.2 MB". */
void figure_bytes(double bytes, char *out);
/* "2 min 24 s". */
void figure_duration(double seconds, char *out);

/* What a test measured ("150 x [148, 153]"), what is published for it ("129.1 x", a limit "≤ 0.003
 * %"), and the ratio of
 * the two ("1.16"); "-" where there is none. `out` holds FIGURE_SIZE bytes. */
void figure_measured(const json_t *test, char *out);
void figure_published(const json_t *test, char *out);
void figure_ratio_to_published(const json_t *test, char *out);
/* "8 pairs, p = 0.0078" or "6 trials". */
void figure_pairs(const json_t *test, char *out);

/* The published value or range of a table's cell, with its unit. */
void figure_cell(const json_t *cell, char *out);

/* "AMD EPYC, 2 cores" of a view's host. */
void figure_cpu(const json_t *host, char *out);

/* SGR colour of a verdict. */
const char *verdict_colour(const char *verdict);

/* The label of a row of also_measured()'s tables, with its unit where the table's title does not
 * say it; caller frees. */
char *figure_label(const json_t *table, const json_t *row);
