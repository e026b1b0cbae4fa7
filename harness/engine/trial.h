/*
 * One trial: one variant on one fresh fleet, in a lab of its own. The parent starts it, reads its
 * lines and makes them one JSON object (results/schema/run.schema.json, "trials"); the mechanism's
 * hooks run in the lab, in a process that may crash or hang without harm to the run.
 */
#pragma once

#include "harness/engine/provide.h"
#include "harness/engine/resources.h"
#include "mechanisms/mechanism.h"

/* Runs the plan's trial `planned` ({"index", "mechanism", "experiment", "variant", "block", "half",
 * "order", "parameters"}) with its logs below `log_dir`. *result, owned by the caller, tells the
 * outcome, also when the trial failed, and fits a record whatever guests have said; an error means
 * that the run cannot go on (interrupted, no lab to be had). */
struct error *trial_run(
	json_t *planned, struct resources *resources, const char *log_dir, json_t **result);

/* The fleet a planned trial would have, to check for memory and images before anything starts. */
struct error *trial_fleet_spec(json_t *planned, struct trial **trial, struct fleet_spec *spec);
/* Adds what this trial's lab will need beside images. */
void trial_needs(const struct trial *trial, struct needs *needs);
void trial_destroy(struct trial *trial);
DEFINE_CLEANUP(trial, struct trial *, trial_destroy)
