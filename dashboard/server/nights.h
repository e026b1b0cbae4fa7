/* What `fleetlab nightly` has written to RESULTS/nightly: one record for each night. */
#pragma once

#include "harness/base/error.h"

#include <stdbool.h>
#include <stdint.h>

/* Larger ones are left out: a night of all mechanisms is below a tenth of it. */
#define NIGHT_MAX_BYTES ((size_t)16 << 20)

/* Ids of the nights, the newest first; caller owns the array of strings. `root` is the results
 * directory. */
json_t *nights_list(int root);

/* Changes whenever a night comes, goes or is written anew. */
uint64_t nights_stamp(int root);

/* The record of a night, which is as results/schema/night.schema.json wants it; NULL when there is
 * none, or it is damaged: *why is then the error, owned by the caller. */
json_t *night_load(int root, const char *id, struct error **why);

/*
 * What A/A runs of the last nights read of a series, B / A: {"ratio_low", "ratio_high" (5 and 95 %
 * of them), "nights"}; NULL while fewer than NIGHTS_OF_NOISE know it. `series` has "mechanism",
 * "experiment", "variant", "metric" and, where it has one, "at". Caller owns it.
 */
#define NIGHTS_OF_NOISE 5
json_t *nights_noise(int root, const json_t *series);
