/*
 * Synthetic nights with known changes, for tests: SYNTHETIC, no host has ever read these.
 *
 * A night's reading is the median of PAIRS ratios with noise of their own, on a level that the
 * night itself moves (normally, heavy-tailed, or to a second mode every third night). Some nights
 * are missing, some disturbed. Fresh trials of a night share its level, not its pairs; they share
 * its disturbance one time in six. The A/A arm has the pairs' noise, more of it in disturbed
 * nights.
 */
#pragma once

#include "harness/watch/watch.h"
#include "harness/stats/pairs.h"
#include "harness/stats/summary.h"

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <math.h>

enum { NIGHTS = 100, PAIRS = 6 };

enum noise { NORMAL, HEAVY, TWO_MODES, NOISES };
enum change { NO_CHANGE, STEP_5, STEP_10, STEP_20, STEP_LESS_10, DRIFT, CHANGES };

static const char *const noise_names[] = {"normal", "heavy tails", "two modes"};
static const char *const change_names[] = {
	"none", "step +5 %", "step +10 %", "step +20 %", "step -10 %", "drift +0.5 %/night"};

struct series {
	enum change change;
	size_t begin; /* first changed night; NIGHTS for none */
	struct watch_reading readings[NIGHTS];
	struct watch_fresh fresh[NIGHTS]; /* what fresh trials would read in each night */
};

#define PAIR_NOISE 0.03
#define MISSING 0.05
#ifndef DISTURBED
#define DISTURBED 0.03
#endif
#define DISTURBED_ALL_NIGHT (1.0 / 6)
#define DRIFT_A_NIGHT 0.005
#define DRIFT_NIGHTS 40

static inline double night_level(gsl_rng *rng, enum noise noise)
{
	switch (noise) {
	case HEAVY:
		return 0.01 * gsl_ran_tdist(rng, 3);
	case TWO_MODES:
		return gsl_ran_gaussian(rng, 0.008) + (gsl_rng_uniform(rng) < 1.0 / 3 ? 0.06 : 0);
	default:
		return gsl_ran_gaussian(rng, 0.015);
	}
}

/* How much a change has moved the logarithm, `since` nights after it began. */
static inline double changed_by(enum change change, size_t since)
{
	static const double steps[CHANGES] = {
		[STEP_5] = 0.05, [STEP_10] = 0.10, [STEP_20] = 0.20, [STEP_LESS_10] = -0.10};

	if (change == DRIFT)
		return DRIFT_A_NIGHT *
		       (double)(since < DRIFT_NIGHTS ? since + 1 : (size_t)DRIFT_NIGHTS);
	return log1p(steps[change]);
}

static inline struct ratio_estimate measure_pairs(gsl_rng *rng, double level)
{
	struct ratio_estimate estimate = {0};
	double subject[PAIRS], baseline[PAIRS];

	for (size_t i = 0; i < PAIRS; i++) {
		subject[i] = exp(level + gsl_ran_gaussian(rng, PAIR_NOISE));
		baseline[i] = 1;
	}
	pairs_ratio(subject, baseline, PAIRS, &estimate);
	return estimate;
}

static inline double arms(gsl_rng *rng, bool disturbed)
{
	return exp(gsl_ran_gaussian(rng, disturbed ? 0.06 : PAIR_NOISE / sqrt(PAIRS)));
}

static inline void make_series(
	gsl_rng *rng, enum noise noise, enum change change, struct series *series)
{
	series->change = change;
	series->begin = change == NO_CHANGE ? NIGHTS : 30 + gsl_rng_uniform_int(rng, 25);
	for (size_t i = 0; i < NIGHTS; i++) {
		double level = night_level(rng, noise), wild = 0;
		bool stays = gsl_rng_uniform(rng) < DISTURBED_ALL_NIGHT;
		struct ratio_estimate fresh;

		if (i >= series->begin)
			level += changed_by(change, i - series->begin);
		if (gsl_rng_uniform(rng) < DISTURBED)
			wild = gsl_ran_flat(rng, 0.1, 0.5) * (gsl_rng_uniform(rng) < 0.7 ? 1 : -1);
		series->readings[i] = (struct watch_reading){
			.night = (int64_t)i,
			.value = measure_pairs(rng, level + wild).median,
			.aa = arms(rng, wild != 0),
		};
		fresh = measure_pairs(rng, level + (stays ? wild : 0));
		series->fresh[i] = (struct watch_fresh){
			fresh.median, fresh.interval, arms(rng, stays && wild != 0)};
		if (gsl_rng_uniform(rng) < MISSING)
			series->readings[i].value = NAN;
	}
}
