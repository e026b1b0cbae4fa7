/* The command that hands a night's summary to people: mail, chat. */
#pragma once

#include "harness/base/error.h"

#include <jansson.h>

struct hook {
	const char *command;			      /* for sh -c; the user's own */
	const char *summary;			      /* Markdown, on its standard input */
	const char *headline;			      /* one line */
	const char *record, *markdown, *html, *junit; /* paths of the files */
};

/* A hook that takes longer is ended. */
#define HOOK_DEADLINE_S 60

/* Runs it, and says in night["hook"] how it went. That it fails is not an error of the night. Its
 * environment is ours and: FLEETLAB_NIGHT_ID, _STATE, _EXIT (status), _HEADLINE, _REGRESSIONS
 * (how many), _RECORD, _MARKDOWN, _HTML and _JUNIT (paths). */
void hook_run(const struct hook *hook, json_t *night);
