/*
 * Grades claims: what a paper's tests say about the samples of a record. Only trials with outcome
 * ok count, and only while all of their evidence holds; a subject's trial needs some. Nothing here
 * looks at a verdict that is already in a record.
 *
 * Verdicts:
 *   reproduced      the direction holds and the median is near the published value, if there is one
 *   direction-only  the direction holds, the effect is "stronger" or "weaker" than published
 *   contradicted    the 95 % interval excludes what the paper says; one at 99.5 % where the run
 *                   went on until it was decided (--until-decided), as the reason then says
 *   inconclusive    too few pairs, or the interval leaves it open, if only the size: the median is
 *                   too far from the published value, the interval may reach it; "forecast" says
 *                   what would do
 *   not-comparable  an absolute value on a host (or image) unlike the paper's
 *   not-run         no trial of it in this record, or nothing that could be graded
 *
 * Kinds of test (paper.schema.json), for readings of(variant, metric, at) and to(...):
 *   ratio     of / to, paired by block and half, against 1 (direction greater, less) or, for
 *             "equal", against [1 / tolerance, tolerance]; then the median against published x
 *             tolerance: with the interval clear of that too, the size is another
 *   slope     the growth from the smallest to the largest value of coordinate `over`, in each
 *             trial, or between trials where it is a parameter, one point a trial: "flat" within +-
 *             tolerance, "grows" above it, "does-not-grow" not above it, be it below
 *   holds     a 0/1 metric that must be 1 in every counted trial
 *   bound     every reading (or, with `to`, the paired ratio) at_most or at_least a limit
 *   order     the readings of `ascending` grow from each to the next
 *   absolute  the median within published x tolerance, or the interval clear of it; only where the
 *             host is the paper's kind
 *   outcome   every finished trial of the variant ended as expected (the harness tests itself)
 *   none      nothing to grade, with the reason
 *
 * A coordinate in "at" may be "largest" or "smallest": the greatest or least value of it for which
 * all selectors of the test that say so have counted readings in this record. "paper_at" names the
 * coordinates (or parameters) of the paper's own value: the result has both ("at", "paper_at"), its
 * reason tells where they differ, and an absolute value that was read elsewhere is not-comparable.
 */
#pragma once

#include "harness/base/error.h"

#include <jansson.h>
#include <stdbool.h>

/* Pairs (of absolute and slope: trials) that a test needs unless it says otherwise: below six no
 * 95 % interval exists (stats/interval.h). */
#define CLAIMS_PAIRS_NEEDED 6

/* Trials that "holds", "bound" and "outcome" need unless they say otherwise: one failure refutes
 * them, so that more trials add little. */
#define CLAIMS_TRIALS_NEEDED 2

/* True when the trial counts: outcome ok, evidence present (subjects) and holding. Otherwise
 * *reason (may be NULL) is a static text. */
bool trial_counts(const json_t *trial, const char **reason);

/* A trial's one number for a metric: the median of its sample's values. `at` (may be NULL) must be
 * a part of the sample's coordinates; false when no sample or more than one matches, or when the
 * sample has no finite value. */
bool trial_value(const json_t *trial, const char *metric, const json_t *at, double *value);

/* The unit of that sample; borrowed, NULL when there is none. */
const char *trial_unit(const json_t *trial, const char *metric, const json_t *at);

/* The values of a selector over all counted trials: median with a bootstrap 95 % interval. */
struct reading {
	double median, low, high;
	size_t trials;	  /* counted trials; low and high are infinite when they are too few */
	const char *unit; /* borrowed from the record */
};
bool record_reading(const json_t *record, const char *mechanism, const char *experiment,
	const json_t *selector, struct reading *reading);

/* of / to paired by block and half; false when there is no pair with positive values. */
bool record_ratio(const json_t *record, const char *mechanism, const char *experiment,
	const json_t *of, const json_t *to, struct reading *ratio, double *p_value);

/* Grades all claims of a paper (from paper_load()) on the record: a new JSON array of
 * {"id","paper","verdict","reason","decided_by","tests":[{"kind","verdict","word","reason",
 * "measured","low","high","level","unit","pairs","pairs_needed","left_out","p_value","published",
 * "ratio_to_published","note"}],"comparable":{"ok","reason"},"evidence","forecast":{"pairs",
 * "boots","seconds"},"wall_s","disk_bytes"}. "decided_by" is the index of the test that verdict,
 * reason and forecast are from: of several that must all hold the one that says most against the
 * claim, else the first. "left_out": pairs (trials) beyond those that are looked at. */
struct error *claims_grade(const json_t *record, const json_t *paper, json_t **claims);

/* Of a graded claim the test that decided it: whose figures belong beside verdict and reason. It
 * has none where that is that it was not run. Borrowed. */
const json_t *claim_deciding_test(const json_t *claim);

/* What stands for a claim in one line: the test that decided it or, where that is one that was not
 * run, the first that was measured, which has to be named beside the reason. Borrowed. */
const json_t *claim_headline_test(const json_t *claim);

/* The index of the test that is shown at that place: the one that decided, then the others. */
size_t claim_test_at(const json_t *claim, size_t place);

/* How much a verdict says, for sorting and colour: 0 contradicted … 5 not-run. */
int verdict_rank(const char *verdict);
