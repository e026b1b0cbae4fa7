/*
 * The contract of a mechanism: one paper's system and its baselines. A mechanism is one constant
 * descriptor at the end of mechanisms/NAME/NAME.c, listed once in mechanisms.def; the command line,
 * the help, the records and the dashboard all render from it.
 *
 * The engine owns the loop, the order, the clocks, the barriers and the output. For each trial it
 * opens a lab and calls, in a process of the lab's own: fleet → prepare → (fleet boots) → setup →
 * measure → evidence → teardown Hooks append raw readings; they never print, average, grade or
 * exit. Every hook but `fleet` and `measure` may be NULL. After an error of any hook the trial has
 * failed, teardown is still called, and the lab ends with all that is in it.
 */
#pragma once

#include "harness/fleet/fleet.h"

#include <stdbool.h>

enum profile { PROFILE_SMOKE, PROFILE_QUICK, PROFILE_PAPER, PROFILE_NIGHTLY, PROFILE_COUNT };

enum param_type { PARAM_INTEGER, PARAM_REAL, PARAM_BOOLEAN, PARAM_CHOICE };

struct param {
	const char *name;
	enum param_type type;
	const char *unit;    /* "us", "ints", … or "" */
	const char *initial; /* default, as text */
	double min, max;     /* of numbers, inclusive */
	const char *choices; /* of PARAM_CHOICE: "cold template" */
	const char *help;
};

enum better { BETTER_LESS, BETTER_MORE, BETTER_NEITHER };

struct metric {
	const char *name;
	const char *unit;
	enum better better;
	const char *help;
};

/* A parameter set to a value, as text. Arrays of presets end with a NULL name. */
struct preset {
	const char *param, *value;
};

enum role { ROLE_SUBJECT, ROLE_BASELINE };

struct variant {
	const char *name;
	enum role role;
	const char *help;
	const struct preset *presets; /* may be NULL */
};

/* How much of an experiment a profile runs. */
struct experiment_size {
	int blocks; /* ABBA blocks: each variant runs twice a block; 0: not in this profile */
	const struct preset *presets; /* may be NULL */
	const char *const *variants;  /* a part of the experiment's; NULL: all of them */
};

struct experiment {
	const char *name;
	const char *title;	      /* what the paper calls its table or figure */
	const char *const *variants;  /* names, NULL-terminated; the first is the subject */
	const struct preset *presets; /* may be NULL */
	struct experiment_size sizes[PROFILE_COUNT];
	double trial_s;	   /* expected, for the plan; learned from the journal as it goes */
	double deadline_s; /* a trial that takes longer has hung */
	/* Why it needs the emulated second machine: its trials with a real one are skipped. NULL:
	 * it does not. */
	const char *not_with_peer;
};

struct trial;

struct mechanism {
	const char *name;
	const char *paper; /* "C"; results/papers/C.json holds its claims */
	const char *summary;
	/* Each array ends with an entry whose name is NULL. */
	const struct param *params;
	const struct metric *metrics;
	const struct variant *variants;
	const struct experiment *experiments;
	/* The parameter that a drill multiplies by its slowdown, for a mechanism whose guests do
	 * not do what is measured; NULL: the engine brakes the guests (engine/handicap.h). */
	const char *handicap;

	/* Names of the variants whose second machine is emulated, or real where a run has a peer;
	 * NULL-terminated; may be NULL. */
	const char *const *two_machines;

	/* Why this mechanism cannot run on this host, or NULL. `host` is the fingerprint
	 * (host/facts.h); the answer is static or owned by the mechanism. */
	const char *(*probe)(json_t *host);
	/* Why this one of its variants cannot, or NULL: its trials are skipped with that reason, a
	 * static text. May be NULL. */
	const char *(*probe_variant)(const struct variant *variant);
	/* The fleet that this trial's parameters ask for. Pure: called before the lab exists. What
	 * the spec points at must live as long as the trial (static, or in trial_keep()). */
	struct error *(*fleet)(struct trial *trial, struct fleet_spec *spec);
	/* What this trial's lab will need beside images and may have to be downloaded: a static
	 * name, the same for the same thing; NULL: nothing. May be NULL. */
	const char *(*needs)(const struct trial *trial);
	/* Downloads it into the cache: before any trial of a run, with the host's network, which
	 * labs have not. Once for each need; in a process of its own, that ^C ends. */
	struct error *(*provide)(const char *need);
	/* In the lab, before guests start: services that they connect to. Also called when a
	 * template of this fleet is made. */
	struct error *(*prepare)(struct trial *trial);
	struct error *(*setup)(struct trial *trial);
	struct error *(*measure)(struct trial *trial);
	struct error *(*evidence)(struct trial *trial);
	void (*teardown)(struct trial *trial);
};

/* All mechanisms, in the order of mechanisms.def; NULL past the last one. */
const struct mechanism *mechanism_at(size_t index);
const struct mechanism *mechanism_find(const char *name);

const struct variant *mechanism_variant(const struct mechanism *mechanism, const char *name);
const struct metric *mechanism_metric(const struct mechanism *mechanism, const char *name);
const struct param *mechanism_param(const struct mechanism *mechanism, const char *name);
const struct experiment *mechanism_experiment(const struct mechanism *mechanism, const char *name);

const char *profile_name(enum profile profile);
const char *role_name(enum role role);
bool profile_parse(const char *name, enum profile *profile);

/* Checks a value against a parameter's type and range. */
struct error *param_check(
	const struct mechanism *mechanism, const struct param *param, const char *value);

/* ---- what a hook may do with its trial ---- */

const char *trial_variant(const struct trial *trial);
const char *trial_experiment(const struct trial *trial);
/* True in the second half of each block. A sweep within one trial is walked from its other end
 * then: else what comes with time (caches warm up, a host gets busy) would be taken for what comes
 * with size. Each variant has as many trials of either way, and pairs share one. */
bool trial_is_reversed(const struct trial *trial);

/* Parameter values of this trial; asking for one that is not declared is a bug and aborts. */
int64_t trial_integer(const struct trial *trial, const char *param);
double trial_real(const struct trial *trial, const char *param);
bool trial_boolean(const struct trial *trial, const char *param);
const char *trial_choice(const struct trial *trial, const char *param);

/* Stores what a parameter really became (read back from a guest, QEMU or the host): a number, a
 * text or a truth value, or null where it has become nothing. The value is taken over; one that
 * could not be made (NULL) is an error, as in trial_sample(). */
struct error *trial_effective(struct trial *trial, const char *param, json_t *value);

/* The fleet, once it is up; NULL before, and for a trial without guests. */
struct fleet *trial_fleet(struct trial *trial);
/* The machine that stands for the second one of this trial (harness/fleet/peer.h): there from
 * `prepare` on, borrowed; NULL where it is emulated. Whether there will be one is known before. */
struct peer *trial_peer(const struct trial *trial);
bool trial_has_peer(const struct trial *trial);
/* Nothing of the trial may wait longer than this. */
struct deadline trial_deadline(const struct trial *trial);

/* Appends one raw reading of a declared metric, in its unit. `at` (may be NULL, taken over) is an
 * object that says where on a sweep it was read: {"ints": 64}. */
struct error *trial_sample(struct trial *trial, const char *metric, json_t *at, double value);

/* Appends proof from outside the mechanism that it acted, or (ok false) that it did not: then the
 * trial is invalid. `text` says in words what was looked at. A subject's trial without evidence is
 * invalid. */
struct error *trial_evidence(struct trial *trial, const char *name, bool ok, double value,
	const char *unit, const char *format, ...) __attribute__((format(printf, 6, 7)));

/* The mechanism's own state of this trial, kept from hook to hook. */
void trial_set_state(struct trial *trial, void *state);
void *trial_state(const struct trial *trial);
/* Hands an allocation to the trial, which frees it at its end; returns it. */
void *trial_keep(struct trial *trial, void *allocation);
/* The same for what is more than memory. */
void *trial_keep_object(struct trial *trial, void *object, void (*destroy)(void *object));
