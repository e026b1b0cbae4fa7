/*
 * The record of a run: one JSON document (results/schema/run.schema.json), the truth that reports,
 * comparisons and the dashboard read. A record that is read is hostile input: bounded, checked
 * against its schema, its digest verified, and its verdicts are always computed again from its
 * samples; what it says about itself is never believed.
 */
#pragma once

#include "harness/base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* No record may be larger; a night of all mechanisms is below a tenth of it. */
#define RECORD_MAX_BYTES ((size_t)256 << 20)

struct record {
	json_t *json;  /* the document; its "claims" are those computed on load */
	char *path;    /* where it was read from; NULL for one made in memory */
	bool altered;  /* changed after it was written: the digest does not fit, or a verdict that
			* this very build has given */
	json_t *notes; /* strings: what does not fit, for people; never NULL */
};

void record_destroy(struct record *record);
DEFINE_CLEANUP(record, struct record *, record_destroy)
#define _cleanup_record_ _cleanup_(cleanup_record)

/* Reads a record, from a regular file or a link to one. A damaged file is an error that names the
 * JSON path; a file that is well-formed but was changed after it was written is loaded with
 * `altered` set and the reasons in `notes`. */
struct error *record_load(const char *path, struct record **record);

/* No record may take more memory than this once it is parsed: a small text can take a hundred times
 * its size. A night of all mechanisms is below a fifth of it. */
#define RECORD_MAX_MEMORY ((size_t)512 << 20)

/* As record_load(), from a text of `size` bytes; `path` is for messages. */
struct error *record_parse(const char *path, const char *text, size_t size, struct record **record);

/* The two halves of record_parse(), so that the text can be freed before the record is graded: the
 * document in a text, owned by the caller; and the record of such a document, of which a reference
 * is taken. */
struct error *record_parse_json(const char *path, const char *text, size_t size, json_t **json);
struct error *record_of_json(const char *path, json_t *json, struct record **record);

/* As record_load(), from a document in memory (a reference is taken): checks it, computes its
 * claims. For records that the engine is still writing, without a digest. */
struct error *record_from_json(json_t *json, struct record **record);

/* Computes the claims of every mechanism in the plan, sets "claims" and "digest" in `json`, checks
 * it and writes it atomically to RESULTS/runs/ID.json, making the directory. `path` may be NULL;
 * otherwise owned by the caller. */
struct error *record_save(json_t *json, const char *results_dir, char **path);

/* Computes the claims of every mechanism in the plan; a new reference to a JSON array. */
struct error *record_grade(const json_t *json, json_t **claims);

/* XXH3 of the canonical JSON (sorted keys, no white space) without its "digest"; 33 bytes. */
void record_digest(const json_t *json, char *hex);

/* Whether the digest in it is that of its content: false too when it has none. */
bool record_is_as_written(const json_t *json);

/* A fresh id: UTC and a random part, "20260131T201512Z-3f9a1c"; `id` holds at least 32 bytes. */
void record_new_id(char *id, size_t size);

/* Paths of the records below RESULTS/runs and RESULTS/reference, the newest first. A missing
 * directory is an empty list. */
struct error *record_list(const char *results_dir, char ***paths, size_t *count);
void record_list_destroy(char **paths, size_t count);

/* Finds a record: "latest", an id, the beginning of one that is unique, or a path. Unknown:
 * ERROR_USAGE that names the nearest ids. `path` is owned by the caller. */
struct error *record_find(const char *results_dir, const char *what, char **path);

/* The id of a record by its path: the file's name without ".json"; caller frees. */
char *record_id_of_path(const char *path);
