/* A series: one metric of one variant at one point, over the trials of a record. Internal to
 * report/. */
#pragma once

#include <jansson.h>

/* Every series of the record in order of appearance, each once: [{"mechanism", "experiment",
 * "variant", "metric", "at" (absent for none), "unit"}]; new reference. At most
 * GATHER_MOST_SERIES (record/gather.h), whose figures are those of gathered_reading(). */
json_t *series_list(const json_t *record);

/* Trials with a value that stands apart from its series (stats/summary.h), by index: [{"index",
 * "mechanism", "experiment", "variant", "readings": [{"metric", "at", "value", "unit",
 * "reason"}]}]; new reference. One slow trial shows in every metric made of its time, so that a
 * trial is the unit here too. They stay in every figure. */
json_t *series_outliers(const json_t *record);

/* "roundtrip", "latency at ints=64"; caller frees. */
char *series_name(const json_t *series);
