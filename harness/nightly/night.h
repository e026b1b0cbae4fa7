/*
 * A night of the watch: refuses a host in use, measures, judges, has suspects confirmed, drills,
 * and keeps its record (store.h) up to date after each step, so that it can be cut anywhere and go
 * on. It runs trials through the engine, and formats nothing: that is for report/.
 */
#pragma once

#include "harness/engine/run.h"
#include "harness/nightly/store.h"

#include <time.h>

struct night_options {
	const char *results_dir;
	const struct mechanism *const *mechanisms;
	size_t mechanism_count;
	const json_t *overrides; /* parameters, as plan_options has them; may be NULL */
	time_t end_by;	  /* nothing runs after it; 0: a night that goes on has its own, a new one
			   * NIGHT_USUAL_S */
	time_t start_by;  /* how long it waits for a host that is in use; 0: a night that goes on
			   * until its end, a new one not at all */
	double most_load; /* per core; more is a host in use */
	bool force_busy;  /* run on a host in use; the record says so */
	bool resume_only; /* go on with a night that was cut, or do nothing */
	bool drill;	  /* begin one, if none is open */
	const char *drill_target; /* "MECHANISM/EXPERIMENT/VARIANT"; NULL: drawn */
	double slowdown;	  /* of a drill that begins */
	int argc;		  /* the command line, for the record */
	char **argv;
	size_t keep_logs; /* of the last so many nights; older ones keep their records */
	const char *proc; /* "/proc", or a test's own */
	/* What runs trials: run_execute(), or what a test puts there. */
	struct error *(*run)(
		void *context, const struct run_options *options, json_t **record, char **path);
	/* Tells people of a night, tonight's or an earlier one that ended without their having been
	 * told. It is called again in the next night, or with resume_only, until it has returned
	 * without an error and with *told, which is false where nobody is told any way now. May be
	 * NULL. */
	struct error *(*tell)(void *context, json_t *night, bool *told);
	bool has_hook; /* people are told by a hook: a night begun with it is told by no other way
			*/
	void *context;
};

#define NIGHT_USUAL_S (6 * 3600)
/* No night is longer. */
#define NIGHT_MOST_S (24 * 3600)

/* Exit statuses of a night that took place, in the order in which they win; an error is 1. */
enum night_exit {
	NIGHT_QUIET = 0,
	NIGHT_NOTHING = 1, /* nothing could be measured, or not to its end */
	NIGHT_TRIALS_FAILED = 2,
	NIGHT_REGRESSION = 3,
	NIGHT_NOT_STARTED = 4, /* the host was in use */
	NIGHT_UNTOLD = 5,      /* of the command only: the hook failed, or the summary could not be
				* written; a regression wins over it */
	NIGHT_INTERRUPTED = 130,
};

/* Spends the night. *night is its record as saved, also when it was not started or was cut; NULL
 * with resume_only and nothing to go on with. *untold: how many nights people should have been told
 * of, and telling failed, which has been logged. An error: nothing could be recorded. */
struct error *night_run(const struct night_options *options, json_t **night, size_t *untold);
