/*
 * The readings of all series of a record, gathered in one pass over its samples: to select them one
 * series after the other takes as many passes as there are series. A series is {"mechanism",
 * "experiment", "variant", "metric", "at" (absent for none), "arm" (absent but of an A/A run)}; it
 * has the samples with just these coordinates. Internal to record/ and report/.
 */
#pragma once

#include "harness/record/samples.h"

/* More series than any profile has; those that come later in a record are not gathered. */
#define GATHER_MOST_SERIES 2048

/* Readings that get an interval, in all: drawing one takes 60 us. The series beyond have none. */
#define GATHER_MOST_DRAWN 50000

struct gathered;

/* The record is borrowed for as long as what was gathered. */
struct gathered *gather_readings(const json_t *record);
void gathered_destroy(struct gathered *gathered);
DEFINE_CLEANUP(gathered, struct gathered *, gathered_destroy)
#define _cleanup_gathered_ _cleanup_(cleanup_gathered)

/* One for each counted trial with a value, in the record's order; NULL when there is none. Where a
 * trial has two samples of the series, neither is a reading. Borrowed. */
const struct readings *gathered_readings(const struct gathered *gathered, const json_t *series);

/* Their median with its interval; false when there is none. */
bool gathered_reading(struct gathered *gathered, const json_t *series, struct reading *reading);

/* Values of both series in the same order, pair by pair; each array is owned by the caller. Zero
 * where there are more than get an interval. */
size_t gathered_pairs(struct gathered *gathered, const json_t *of, const json_t *to,
	double **subject, double **baseline);

/* The text that names a series: the same for 8192 and 8192.0; caller frees. */
char *series_key(const json_t *series);
