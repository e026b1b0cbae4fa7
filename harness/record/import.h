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

/*
 * `source` is a record, an archive made by `fleetlab export`, or a directory: a store (with runs/
 * or reference/ in it), an unpacked archive, or any directory with records.
 *
 * *report is owned by the caller: {"imported": [{"id", "files" (beside the record), "notes"}],
 * "same": [{"id"}] (in the store already), "refused": [{"file", "reason"}]}. That something was
 * refused is no error; that nothing could be read, or written, is.
 */
struct error *import_records(const char *results_dir, const char *source, json_t **report);
