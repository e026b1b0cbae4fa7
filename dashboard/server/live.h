/*
 * Runs in progress, and those that were interrupted: what their journals tell, read on as they
 * grow. Every function may be called from any thread, and waits for no more than the reading of a
 * few MiB of journal: what is known of a long one grows from look to look.
 */
#pragma once

#include "dashboard/server/store.h"

struct live;

/* `store` is borrowed. */
struct live *live_create(struct store *store);
void live_destroy(struct live *live);
DEFINE_CLEANUP(live, struct live *, live_destroy)

/* Looked at together, the one whose journal was written last first; others are left out. */
#define LIVE_RUNS 32

/* [LIVE] as docs/api.md has it; caller owns it. */
json_t *live_list(struct live *live);

/* One of them by its id; NULL when it has no journal, or has a record and is complete. */
json_t *live_of(struct live *live, const char *id);

enum live_state {
	LIVE_UNKNOWN, /* no journal (yet) */
	LIVE_RUNNING,
	LIVE_INTERRUPTED,
	LIVE_ENDED, /* its record is written, and all of its journal told */
};

/* What a follower of a run has been told so far. Zeroed: nothing. */
struct live_place {
	size_t trials; /* that many of the journal's */
	size_t plans;  /* and that many states of its plan */
};

/*
 * What is new for a follower: *progress (LIVE; NULL while unknown, and of a run that had ended
 * before anybody followed it), whether the plan changed, and at most `most` trials (as in lists of
 * trials), an array. The place moves on. Caller owns both.
 */
enum live_state live_news(struct live *live, const char *id, struct live_place *place, size_t most,
	json_t **progress, bool *plan_changed, json_t **trials);

/* The id of the newest run that is in progress; NULL when there is none. Caller frees. */
char *live_running(struct live *live);

/* Grows whenever a run begins, ends, or finishes a trial (as far as was looked at). */
uint64_t live_generation(struct live *live);
