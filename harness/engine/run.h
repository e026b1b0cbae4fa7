/*
 * A run: plan → trials → record. The parent process of everything: it never enters a lab and never
 * talks to a VM.
 */
#pragma once

#include "harness/engine/plan.h"

struct run_options {
	struct plan_options plan;
	const char *results_dir;
	const char *resume; /* "latest", an id or the beginning of one; NULL: a new run */
	const char *id;	    /* of a new run, as record_new_id() makes them; NULL: a fresh one */
	double limit_s;	    /* from now, as a budget whose spare time is left unused; 0: none */
	int64_t wait_ms;    /* how long to wait for another run on this host; 0: not at all */
	int argc;	    /* the command line, for the record */
	char **argv;
};

/* Runs, and writes the record. *record (JSON with claims, owned by the caller) is also given when
 * the run was interrupted or its budget ended, with its "state" saying so. *path: where the record
 * is. */
struct error *run_execute(const struct run_options *options, json_t **record, char **path);
