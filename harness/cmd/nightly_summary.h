/* A night's summary on its way to people: three files, and the hook. */
#pragma once

#include "harness/base/error.h"

#include <jansson.h>

struct summary_options {
	const char *results_dir;
	const char *dir;  /* where the files go; NULL: RESULTS/nightly */
	const char *hook; /* NULL: none */
};

/* Writes DIR/ID.md, .html and .xml. A night that has ended is handed to the hook, and its record
 * and summary then say how that went. */
struct error *summary_write(const struct summary_options *options, json_t *night);
