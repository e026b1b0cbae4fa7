/*
 * What was measured beyond a paper's tables and claims: sweeps, and single figures. Internal to
 * report/.
 */
#pragma once

#include <jansson.h>

/*
 * Tables of the metrics of which a paper's tables and tests do not show every variant's own figure
 * (a ratio to another is not that), new reference:
 *   [{"experiment", "metric", "unit", "coordinate": "ints", "variants": [name], "rows": [{"label":
 *     "1024", "unit", "trials": [least, most], "cells": {variant: {"median", "low", "high",
 *     "trials"}}, "gain": {"ratio", "subject", "baseline"}}]}]
 * First the single figures, a table for each experiment, where a row is a metric and "metric",
 * "unit" and "coordinate" are empty; then the sweeps, a table for each metric. "low" and "high" are
 * absent while the trials are too few for an interval. "gain" is how many times better the best
 * subject is than the best baseline, of medians; only where the unit says which way is better.
 */
json_t *also_measured(const json_t *record, const json_t *paper);

/* Says the unit which way is better? -1: less (a time), 1: more (a rate), 0: no. */
int unit_better(const char *unit);
