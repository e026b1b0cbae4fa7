/*
 * The index: RESULTS/index.sqlite, what the pages and the nightly watch ask instead of reading
 * every record. The records stay the truth: the index holds nothing that is not computed from them
 * (of a verdict: computed again from its samples), may be removed at any time, and is then made
 * anew. It is kept up to date by name, size and times of the files. Neither a record nor the index
 * is read or written through a symbolic link below RESULTS; RESULTS itself may be one.
 *
 * One writer and many readers, in any number of processes: readers see the state of the last batch
 * that was written, and never wait for the writer. Waiting for a lock ends at a deadline. A handle
 * is for one thread at a time; open one for each.
 *
 * A file that is no record, is damaged, or does not belong is listed with its reason
 * (index_refused), and none of it is in any other answer. Of records with the same id the first is
 * in the index; copies are listed.
 *
 * Times are seconds since 1970 (…_s) or UTC text. Answers are JSON, owned by the caller; fields
 * that are not known are absent.
 */
#pragma once

#include "harness/base/clock.h"
#include "harness/base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct index;

enum index_mode {
	INDEX_READ,  /* an error where there is no index yet */
	INDEX_WRITE, /* makes one where there is none, or one that another version made */
};

/* How long a handle waits for SQLite's own locks. */
#define INDEX_BUSY_MS 10000

struct error *index_open(const char *results_dir, enum index_mode mode, struct index **index);

/* As index_open(), of the directory that is open as `root` (borrowed), wherever it is by now;
 * `results_dir` is for messages. */
struct error *index_open_at(
	int root, const char *results_dir, enum index_mode mode, struct index **index);
void index_close(struct index *index);
DEFINE_CLEANUP(index, struct index *, index_close)
#define _cleanup_index_ _cleanup_(cleanup_index)

/* True once something could not be read because the file is damaged. index_update() with another
 * handle makes it anew. */
bool index_is_broken(const struct index *index);

/* ---- writing ---- */

/* Told how far it is, between batches. */
typedef void index_progress(size_t done, size_t total, void *context);

struct index_update_options {
	bool rebuild;		  /* read every file anew, whatever the index has */
	bool check;		  /* look at every page of the index for damage first */
	struct deadline deadline; /* for another update to end: ERROR_TIMEOUT */
	index_progress *progress; /* may be NULL */
	void *context;
};

struct index_changes {
	size_t files;	  /* in RESULTS/runs and RESULTS/reference */
	size_t unchanged; /* … since the last update */
	size_t indexed;	  /* records read and indexed */
	size_t refused;	  /* read now and listed instead */
	size_t removed;	  /* no longer there */
	bool recreated;	  /* the index was damaged, or of another version: it was made anew */
	double seconds;
};

/* Makes the index say what the files say. When it fails midway (a full disk, a kill) what was
 * written stays and is right; the next update does the rest. A damaged index, where damage is seen,
 * is thrown away and made anew, once: it holds nothing of its own. */
struct error *index_update(struct index *index, const struct index_update_options *options,
	struct index_changes *changes);

/* ---- asking ---- */

/* A number that grows with every change of the index: for ETags. */
struct error *index_generation(struct index *index, int64_t *generation);

/* {"runs", "complete", "refused", "first", "last", "synthetic"}: how much there is. */
struct error *index_totals(struct index *index, json_t **totals);

struct index_page {
	size_t offset, limit; /* limit 0: INDEX_PAGE */
};
#define INDEX_PAGE 100
#define INDEX_PAGE_MAX 10000

/* What to select; NULL or 0 selects everything. */
struct index_filter {
	const char *host;      /* hash of a machine, see index_hosts() */
	const char *mechanism; /* runs that planned it */
	const char *profile;
	const char *commit;
	int64_t since_s, until_s; /* started within [since_s, until_s) */
};

/*
 * Runs, the newest first: {"total", "offset", "runs": [{"id", "path" (below RESULTS), "place":
 * "runs" or "reference", "started", "started_s", "finished", "state", "complete", "synthetic",
 * "altered", "notes", "version", "commit", "profile", "seed", "mechanisms", "command", "images",
 * "planned", "ok", "failed", "invalid", "skipped", "wall_s", "disk_bytes", "host", "fingerprint":
 * hashes, "kernel", "microcode", "qemu", "libvirt", "cpu", "accelerator"}]}
 */
struct error *index_runs(struct index *index, const struct index_filter *filter,
	struct index_page page, json_t **runs);

/* One run as in index_runs(), with "outcomes": [{"mechanism", "experiment", "variant", "outcome",
 * "trials"}]. *run is NULL when the index does not have this id. */
struct error *index_run(struct index *index, const char *id, json_t **run);

/* The run that graded most of a paper's claims (a verdict other than not-run), the newest of
 * equals, among the latest INDEX_FULLEST_AMONG runs of its mechanism: {"run", "graded"}. *run is
 * NULL when none of them graded any. */
#define INDEX_FULLEST_AMONG 1000
struct error *index_fullest_run(struct index *index, const char *paper, json_t **run);

/*
 * The matrix of the front page: [{"claim", "paper", "latest": V, "before": V, "changed"}] with V =
 * {"run", "started", "verdict", "reason", "kind", "measured", "low", "high", "unit", "published",
 * "published_low", "published_high", "comparable", "host"}: the two latest runs that have a verdict
 * other than not-run. A claim that no run has tried has neither, one that a single run has tried no
 * "before". `host` may be NULL.
 */
struct error *index_overview(struct index *index, const char *host, json_t **claims);

/*
 * A claim's verdicts over the runs, the newest first: {"total", "offset", "verdicts": [{"run",
 * "started", "started_s", "verdict", "reason", "kind", "measured", "low", "high", "unit", "pairs",
 * "published", "published_low", "published_high", "comparable", "comparable_reason", "evidence",
 * "wall_s", "disk_bytes", "host", "fingerprint", "commit", "profile"}]}. Of a claim with several
 * tests the figures are those of the one that decided.
 */
struct error *index_claim_history(struct index *index, const char *claim,
	const struct index_filter *filter, struct index_page page, json_t **history);

/* Which series of readings there are: [{"mechanism", "experiment", "variant", "metric", "at",
 * "unit"}]; `mechanism` may be NULL. "at" is the coordinates with the swept parameters, as JSON
 * text with sorted keys ({"ints":8192}), "" when there are none. */
struct error *index_series(struct index *index, const char *mechanism, json_t **series);

/* Names one series. `at` NULL is "", `unit` NULL is any. */
struct index_series_name {
	const char *mechanism, *experiment, *variant, *metric, *at, *unit;
};

/*
 * A metric over the runs, the oldest first: {"total", "offset", "unit", "points": [{"run",
 * "started_s", "median", "low", "high" (95 % bootstrap of the trials' medians), "n" (trials),
 * "settings" (hash of the parameters that are not swept: points with different ones are of
 * different experiments), "profile", "commit", "host", "fingerprint", "kernel", "microcode",
 * "qemu"}]}
 */
struct error *index_trend(struct index *index, const struct index_series_name *name,
	const struct index_filter *filter, struct index_page page, json_t **trend);

/*
 * Hosts: [{"host": hash of what a machine keeps through updates (CPU, cores, memory, whether it is
 * virtual), "fields", "runs", "first", "last", "fingerprints": [{"fingerprint": hash of all facts
 * but counters, "fields", "kernel", "microcode", "cpu", "qemu", "libvirt", "accelerator",
 * "accelerator_reason", "distribution", "runs", "first", "last"}]}]. Two machines of one model and
 * size cannot be told apart: records name no host.
 */
struct error *index_hosts(struct index *index, json_t **hosts);

/* Files that are not in the index: {"total", "offset", "files": [{"path", "status": "damaged",
 * "foreign" or "duplicate", "reason", "bytes"}]}, by path. */
struct error *index_refused(struct index *index, struct index_page page, json_t **files);
