/*
 * What an A/A run says (run --aa): one variant against itself, as two arms "A" and "B" that differ
 * in nothing. What still differs is what this host does to any comparison: its noise floor, and
 * whether intervals here can be believed.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* True for the record or plan of an A/A run. */
bool aa_is(const json_t *record);

/*
 * B / A of every metric, paired by block and half, new reference:
 *   [{"mechanism", "experiment", "variant", "metric", "at" (where it has one), "pairs", "median",
 *     "low", "high" (both absent while there are too few pairs), "p_value", "differs"}]
 * "differs": the ratio is not 1, with a false discovery rate of 5 % over all rows: of rows that are
 * all equal, one in twenty runs has any. Metrics without positive readings have no row. Empty for
 * any other run.
 */
json_t *aa_compare(const json_t *record);
