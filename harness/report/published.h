/* A paper's published tables, as a view has them (view.h). Internal to report/. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* True when something of ours stands beside the table's values, measured or not; with `key`, when
 * some of it has this member ("median": it was measured). */
bool published_has(const json_t *table, const char *key);

/* The same of one of its cells. */
bool published_cell_has(const json_t *cell, const char *key);

/* "Figure 6 (throughput of …), …": tables with places for readings of ours, none of which were
 * measured; "" when there are none; caller frees. */
char *published_unmeasured(const json_t *paper);
