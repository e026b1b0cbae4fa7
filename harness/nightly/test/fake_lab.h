/*
 * Runs for nights without a lab: SYNTHETIC, nothing is measured. The engine's own plans of
 * mechanism null, with readings drawn around what the variant's parameters say, slowed down where
 * the test says so; the records are written and read as all records are.
 */
#pragma once

#include "harness/base/test/support.h"
#include "harness/nightly/night.h"
#include "harness/record/record.h"
#include "mechanisms/mechanism.h"

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <math.h>

struct fake_lab {
	gsl_rng *rng;
	double night_scatter;	    /* of a variant's level from night to night */
	double trial_scatter;	    /* of each trial */
	double slow_delay;	    /* what "delay" takes is multiplied by it, … */
	double slow_control;	    /* … and what "none-again" takes */
	const char *kernel;	    /* of the host */
	const char *outcome;	    /* of the first trial of each run; NULL: ok */
	const char *slowed_outcome; /* of what a drill slows down; NULL: ok */
	double drill_effect;	    /* of a drill, where it is not what was asked for; 0: it is */
	const char *aa_state;	    /* of an A/A run's record; NULL: complete */
	struct error *(*refuse)(
		const struct run_options *options); /* before anything; may be NULL */
	size_t runs, resumed, drill_runs;
	double longest_s;      /* limit of any run */
	double level_of_delay; /* tonight's */
};

static inline json_t *fake_host(const struct fake_lab *lab)
{
	return json_pack("{s:{s:s, s:s}, s:{s:s}, s:{s:s}}", "accelerator", "name", "tcg", "reason",
		"SYNTHETIC", "kernel", "release", lab->kernel, "cpu", "model", "SYNTHETIC");
}

static inline double fake_reading(
	struct fake_lab *lab, const json_t *planned, const struct handicap *handicap)
{
	const json_t *parameters = json_object_get(planned, "parameters");
	const char *variant = json_string_value(json_object_get(planned, "variant"));
	double effect = strtod(json_string_value(json_object_get(parameters, "effect")), NULL);
	double level = 2000 * effect;

	if (strcmp(variant, "delay") == 0)
		level *= lab->slow_delay * lab->level_of_delay;
	if (strcmp(variant, "none-again") == 0)
		level *= lab->slow_control;
	if (lab->drill_effect > 0 && handicap->variant && strcmp(handicap->variant, variant) == 0)
		level *= lab->drill_effect / handicap->slowdown;
	return level * exp(gsl_ran_gaussian(lab->rng, lab->trial_scatter));
}

static inline json_t *fake_trial(
	struct fake_lab *lab, const json_t *planned, bool first, const struct handicap *handicap)
{
	const char *variant = json_string_value(json_object_get(planned, "variant"));
	bool subject = mechanism_variant(mechanism_find("null"), variant)->role == ROLE_SUBJECT;
	json_t *made = json_copy((json_t *)planned);

	json_object_set_new(made, "role", json_string(subject ? "subject" : "baseline"));
	const char *outcome = handicap->variant && strcmp(handicap->variant, variant) == 0
				      ? lab->slowed_outcome
			      : first ? lab->outcome
				      : NULL;

	json_object_set_new(made, "outcome", json_string(outcome ? outcome : "ok"));
	json_object_set_new(made, "reason", json_string(outcome ? "SYNTHETIC reason" : ""));
	json_object_set_new(made, "samples",
		json_pack("[{s:s, s:s, s:[f]}]", "metric", "time", "unit", "us", "values",
			fake_reading(lab, planned, handicap)));
	json_object_set_new(made, "evidence", json_pack("[{s:s, s:b}]", "name", "clock", "ok", 1));
	json_object_set_new(made, "wall_s", json_real(0.1));
	return made;
}

static inline struct error *fake_run(
	void *context, const struct run_options *options, json_t **record, char **path)
{
	struct fake_lab *lab = context;
	_cleanup_json_ json_t *plan = NULL;
	json_t *trials = json_array(), *planned, *made;
	const char *id = options->resume ? options->resume : options->id;
	size_t i;

	lab->runs++;
	lab->resumed += options->resume != NULL;
	lab->drill_runs += options->plan.handicap.variant != NULL;
	lab->longest_s = fmax(lab->longest_s, options->limit_s);
	if (lab->refuse) {
		struct error *err = lab->refuse(options);

		if (err) {
			json_decref(trials);
			return err;
		}
	}
	assert_ok(plan_create(&options->plan, &plan));
	json_array_foreach (json_object_get(plan, "trials"), i, planned)
		json_array_append_new(
			trials, fake_trial(lab, planned, i == 0, &options->plan.handicap));
	made = json_pack("{s:s, s:s, s:s, s:s, s:s, s:{s:s, s:s}, s:[s], s:o, s:O, s:o}", "schema",
		"fleetlab.run/1", "id", id, "started", "2026-01-01T00:00:00Z", "finished",
		"2026-01-01T00:00:00Z", "state",
		options->plan.aa && lab->aa_state ? lab->aa_state : "complete", "build", "version",
		"0", "commit", "SYNTHETIC", "command", "fleetlab", "host", fake_host(lab), "plan",
		plan, "trials", trials);
	assert_ok(record_save(made, options->results_dir, path));
	*record = made;
	return NULL;
}

static inline void fake_lab_init(struct fake_lab *lab, unsigned long seed)
{
	*lab = (struct fake_lab){
		.rng = gsl_rng_alloc(gsl_rng_mt19937),
		.night_scatter = 0.015,
		.trial_scatter = 0.02,
		.slow_delay = 1,
		.slow_control = 1,
		.level_of_delay = 1,
		.kernel = "6.1.0-1",
	};
	gsl_rng_set(lab->rng, seed);
}

/* A host that nobody uses, below the test's scratch directory; caller frees. */
static inline char *fake_proc(const char *load)
{
	char *proc = scratch_path("proc");
	_cleanup_free_ char *path = scratch_path("proc/loadavg");
	_cleanup_free_ char *text = format_string("%s 0.00 0.00 1/100 1\n", load);

	assert_ok(fs_make_dirs(proc));
	assert_ok(fs_write_atomic(path, text, strlen(text)));
	return proc;
}

/* One night of mechanism null in the store `scratch`/results; new reference. */
static inline json_t *fake_night_with(struct fake_lab *lab, struct night_options options)
{
	const struct mechanism *mechanism = mechanism_find("null");
	_cleanup_free_ char *results = scratch_path("results");
	_cleanup_free_ char *proc = options.proc ? NULL : fake_proc("0.00");
	json_t *night = NULL;
	size_t untold;

	lab->level_of_delay = exp(gsl_ran_gaussian(lab->rng, lab->night_scatter));
	options.results_dir = results;
	options.mechanisms = &mechanism;
	options.mechanism_count = 1;
	options.end_by = options.end_by ? options.end_by : time(NULL) + 3600;
	options.most_load = options.most_load > 0 ? options.most_load : 1;
	options.keep_logs = options.keep_logs > 0 ? options.keep_logs : NIGHTS_MAX;
	options.slowdown = options.slowdown > 0 ? options.slowdown : 1.3;
	options.proc = options.proc ? options.proc : proc;
	options.run = fake_run;
	options.context = lab;
	assert_ok(night_run(&options, &night, &untold));
	return night;
}

/* `force_busy`: a run of fleetlab on the machine that tests is no matter of the test. */
static inline json_t *fake_night(struct fake_lab *lab)
{
	return fake_night_with(lab, (struct night_options){.force_busy = true});
}
