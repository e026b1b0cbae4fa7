/*
 * The journal of a run in progress: RESULTS/runs/ID/journal.jsonl. Its first line is the run's
 * header with the whole plan; then one fsynced line for each finished trial, and for each block
 * that was added to the plan. What is not in it did not happen: after kill -9, power cut or a full
 * disk the run is resumed from it, and a line cut short is dropped.
 */
#pragma once

#include "harness/base/error.h"

#include <stdbool.h>

struct journal;

/* Starts the journal of a new run in the (new) directory `dir`; `header` is borrowed. */
struct error *journal_create(const char *dir, const json_t *header, struct journal **journal);

/* Opens an interrupted run's journal; *header and *trials (array) are owned by the caller. Fails
 * when another process is running it. */
struct error *journal_resume(
	const char *dir, struct journal **journal, json_t **header, json_t **trials);

/* Reads a journal without opening it for writing, also while a run is in progress. */
struct error *journal_read(const char *dir, json_t **header, json_t **trials);

/* False when the run ended before its header was whole: there is nothing to go on with. */
bool journal_has_begun(const char *dir);

/* Appends a finished "trial", trials that are "planned" beside the others (an array), or a changed
 * "plan", whole. Either the whole line is on disk when this returns, or nothing of it is. */
struct error *journal_append(struct journal *journal, const char *key, const json_t *value);

/* Takes over into the header what a line says of its plan; false when it says nothing of it. */
bool journal_take_plan(json_t *header, const json_t *line);

void journal_close(struct journal *journal);
DEFINE_CLEANUP(journal, struct journal *, journal_close)

/* ---- following a run in progress ---- */

/* Reads complete lines of a journal as it grows. */
struct journal_reader;

/* What is beyond these is not followed, a journal of this size not even begun: it may be another
 * host's. A plan of ten thousand trials, and the journal of all of them, are far below. */
#define JOURNAL_FOLLOWED_BYTES ((size_t)64 << 20)
#define JOURNAL_LINE_BYTES ((size_t)32 << 20)
#define JOURNAL_LINE_MEMORY ((size_t)128 << 20) /* of a line that is parsed */

/* Takes the descriptor over; it is open for reading. */
struct journal_reader *journal_reader_create(int fd);
void journal_reader_destroy(struct journal_reader *reader);
DEFINE_CLEANUP(journal_reader, struct journal_reader *, journal_reader_destroy)

/* The next line, an object with the one key "run", "trial", "planned" or "plan", owned by the
 * caller; NULL when there is none yet. ERROR_USAGE: it is larger than what is followed. After an
 * error nothing more is read. What has been read is not read again: where nothing was added, a look
 * costs one fstat(). */
struct error *journal_reader_next(struct journal_reader *reader, json_t **line);

/* Of the last line: its bytes, and the memory that it takes at most. */
size_t journal_reader_bytes(const struct journal_reader *reader);
size_t journal_reader_memory(const struct journal_reader *reader);

/* True while a process writes the journal that is open as `fd`. */
bool journal_is_written(int fd);
