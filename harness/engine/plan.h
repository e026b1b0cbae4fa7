/*
 * What a run will do, decided before it begins and from a seed: every trial with its variant and
 * parameters, in the order in which they run.
 *
 * Order: each experiment's block runs its variants in random order and then in the reverse one
 * (ABBA, for any number of variants), so that a drift of the host hits all alike; blocks of all
 * experiments take turns, so that a run cut short has some of everything. Blocks that are added
 * later have random orders of their own.
 */
#pragma once

#include "mechanisms/mechanism.h"

struct plan_options {
	const struct mechanism *const *mechanisms;
	size_t mechanism_count;
	enum profile profile;
	uint64_t seed;
	const json_t *overrides;	  /* {"name" or "mechanism.name": "value"}; may be NULL */
	const char *only_claim;		  /* only what this claim needs ("C1"); may be NULL */
	const char *only_variant;	  /* further narrowed to one variant; may be NULL */
	const char *only_experiment;	  /* … or one experiment; may be NULL */
	const char *const *only_variants; /* … or these variants, NULL-terminated; may be NULL */
	int least_blocks; /* of each experiment that the profile has; 0: as the profile says */
	struct handicap {
		const char *variant; /* NULL: none */
		double slowdown;     /* times as long as without */
	} handicap; /* a drill: this variant is slowed down on purpose (handicap.h); such a plan's
		     * run grades nothing */
	const char *peer;   /* URI of a machine that stands for the second one of variants that
			     * have two; NULL: it is emulated */
	double budget_s;    /* 0: none */
	bool aa;	    /* each experiment's first baseline (or only_variant) against itself */
	bool until_decided; /* spare time of the budget goes to undecided claims only */
};

/* Makes {"seed", "profile", "mechanisms", "budget_s", "until_decided", "aa", "drill", "peer",
 * "expected_s", "expected_disk_bytes", "trials"} as in results/schema/run.schema.json. Unknown
 * names and values out of range are ERROR_USAGE. */
struct error *plan_create(const struct plan_options *options, json_t **plan);

/* The smallest profile from quick on that has as much of what a claim of the mechanism's paper
 * needs as any (smoke where no other has it): false when none has. */
bool plan_profile_of_claim(
	const struct mechanism *mechanism, const json_t *claim, enum profile *profile);

/* Why nothing could be run for a claim: the paper states no result; NULL when something can.
 * Borrowed from the claim. */
const char *plan_claim_without_result(const json_t *claim);

/* One more block of an experiment, with the variants that it had: trials to be appended to the
 * plan, which is left as it is. Its order follows from the plan's seed, the experiment and the
 * block's number. A new reference; empty for an experiment that the plan does not have, and when a
 * record could not hold so many trials. */
json_t *plan_another_block(const json_t *plan, const char *mechanism, const char *experiment);

/* Appends such trials, and adds what they are expected to take. Both may be what a damaged journal
 * says: then less is appended, or nothing. */
void plan_append(json_t *plan, const json_t *trials);

/* Expected seconds of a planned trial, before anything was learned. */
double plan_trial_seconds(const json_t *planned);
