/* The parts of a night's summary; internal to report/. */
#pragma once

#include <jansson.h>
#include <stdio.h>

/*
 * What a summary says, in plain texts:
 *   {"title", "headline", "lead": [text], "sections": [{"heading", "texts": [text], "columns":
 *    [text], "align": "llr", "rows": [[text]]}]}
 * New reference.
 */
json_t *night_page(const json_t *night);

/* A suite for each mechanism, a case for each metric; what failed, and the drill, in suites of
 * their own. Whatever is not known is skipped, never passed. */
void night_junit(const json_t *night, FILE *out);

/* "+12.3 % [+8, +15]" of a verdict's effect, "-" without one; `out` holds FIGURE_SIZE bytes. */
void night_effect(const json_t *verdict, char *out);
