/*
 * Merging another host's records into a store. What is imported is hostile: files are read with
 * bounds and through no link, records must be as fleetlab wrote them (schema, digest), verdicts are
 * computed again, and what stands beside a record (journal, logs) is copied under plain names only.
 * Nothing that is in the store is ever changed or replaced.
 */
#pragma once

#include "harness/base/error.h"

#include <jansson.h>

/* Files that stand beside one record, copied with it, may have so many bytes together. */
#define IMPORT_MAX_BYTES ((size_t)1 << 30)

/* How long an import waits for another one into the same store to end. */
#define IMPORT_WAIT_MS 60000

/*
 * `source` is a record, an archive made by `fleetlab export`, or a directory: a store (with runs/
 * or reference/ in it), an unpacked archive, or any directory with records.
 *
 * *report is owned by the caller: {"imported": [{"id", "files" (beside the record), "notes"}],
 * "same": [{"id"}] (in the store already), "refused": [{"file", "reason"}]}. That something was
 * refused is no error; that nothing could be read, or written, is.
 */
struct error *import_records(const char *results_dir, const char *source, json_t **report);

/* Removes what imports that died have left in a store: every import does so when it begins, too.
 * Nothing is removed while one is in progress. *removed: how many. */
struct error *import_sweep(const char *results_dir, size_t *removed);
