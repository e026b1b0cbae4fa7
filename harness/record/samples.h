/*
 * Selecting readings out of a record: what claims.h grades is made of. Internal to record/ and
 * report/.
 */
#pragma once

#include "harness/record/claims.h"

#include <stddef.h>

/* Where readings come from; all borrowed. */
struct source {
	const json_t *record;
	const char *mechanism;
	const char *experiment;
	unsigned long seed; /* of the bootstrap: the plan's, so that a grade can be repeated */
};

struct trial_reading {
	const json_t *trial;
	double value;
	json_int_t pair; /* the same for the same half of the same block */
};

struct readings {
	struct trial_reading *items;
	size_t count;
	size_t seen;	     /* trials selected, whether they count or not */
	size_t ambiguous;    /* left out because a pair had two of them */
	const char *why_not; /* why the first of those that do not count does not; static */
	const char *unit;    /* borrowed */
};

void readings_deinit(struct readings *readings);
#define _cleanup_readings_ _cleanup_(readings_deinit)

/* One value for each counted trial that the selector names. `paired`: sorted by pair, each at most
 * once. */
void readings_collect(const struct source *source, const json_t *selector, bool paired,
	struct readings *readings);

/* Sorts by pair; of those whose pair stands twice neither stays. */
void readings_pair(struct readings *readings);

/* Of one or more readings: the median, without an interval; and then with one at `level`. */
void readings_median(const struct readings *readings, struct reading *reading);
void readings_interval(
	const struct readings *readings, double level, unsigned long seed, struct reading *reading);

/* Values of both, each sorted by pair, in the same order; each array is owned by the caller. */
size_t readings_match(
	const struct readings *a, const struct readings *b, double **of_a, double **of_b);

/* The same number for the same half of the same block. */
json_int_t trial_pair(const json_t *trial);

/* Canonical JSON of coordinates, of which 8192 and 8192.0 are one; "" for none; caller frees. */
char *coordinates_text(const json_t *at);

/* True when the trial is one of those that the selector names, whether it counts or not. */
bool trial_selected(const json_t *trial, const struct source *source, const json_t *selector);

/* The selector with "best_of" replaced by the best variant; new reference. */
json_t *selector_settle(const struct source *source, const json_t *selector);

/* Median of one variant's counted trials with its interval at `level`; false when there is none. */
bool source_reading(
	const struct source *source, const json_t *selector, double level, struct reading *reading);

/* Values of both selectors in the same order, pair by pair; each array is owned by the caller. */
size_t source_pairs(const struct source *source, const json_t *of, const json_t *to,
	double **subject, double **baseline);

/* The median of a sample's finite values; false when there is none. */
bool sample_value(const json_t *sample, double *value);

/* True when `object` has every member of `part` with the same value. */
bool json_has_part(const json_t *object, const json_t *part);

unsigned long record_seed(const json_t *record);

/* The level of the intervals that a record's claims are graded by: a higher one where the run went
 * on until they decided. */
double record_level(const json_t *record);

/* A member's text, "" when it is none; borrowed. */
const char *json_text(const json_t *object, const char *key);
/* A member's number, or `otherwise` when it is none. */
double json_number(const json_t *object, const char *key, double otherwise);
