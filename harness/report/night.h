/*
 * The morning summary of a night (results/schema/night.schema.json), for people and CI servers.
 * Reads nothing but the night's record, which may be damaged or hostile.
 */
#pragma once

#include "harness/base/error.h"

#include <jansson.h>
#include <stdio.h>

enum night_format { NIGHT_MARKDOWN, NIGHT_HTML, NIGHT_JUNIT };

struct error *night_report(const json_t *night, enum night_format format, FILE *out);

/* One line: "2 regressions confirmed, …": for a subject or a log. Caller frees. */
char *night_headline(const json_t *night);
