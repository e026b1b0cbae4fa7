/* How far a run is, on stderr: a bar that stays on one line on a terminal, a line for each trial
 * elsewhere, nothing with -q. */
#pragma once

#include <jansson.h>
#include <stddef.h>

struct progress;

struct progress *progress_create(void);
/* Before a trial: `done` of `total`, with the seconds expected to remain. */
void progress_trial(
	struct progress *progress, const json_t *planned, size_t done, size_t total, double left_s);
/* After it: its result, as in the record. */
void progress_result(struct progress *progress, const json_t *result);
/* Leaves the terminal with the bar gone; takes NULL. */
void progress_destroy(struct progress *progress);
