/* What the parts of the index share: its tables, and SQL with JSON on both sides. Internal to
 * record/. */
#pragma once

#include "harness/record/index.h"

#include <glib.h>
#include <sqlite3.h>
#include <stdint.h>

struct index {
	sqlite3 *db;
	int root; /* RESULTS */
	char *results_dir;
	char *path;		/* of the database, for messages */
	GHashTable *statements; /* prepared, by the address of their SQL */
	int lock_fd;		/* of an update; -1: not held */
	bool damaged;		/* as far as has been seen; the file itself is the trouble */
	bool recreated;		/* since the last update was told */
};

#define INDEX_FILE "index.sqlite" /* in RESULTS */

/* ---- index_sql.c ---- */

/* The error of the last call on this handle, as people want to read it; `what` was being done. */
struct error *index_error(struct index *index, const char *what) __attribute__((returns_nonnull));

/* True when the file itself is the trouble, so that a new one would do. */
bool index_is_damaged(int sqlite_code);

struct error *index_exec(struct index *index, const char *sql);

/*
 * Runs one statement with its named parameters (":id") bound from the members of `values` (NULL: it
 * has none); what `values` lacks is NULL. `sql` must be a string constant: statements are kept by
 * its address. *rows (NULL: they are not wanted) is an array of objects by the columns' names, from
 * which NULLs are left out. A name that begins with '?' is a boolean, with '{' JSON text, with '#'
 * bytes.
 */
struct error *index_query(
	struct index *index, const char *sql, const json_t *values, json_t **rows);

/* The same for a statement with one row: that row, or NULL. */
struct error *index_query_one(
	struct index *index, const char *sql, const json_t *values, json_t **row);

/* ---- index.c ---- */

/* Holds the lock against other updates until index_unlock(). */
struct error *index_lock(struct index *index, struct deadline deadline);
void index_unlock(struct index *index);

/* Opens the file anew where another has taken its place, and makes that one right: the lock must be
 * held. A handle whose file is still there is left as it is. */
struct error *index_follow(struct index *index);

/* Throws a damaged index away and begins an empty one; the lock must be held. */
struct error *index_recreate(struct index *index);

/* ---- index_files.c ---- */

/* A file that the index may have to read. */
struct index_file {
	char *path;  /* below RESULTS: "runs/ID.json" */
	char *stamp; /* size, inode and times: changes whenever the content may have */
	int64_t bytes;
	const char *foreign; /* static: why it cannot be a record; NULL: it is to be read */
	char *known_hash; /* of its content when it was last read; NULL: read it whatever it is */
	bool unchanged;
};

struct index_files {
	struct index_file *items;
	size_t count;
};

void index_files_deinit(struct index_files *files);

/* All files of the store RESULTS, sorted by path. */
struct error *index_files_scan(int root, const char *results_dir, struct index_files *files);

/* ---- index_write.c ---- */

/* What reading a file gave. */
struct index_entry {
	struct index_file *file;
	const char *status; /* static: "ok", "damaged", "foreign"; "same": only its stamp is new;
			     * "gone": vanished since the scan */
	char *reason;	    /* of damaged and foreign */
	char hash[33];	    /* of the content, "" when it was not read */
	char *id;	    /* of ok */
	json_t *summary;    /* of ok: summary.h */
};

void index_entry_deinit(struct index_entry *entry);

/* Writes what is in the entry, in place of what the index had of the file. *again is set when a
 * copy of a record that goes has to be looked at again. */
struct error *index_write(
	struct index *index, const struct index_entry *entry, const char *grader, bool *again);

/* Forgets a file. */
struct error *index_remove(struct index *index, const char *path, bool *again);
