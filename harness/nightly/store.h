/*
 * The records of nights (results/schema/night.schema.json): RESULTS/nightly/ID.json. They are the
 * watch's whole memory: what it knows of the nights before is read from them, and nothing else is
 * kept. A damaged one is left out, never believed.
 */
#pragma once

#include "harness/base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* No night's record may be larger. */
#define NIGHT_MAX_BYTES ((size_t)64 << 20)
/* So many nights are looked back at, three times as many as the watch's window (watch.h) has
 * readings; older ones stay where they are. */
enum { NIGHTS_MAX = 200 };

struct night_list {
	json_t **nights; /* the oldest first */
	size_t count;
	json_t *damaged; /* texts: "FILE: why"; never NULL */
};

void night_list_deinit(struct night_list *list);

/* The last NIGHTS_MAX nights of RESULTS but `except` (an id, may be NULL). A missing directory is
 * an empty list. Of a night that is over and told, only what later nights look back at is kept,
 * which is a fifth: it cannot be saved again. */
struct error *night_list_load(const char *results_dir, const char *except, struct night_list *list);

/* Checks a night and writes it, so that the file is either as it was or all of the new one. */
struct error *night_save(const json_t *night, const char *results_dir);

/* RESULTS/nightly/ID + suffix; caller frees. */
char *night_path(const char *results_dir, const char *id, const char *suffix);

/* "complete", …; "" when it has none. */
const char *night_state(const json_t *night);
bool night_is(const json_t *night, const char *state);

/* The row of this name among a night's or a drill's metrics; borrowed, NULL: none. */
const json_t *night_row(const json_t *rows, const char *name);
