/* A night's summary on its way to people: three files, and the hook. */
#pragma once

#include "harness/base/error.h"

#include <jansson.h>
#include <stdbool.h>

struct summary_options {
	const char *results_dir;
	const char *dir;  /* where the files go; NULL: RESULTS/nightly */
	const char *hook; /* NULL: none */
};

/* Writes DIR/ID.md, .html and .xml. A night that has ended is handed to the hook, and its record
 * and summary then say how that went. That the hook fails is an error. *told is false for a night
 * that was to be told by a hook where there is none. */
struct error *summary_write(const struct summary_options *options, json_t *night, bool *told);

/* Hands to the hook why there is no night: the watch must not fall silent where nothing can be
 * recorded. That it fails is logged. */
void summary_tell_error(const struct summary_options *options, const struct error *why);
