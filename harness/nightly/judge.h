/*
 * Tonight's readings against the nights before: gives the watch (harness/watch) its history out of
 * records, has suspects confirmed by fresh trials, and writes what it says into the rows. The same
 * path for what was measured and for drills: only where the readings come from differs.
 */
#pragma once

#include "harness/base/error.h"
#include "harness/nightly/store.h"

/* What a judging needs; all borrowed. */
struct judging {
	const struct night_list *before;
	const char *drill; /* id of a drill: its own readings stand for those of its nights; NULL */
	const json_t *night; /* tonight's record: its "id", "night", "host" */
	json_t *rows;	     /* tonight's readings; each gets its "verdict" */
	json_t *memory;	     /* by judge_memory_key(); what is judged is replaced */
	/*
	 * Fresh trials of these rows (of one mechanism and experiment; references to `rows`), still
	 * tonight: *fresh is an object {NAME: reading row}, with "run" and "aa_run" in each row; a
	 * name that is missing was not measured. NULL in *fresh with a text in *why_not: there are
	 * none. An error ends the judging. NULL: nothing is confirmed.
	 */
	struct error *(*confirm)(void *context, const json_t *rows, json_t **fresh, char **why_not);
	void *context;
	const char *only_experiment; /* suspects of other experiments stay such; NULL: none */
	const char *only_mechanism;
};

struct error *judge(const struct judging *judging);

/* Under what the memory of a row's metric is kept: its name, and the baseline that it is a ratio
 * to. Caller frees. */
char *judge_memory_key(const json_t *row);

/* Readings of a row's metric before tonight, to the same baseline. */
size_t judge_nights(const struct night_list *before, const json_t *row);

/* Which way a metric goes by `effect`: "worse", "better" or "other". */
const char *judge_direction(const json_t *row, double effect);
