/*
 * The store that the dashboard shows: its index, kept up to date by a thread of ours, and its
 * records, the last few of which stay parsed. Everything is read; nothing outside the results
 * directory is opened, and no symbolic link in it is followed.
 */
#pragma once

#include "harness/record/index.h"
#include "harness/record/record.h"

#include <stdatomic.h>
#include <sys/types.h>

/* A record, or a journal, that is larger is not shown, nor one that takes more memory parsed. */
#define STORE_RECORD_BYTES ((size_t)64 << 20)
#define STORE_RECORD_MEMORY ((size_t)256 << 20)

struct store;

/* Called by the store's thread when what it shows has changed, before store_generation() says so:
 * what is likely to be asked first can be made ready for that generation. */
typedef void store_changed(struct store *store, int64_t generation, void *context);

/* Opens the results directory, which need not exist yet, and begins to index it. `changed` may be
 * NULL. */
struct error *store_create(
	const char *results_dir, store_changed *changed, void *context, struct store **store);
void store_destroy(struct store *store);
DEFINE_CLEANUP(store, struct store *, store_destroy)
#define _cleanup_store_ _cleanup_(cleanup_store)

/* Grows with every change of the index, of the nights' records, and of what follows; 0 before
 * anything is known. */
int64_t store_generation(const struct store *store);

struct store_progress {
	bool running;
	size_t done, total; /* files to read */
};
struct store_progress store_progress(const struct store *store);

/* Why the index is not up to date; NULL when it is. Caller frees. */
char *store_trouble(struct store *store);

/* The results directory, for fs_open_beneath(); -1 while there is none. Borrowed, and the same
 * number for good: when another directory has come to its path, it becomes that one's, before
 * store_generation() grows. Until then everything is answered from the old one. */
int store_root(struct store *store);

/* ---- one thread's access ---- */

struct reader {
	struct store *store;
	struct index *index;
	dev_t device; /* of the file that `index` has open */
	ino_t inode;
};

void reader_deinit(struct reader *reader);

/* After the index was asked: when it turned out to be damaged it is closed, and made anew soon. */
void reader_settle(struct reader *reader);

/* Opens the index, again where another has taken its place. ERROR_USAGE while there is none. */
struct error *reader_open(struct reader *reader);

/* Whether what is answered now has the run, as the index has it: for who tells others to ask. */
bool store_shows(struct reader *reader, const char *id);

/* ---- records ---- */

struct held_record;

/*
 * The record of a run by its id, for this thread alone until store_release(). *held is NULL when
 * the store has no such run. Of a run in progress without a record it is what its journal says so
 * far, graded as if it had ended. A record that is too large is ERROR_USAGE, and *too_large is set.
 */
struct error *store_hold(
	struct reader *reader, const char *id, struct held_record **held, bool *too_large);
void store_release(struct held_record *held);
DEFINE_CLEANUP(held_record, struct held_record *, store_release)
#define _cleanup_held_ _cleanup_(cleanup_held_record)

const struct record *held_record(const struct held_record *held);
/* The run as index_run() has it; NULL of a run without a record. Borrowed. */
const json_t *held_row(const struct held_record *held);
