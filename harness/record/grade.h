/* Grading one test of a claim; internal to record/. claims.h says what the kinds mean. */
#pragma once

#include "harness/record/samples.h"
#include "harness/stats/interval.h"

struct grading {
	const json_t *record;
	const json_t *paper;
	const char *mechanism;
	unsigned long seed;
	bool comparable;	  /* the host is of the paper's kind */
	const char *incomparable; /* which fields differ; borrowed, NULL when comparable */
};

/* A published number or range with its tolerance. */
struct target {
	bool given; /* false: the paper states none, low and high mean nothing */
	double low, high;
	double tolerance; /* a factor, >= 1 */
};

/* Grades one test of a paper: {"kind", "verdict", "reason", …}, new reference. */
json_t *grade_test(const struct grading *grading, const json_t *test);

/* The kinds: each concludes `result`, an object that has "kind" already. */
void grade_ratio(const struct grading *grading, const json_t *test, json_t *result);
void grade_order(const struct grading *grading, const json_t *test, json_t *result);
void grade_pair_bound(const struct grading *grading, const json_t *test, json_t *result);
void grade_slope(const struct grading *grading, const json_t *test, json_t *result);
void grade_holds(const struct grading *grading, const json_t *test, json_t *result);
void grade_bound(const struct grading *grading, const json_t *test, json_t *result);
void grade_absolute(const struct grading *grading, const json_t *test, json_t *result);
void grade_outcome(const struct grading *grading, const json_t *test, json_t *result);
void grade_none(const struct grading *grading, const json_t *test, json_t *result);

/* Sets "verdict" and "reason"; the last call counts. */
void result_conclude(json_t *result, const char *verdict, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Sets a number; leaves the field out when it is not finite, since JSON has no infinity. */
void result_number(json_t *result, const char *key, double value);
/* Sets "level", and "low" and "high" unless unbounded: the interval that the verdict rests on. */
void result_interval(json_t *result, struct interval interval);
/* Sets "published" and how `measured` compares with it, when the paper states a value. */
void result_published(json_t *result, const struct target *target, double measured);
/* Concludes that it is open: with a forecast of `more` pairs of `boots` fresh boots each, or, from
 * PAIRS_UNLIKELY on, that more are unlikely to settle it. */
void result_open(
	json_t *result, double more, size_t boots, double seconds_each, const char *reason);
/* How many of `count` pairs (or trials) to look at, `most` at most: the first ones. Sets
 * "left_out" where that is not all. */
size_t result_first(json_t *result, size_t count, size_t most);
/* Sets "forecast": `more` pairs of `boots` fresh boots each, taking seconds_each together. */
void result_forecast(json_t *result, size_t more, size_t boots, double seconds_each);
/* Concludes why a selector found nothing to go by; false when it found something. */
bool result_if_empty(json_t *result, const struct readings *readings, const char *whose);

struct source test_source(const struct grading *grading, const json_t *test);
struct target test_target(const json_t *test);
size_t test_pairs_needed(const json_t *test, size_t otherwise);
/* The number of "at_most" or "at_least". */
double test_limit(const json_t *test, const char *key, double otherwise);
/* "tcp-naive (roundtrip)", for reasons; caller frees. */
char *test_name(const json_t *test, const json_t *selector);
/* Where the test was decided at other coordinates than the paper's ("paper_at"), in words; NULL
 * where it was not. Ours are put into the object `here`. Caller frees. */
char *test_elsewhere(const struct grading *grading, const json_t *test, json_t *here);
/* Mean wall time of the trials that a selector names: what one more boot will cost. */
double trials_mean_wall_s(const struct source *source, const json_t *selector);

/* Which host fields that the paper asks for differ here, as text owned by the caller; NULL when
 * the host is comparable. */
char *host_difference(const json_t *record, const json_t *paper);
