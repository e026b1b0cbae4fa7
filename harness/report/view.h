/*
 * What is to be shown of a record, the same for every format. Internal to report/.
 *
 * A view is JSON, so that REPORT_JSON prints it as it is:
 *   {"schema": "fleetlab.report/1",
 *    "run": {"id", "synthetic", "started", "finished", "state", "profile", "seed", "version",
 *            "commit", "command", "wall_s", "altered", "notes": [text]},
 *    "host": {"accelerator", "reason", "emulated": bool, "cpu", "cores", "kernel", "qemu",
 * "libvirt"}, "emulated": [text],    what in this run is emulated (emulation.h): CPU, shaped links
 *    "papers": [{"id", "mechanism", "short", "title", "authors", "comparable": {"ok", "reason"},
 *        "emulated": [text],    in the trials that its claims rest on
 *        "tables": [{"id", "title", "columns", "emulated": [text], "rows": [{"label", "cells": [
 *            {…published…, "ours": [{"label", "unit", "median", "low", "high", "trials"}]}]}]}],
 *        "also": [as also_measured(), with "emulated"],
 *        "claims": [as claims_grade(), with "text", "source", "conditions", "published",
 *            in tests against a limit "limit": "at most" or "at least", and "command" where it
 *            can be run]}],
 *    "not_run": [{"id", "short", "why": "not implemented in this build"}],
 *    "aa": [as aa_compare()] only for an A/A run, which has no papers,
 *    "trials": {"planned", "finished", "ok", "failed", "invalid", "skipped"},
 *    "problems": [{"index", "experiment", "variant", "block", "outcome", "reason"}],
 *    "outliers": [as series_outliers()]}
 */
#pragma once

#include "harness/report/report.h"

/* Makes the view; *view is owned by the caller. */
struct error *view_make(
	const struct record *record, const struct report_options *options, json_t **view);

/* "tcp-naive over shm-polling" or "tcp-naive", of a table's or a test's selectors; caller frees. */
char *view_label(const json_t *ours);

/* One text for a host field that may be a string or an object with "model" or "version", or
 * "unknown"; borrowed. */
const char *host_field(const json_t *host, const char *name);
