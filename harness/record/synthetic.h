/*
 * Synthetic records: as a run could have written them, with effects of known size, for tests and
 * benchmarks of what reads records. Each says "synthetic": true, and they live in stores of their
 * own, marked by a file: nothing synthetic is ever indexed, imported or shown among what was
 * measured, and no run writes its record among them.
 */
#pragma once

#include "harness/base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* The file that marks a store of synthetic records. */
#define SYNTHETIC_MARK "SYNTHETIC"

bool store_is_synthetic(const char *results_dir);

/* NULL when the record may be in the store; else a static text that says why not. */
const char *store_refuses(bool store_synthetic, const json_t *record);

struct synthetic_options {
	unsigned long seed;
	size_t count; /* nights, one record each; the last is the latest */
	/* A record whose plan, host and readings are taken as the middle of what is made
	 * (borrowed); NULL: paper C in the small. */
	const json_t *like;
};

/*
 * The record of night `index` (0 … count-1), new reference, graded and with its digest:
 *   every reading has 3 % of noise, and 1 % that a whole night shares;
 *   from 60 % of the nights on the kernel is a newer one, and nothing is slower for it;
 *   from 80 % on another commit is measured, and subjects take 15 % longer ("lower is better"
 *   units of time only).
 */
struct error *synthetic_night(
	const struct synthetic_options *options, size_t index, json_t **record);

/* Writes all nights to DIR/runs and marks DIR. Refuses a DIR that has records and no mark. */
struct error *synthetic_store(const struct synthetic_options *options, const char *results_dir,
	void (*progress)(size_t done, size_t total));
