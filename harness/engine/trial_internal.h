/* The trial object, shared by the parent's side (trial.c), the lab's side (trial_lab.c) and what
 * the hooks may call (trial_hooks.c), and by tests. Nobody else includes this. */
#pragma once

#include "harness/engine/trial.h"

enum { TRIAL_KEPT_MAX = 64 };

/* What a hook has handed over, and what ends it. */
struct trial_kept {
	void *object;
	void (*destroy)(void *object);
};

struct trial {
	const struct mechanism *mechanism;
	const struct experiment *experiment;
	const struct variant *variant;
	json_t *parameters; /* name → text, as planned; borrowed from the plan */
	bool reversed;	    /* of the second half of its block */
	struct deadline deadline;
	double handicap; /* the guests' slowdown in a drill; 0: none, or it is in a parameter */
	const char *peer_uri; /* of the second machine; NULL: it is emulated; borrowed */
	struct peer *peer;    /* open while the lab is */
	/* in the lab only */
	struct fleet *fleet;
	int out_fd; /* lines to the parent */
	const char *log_dir;
	void *state;
	struct trial_kept kept[TRIAL_KEPT_MAX];
	size_t kept_count;
};

/* What the lab's body works on; lives in the parent's memory and is inherited by fork. */
struct trial_job {
	struct trial *trial;
	const struct fleet_spec *spec;
	struct fleet_host host;
	bool make_template; /* boot and save a template instead of measuring */
};

/* The lab's body: lab_body of trial labs. */
int trial_lab_body(void *job);
