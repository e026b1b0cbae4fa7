/* Rows into the index: see index_internal.h. Runs inside a transaction of the caller's. */
#include "harness/record/index_internal.h"

#include "harness/base/fs.h"
#include "harness/record/samples.h"

#include <string.h>

static const char insert_run[] =
	"INSERT INTO runs (id, path, place, started_s, started, finished, state, complete,"
	" synthetic, altered, notes, version, \"commit\", profile, seed, mechanisms, command,"
	" images, planned, ok, failed, invalid, skipped, wall_s, disk_bytes, host, fingerprint)"
	" VALUES (:id, :path, :place, :started_s, :started, :finished, :state, :complete,"
	" :synthetic, :altered, :notes, :version, :commit, :profile, :seed, :mechanisms, :command,"
	" :images, :planned, :ok, :failed, :invalid, :skipped, :wall_s, :disk_bytes,"
	" (SELECT host FROM hosts WHERE hash = :host_hash),"
	" (SELECT fingerprint FROM fingerprints WHERE hash = :fingerprint_hash))"
	" RETURNING run";

static const char insert_metric[] =
	"INSERT OR REPLACE INTO metrics (series, started_s, run, settings, median, low, high, n)"
	" VALUES ((SELECT series FROM series WHERE mechanism = :mechanism"
	" AND experiment = :experiment AND variant = :variant AND metric = :metric AND at = :at"
	" AND unit = :unit), :started_s, :run, :settings, :median, :low, :high, :n)";

static const char insert_claim[] =
	"INSERT OR REPLACE INTO claims (claim, started_s, run, paper, verdict, reason, kind,"
	" measured, low, high, unit, pairs, published, published_low, published_high, comparable,"
	" comparable_reason, evidence, wall_s, disk_bytes)"
	" VALUES (:claim, :started_s, :run, :paper, :verdict,"
	" (SELECT text FROM texts WHERE value = :reason), :kind, :measured, :low, :high, :unit,"
	" :pairs, :published, :published_low, :published_high, :comparable,"
	" (SELECT text FROM texts WHERE value = :comparable_reason),"
	" (SELECT text FROM texts WHERE value = :evidence), :wall_s, :disk_bytes)";

void index_entry_deinit(struct index_entry *entry)
{
	free(entry->reason);
	free(entry->id);
	json_decref(entry->summary);
	*entry = (struct index_entry){0};
}

/* Every row of the array by the same statement, with the run's number and time in it. */
static struct error *insert_rows(
	struct index *index, const char *sql, json_t *rows, const json_t *run)
{
	json_t *row;
	size_t i;

	json_array_foreach (rows, i, row) {
		json_object_set(row, "run", json_object_get(run, "run"));
		json_object_set(row, "started_s", json_object_get(run, "started_s"));
		try_(index_query(index, sql, row, NULL));
	}
	return NULL;
}

static struct error *insert_texts(struct index *index, const json_t *claims)
{
	static const char *const keys[] = {"reason", "comparable_reason", "evidence"};
	const json_t *claim;
	size_t i;

	json_array_foreach (claims, i, claim) {
		for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
			_cleanup_json_ json_t *text = json_object();

			json_object_set(text, "text", json_object_get(claim, keys[k]));
			if (json_object_size(text) && json_is_string(json_object_get(text, "text")))
				try_(index_query(index,
					"INSERT OR IGNORE INTO texts (value) VALUES (:text)", text,
					NULL));
		}
	}
	return NULL;
}

static struct error *insert_host(struct index *index, const json_t *summary)
{
	try_(index_query(index,
		"INSERT OR IGNORE INTO hosts (hash, fields) VALUES (:hash, :fields)",
		json_object_get(summary, "host"), NULL));
	return index_query(index,
		"INSERT OR IGNORE INTO fingerprints (hash, fields, kernel, microcode, cpu, qemu,"
		" libvirt, accelerator, accelerator_reason, distribution) VALUES (:hash, :fields,"
		" :kernel, :microcode, :cpu, :qemu, :libvirt, :accelerator, :accelerator_reason,"
		" :distribution)",
		json_object_get(summary, "fingerprint"), NULL);
}

static const json_t *hash_of(const json_t *summary, const char *what)
{
	return json_object_get(json_object_get(summary, what), "hash");
}

static struct error *insert_record(struct index *index, const struct index_entry *entry)
{
	json_t *summary = entry->summary;
	json_t *run = json_object_get(summary, "run");
	json_t *metrics = json_object_get(summary, "metrics");
	json_t *claims = json_object_get(summary, "claims");
	_cleanup_json_ json_t *inserted = NULL;

	try_(insert_host(index, summary));
	json_object_set_new(run, "path", json_string(entry->file->path));
	json_object_set_new(run, "place",
		json_string(strncmp(entry->file->path, "runs/", 5) == 0 ? "runs" : "reference"));
	json_object_set(run, "host_hash", (json_t *)hash_of(summary, "host"));
	json_object_set(run, "fingerprint_hash", (json_t *)hash_of(summary, "fingerprint"));
	try_(index_query_one(index, insert_run, run, &inserted));
	json_object_set(run, "run", json_object_get(inserted, "run"));
	try_(insert_rows(index,
		"INSERT OR REPLACE INTO outcomes (run, mechanism, experiment, variant, outcome,"
		" trials) VALUES (:run, :mechanism, :experiment, :variant, :outcome, :trials)",
		json_object_get(summary, "outcomes"), run));
	try_(insert_rows(index,
		"INSERT OR IGNORE INTO series (mechanism, experiment, variant, metric, at, unit)"
		" VALUES (:mechanism, :experiment, :variant, :metric, :at, :unit)",
		metrics, run));
	try_(insert_rows(index, insert_metric, metrics, run));
	try_(insert_texts(index, claims));
	return insert_rows(index, insert_claim, claims, run);
}

/* The run's series and claims are found by their keys' beginnings: an index by run would be as
 * large as the tables. */
static struct error *delete_run(struct index *index, const json_t *path)
{
	static const char *const deletions[] = {
		"DELETE FROM metrics WHERE series IN (SELECT series FROM series)"
		" AND started_s = :started_s AND run = :run",
		"DELETE FROM claims WHERE claim IN (WITH RECURSIVE names (claim) AS ("
		"SELECT min(claim) FROM claims UNION ALL SELECT (SELECT min(claim) FROM claims"
		" WHERE claim > names.claim) FROM names WHERE names.claim IS NOT NULL)"
		" SELECT claim FROM names WHERE claim IS NOT NULL)"
		" AND started_s = :started_s AND run = :run",
		"DELETE FROM outcomes WHERE run = :run",
		"DELETE FROM runs WHERE run = :run",
	};
	_cleanup_json_ json_t *run = NULL;

	try_(index_query_one(
		index, "SELECT run, started_s FROM runs WHERE path = :path", path, &run));
	for (size_t i = 0; run && i < ARRAY_SIZE(deletions); i++)
		try_(index_query(index, deletions[i], run, NULL));
	return NULL;
}

/* Copies of the record that is forgotten may now take its place. */
static struct error *wake_copies(struct index *index, const json_t *path, bool *again)
{
	_cleanup_json_ json_t *woken = NULL;

	try_(index_query(index,
		"UPDATE files SET stamp = '', hash = '' WHERE status = 'duplicate'"
		" AND id = (SELECT id FROM files WHERE path = :path AND status = 'ok')"
		" RETURNING path",
		path, &woken));
	*again = *again || json_array_size(woken) > 0;
	return NULL;
}

/* Why the record cannot be in the index beside what is there; NULL when it can. */
static struct error *find_copy(struct index *index, const struct index_entry *entry, char **reason)
{
	_cleanup_json_ json_t *values = json_pack("{s:s}", "id", entry->id);
	_cleanup_json_ json_t *other = NULL;
	const char *path;

	try_(index_query_one(index,
		"SELECT files.path AS path, files.hash AS hash FROM runs"
		" JOIN files ON files.path = runs.path WHERE runs.id = :id",
		values, &other));
	if (!other)
		return NULL;
	path = json_text(other, "path");
	if (strcmp(json_text(other, "hash"), entry->hash) == 0)
		*reason = format_string("a copy of %s", path);
	else
		*reason = format_string("another record with the id of %s", path);
	return NULL;
}

static struct error *write_file(struct index *index, const struct index_entry *entry,
	const char *grader, const char *status, const char *reason)
{
	_cleanup_json_ json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:s*, s:s*, s:I}", "stamp",
		entry->file->stamp, "hash", entry->hash, "grader", grader, "status", status,
		"reason", reason, "id", entry->id, "bytes", (json_int_t)entry->file->bytes);

	if (!row)
		return error_new(
			ERROR_INTERNAL, "cannot form the index's row of %s", entry->file->path);
	/* as bytes: a name need not be UTF-8 */
	json_object_set_new(
		row, "path", json_stringn_nocheck(entry->file->path, strlen(entry->file->path)));
	return index_query(index,
		"INSERT OR REPLACE INTO files (path, stamp, hash, grader, status, reason, id, "
		"bytes)"
		" VALUES (:path, :stamp, :hash, :grader, :status, :reason, :id, :bytes)",
		row, NULL);
}

struct error *index_remove(struct index *index, const char *path, bool *again)
{
	_cleanup_json_ json_t *values = json_object();

	json_object_set_new(values, "path", json_stringn_nocheck(path, strlen(path)));
	try_(wake_copies(index, values, again));
	try_(delete_run(index, values));
	return index_query(index, "DELETE FROM files WHERE path = :path", values, NULL);
}

struct error *index_write(
	struct index *index, const struct index_entry *entry, const char *grader, bool *again)
{
	_cleanup_json_ json_t *file = json_pack("{s:s}", "stamp", entry->file->stamp);
	_cleanup_free_ char *copy_of = NULL;

	json_object_set_new(
		file, "path", json_stringn_nocheck(entry->file->path, strlen(entry->file->path)));
	if (strcmp(entry->status, "same") == 0)
		return index_query(
			index, "UPDATE files SET stamp = :stamp WHERE path = :path", file, NULL);
	try_(index_remove(index, entry->file->path, again));
	if (strcmp(entry->status, "gone") == 0)
		return NULL;
	if (strcmp(entry->status, "ok") != 0)
		return write_file(index, entry, grader, entry->status, entry->reason);
	try_(find_copy(index, entry, &copy_of));
	if (copy_of)
		return write_file(index, entry, grader, "duplicate", copy_of);
	try_(insert_record(index, entry));
	return write_file(index, entry, grader, "ok", NULL);
}
