/*
 * Formats records for people and programs: the only place that does. Never reads anything but the
 * record and the papers, never decides on colour or width by itself.
 */
#pragma once

#include "harness/record/record.h"

#include <stdbool.h>
#include <stdio.h>

enum report_format { REPORT_TEXT, REPORT_MARKDOWN, REPORT_CSV, REPORT_JSON, REPORT_JUNIT };

struct report_options {
	int width;	     /* columns of the text formats, 60 to 200; 0 is 100 */
	bool colour;	     /* ANSI colours in REPORT_TEXT */
	bool verbose;	     /* list the raw samples of each trial */
	const char *paper;   /* only this paper ("C"); NULL: all */
	const char *claim;   /* only this claim ("C1"); NULL: all */
	bool only_claims;    /* without the papers' tables and what else was measured */
	const char *results; /* words that a command to see more of the run needs besides its id:
			      * fs_results_words(); NULL: none */
	bool brief; /* REPORT_TEXT and REPORT_MARKDOWN: the published tables and the claims; of the
		     * rest only how to get it */
};

/* "text", "markdown", …; ERROR_USAGE with the nearest name otherwise. */
struct error *report_format_parse(const char *name, enum report_format *format);

/* One record. */
struct error *report_render(const struct record *record, enum report_format format,
	const struct report_options *options, FILE *out);

/* The same as JSON, owned by the caller: {"schema", "runs", "hosts", "settings", "claims",
 * "metrics"}; of the hosts' differences those that matter come first. */
struct error *report_comparison(const struct record *a, const struct record *b,
	const struct report_options *options, json_t **comparison);

/* Two records side by side: hosts field by field, settings that differ, then claims and metrics.
 * REPORT_TEXT, REPORT_MARKDOWN or REPORT_JSON. */
struct error *report_compare(const struct record *a, const struct record *b,
	enum report_format format, const struct report_options *options, FILE *out);
