/*
 * From a night's record to what the watch judges: one figure for each thing measured, under a name
 * that is the same every night.
 */
#pragma once

#include <jansson.h>

/*
 * Every metric of every variant in `record`, new reference:
 *   [{"name": "shmipc roundtrip shm-polling roundtrip at {\"ints\":1024}", "mechanism",
 * "experiment", "variant", "metric", "at" (where it has one), "baseline" (a name; null: none),
 * "value", "low", "high" (both absent while there are too few trials), "pairs", "aa" (absent:
 * none)}] The value is the paired ratio to the experiment's baseline, from which what the host does
 * that night cancels out: the first by name, of those that measure the same. What has no baseline,
 * and the baseline itself, is left as it is (the median, in its unit), and so depends on the host's
 * night more. Readings that are not positive have no row. "aa" is B / A of the same metric in
 * `aa_record`, the night's A/A run, which may be NULL.
 */
json_t *watch_readings(const json_t *record, const json_t *aa_record);
