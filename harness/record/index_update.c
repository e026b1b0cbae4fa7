/* Bringing the index up to date: see index.h. Files are read and graded in parallel, rows written
 * in batches, so that a kill loses little and readers never wait; one batch is written while the
 * next is read. */
#include "harness/record/index_internal.h"

#include "harness/base/embedded.h"
#include "harness/base/fs.h"
#include "harness/base/jsontext.h"
#include "harness/base/parallel.h"
#include "harness/base/version.h"
#include "harness/record/cut.h"
#include "harness/record/record.h"
#include "harness/record/samples.h"
#include "harness/record/summary.h"
#include "harness/record/synthetic.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/sysinfo.h>

/* Files of one transaction, and about how many bytes: what is kept of a hostile one until it is
 * written can be 25 times as large. */
#define BATCH 256
#define BATCH_BYTES ((int64_t)8 << 20)

struct batch {
	struct index_entry entries[BATCH];
	size_t first, size; /* in stale */
};

struct update {
	struct index *index;
	const struct index_update_options *options;
	struct index_changes changes;
	struct index_files files;
	size_t *stale; /* which of files are to be looked at */
	size_t stale_count;
	struct batch batches[2]; /* one is read while the other is written */
	struct batch *reading, *writing;
	pthread_mutex_t large; /* of who reads a large file */
	bool synthetic;
	bool again; /* copies have to be looked at once more */
	char *grader;
};

static void update_deinit(struct update *update)
{
	if (!update)
		return;
	for (size_t i = 0; i < BATCH; i++) {
		index_entry_deinit(&update->batches[0].entries[i]);
		index_entry_deinit(&update->batches[1].entries[i]);
	}
	index_files_deinit(&update->files);
	pthread_mutex_destroy(&update->large);
	free(update->stale);
	free(update->grader);
	free(update);
}
DEFINE_CLEANUP(update, struct update *, update_deinit)

/* Another build, another published value or another kind of store may judge the same file in
 * another way. */
static char *make_grader(bool synthetic)
{
	_cleanup_free_ char *papers = format_string("%s", "");
	char hex[33];

	for (size_t i = 0;; i++) {
		static const char *const ids[] = {"A", "B", "C", "D", "E", "null"};
		_cleanup_free_ char *name = NULL;
		const struct embedded_file *file;
		char *longer;

		if (i == ARRAY_SIZE(ids))
			break;
		name = format_string("papers/%s.json", ids[i]);
		file = embedded_find(name);
		fs_hash_bytes(file ? file->data : "", file ? file->size : 0, hex);
		longer = format_string("%s%s", papers, hex);
		free(papers);
		papers = longer;
	}
	fs_hash_bytes(papers, strlen(papers), hex);
	return format_string("%s %s %.16s%s", fleetlab_version, fleetlab_commit, hex,
		synthetic ? " synthetic" : "");
}

/* ---- what changed ---- */

static bool is_known(const struct update *update, const struct index_file *file, const json_t *row)
{
	return strcmp(json_text(row, "stamp"), file->stamp) == 0 &&
	       strcmp(json_text(row, "grader"), update->grader) == 0;
}

/* What the index has of a file that is there. */
static void compare(struct update *update, struct index_file *file, const json_t *row)
{
	file->unchanged = is_known(update, file, row);
	if (strcmp(json_text(row, "grader"), update->grader) == 0 &&
		strcmp(json_text(row, "status"), "duplicate") != 0)
		file->known_hash = format_string("%s", json_text(row, "hash"));
}

/* Both lists are sorted by path. `gone` gets the paths that are no longer there. */
static void merge(struct update *update, const json_t *known, json_t *gone)
{
	size_t i = 0, k = 0;

	while (i < update->files.count && k < json_array_size(known)) {
		const json_t *row = json_array_get(known, k);
		int order = strcmp(update->files.items[i].path, json_text(row, "path"));

		if (order > 0) {
			json_array_append(gone, json_object_get(row, "path"));
			k++;
			continue;
		}
		if (order == 0) {
			compare(update, &update->files.items[i], row);
			k++;
		}
		i++;
	}
	for (; k < json_array_size(known); k++)
		json_array_append(gone, json_object_get(json_array_get(known, k), "path"));
}

static struct error *find_changes(struct update *update, json_t *gone)
{
	_cleanup_json_ json_t *known = NULL;
	struct index_files *files = &update->files;

	try_(index_files_scan(update->index->root, update->index->results_dir, files));
	try_(index_query(update->index,
		"SELECT path AS \"#path\", stamp, hash, grader, status FROM files ORDER BY path",
		NULL, &known));
	merge(update, known, gone);
	update->stale = calloc(files->count + 1, sizeof(*update->stale));
	if (!update->stale)
		abort();
	for (size_t i = 0; i < files->count; i++) {
		if (!files->items[i].unchanged)
			update->stale[update->stale_count++] = i;
	}
	return NULL;
}

/* ---- reading ---- */

/* A reason may name what stands in the file. */
#define REASON_BYTES 1024

/* Takes `reason` over. */
static void refuse(struct index_entry *entry, const char *status, char *reason)
{
	_cleanup_json_ json_t *whole = reason ? json_string(reason) : NULL;
	_cleanup_json_ json_t *cut = cut_text(whole, REASON_BYTES);

	entry->status = status;
	entry->reason = reason;
	if (!cut)
		return;
	entry->reason = format_string("%s", json_string_value(cut));
	free(reason);
}

/* A record may be whole and still not belong here. */
static char *why_not_here(
	const struct update *update, const struct index_file *file, const json_t *record)
{
	const char *refusal = store_refuses(update->synthetic, record);
	const char *id = json_text(record, "id");
	_cleanup_free_ char *named = record_id_of_path(file->path);

	if (refusal)
		return format_string("%s", refusal);
	if (strcmp(named, id) != 0)
		return format_string("the record of run %s: its name has to be %s.json", id, id);
	return NULL;
}

/* Takes the text over. */
static void take_record(
	const struct update *update, struct index_entry *entry, char *text, size_t size)
{
	_cleanup_record_ struct record *record = NULL;
	_cleanup_json_ json_t *json = NULL;
	_cleanup_error_ struct error *err = record_parse_json(entry->file->path, text, size, &json);

	free(text);
	if (!err)
		err = record_of_json(entry->file->path, json, &record);
	if (!err) {
		refuse(entry, "foreign", why_not_here(update, entry->file, record->json));
		if (entry->reason)
			return;
		err = summary_of_record(record, &entry->summary);
	}
	if (err) {
		refuse(entry, "damaged", format_string("%s", error_message(err)));
		return;
	}
	entry->status = "ok";
	entry->id = format_string("%s", json_text(record->json, "id"));
}

/* Larger texts, and those that take more memory, are read one at a time: there may be as many
 * threads as processors. */
#define LARGE_BYTES ((int64_t)4 << 20)
#define LARGE_MEMORY ((size_t)32 << 20)

static struct error *read_file(struct update *update, struct index_entry *entry, bool *large)
{
	const int root = update->index->root;
	_cleanup_free_ char *text = NULL;
	_cleanup_error_ struct error *err = NULL;
	struct stat status;
	size_t size;

	err = fs_read_beneath(root, entry->file->path, RECORD_MAX_BYTES, &text, &size, NULL);
	if (err && fstatat(root, entry->file->path, &status, AT_SYMLINK_NOFOLLOW) < 0) {
		entry->status = "gone";
		return NULL;
	}
	if (err) {
		refuse(entry, "damaged", format_string("%s", error_message(err)));
		return NULL;
	}
	fs_hash_bytes(text, size, entry->hash);
	if (entry->file->known_hash && strcmp(entry->file->known_hash, entry->hash) == 0) {
		entry->status = "same";
		return NULL;
	}
	if (!*large && jsontext_memory(text, size) > LARGE_MEMORY) {
		pthread_mutex_lock(&update->large);
		*large = true;
	}
	take_record(update, entry, take_ptr(text), size);
	return NULL;
}

static struct error *examine(struct update *update, size_t item)
{
	struct index_entry *entry = &update->reading->entries[item];
	struct error *err;
	bool large;

	entry->file = &update->files.items[update->stale[update->reading->first + item]];
	if (entry->file->foreign) {
		refuse(entry, "foreign", format_string("%s", entry->file->foreign));
		return NULL;
	}
	large = entry->file->bytes > LARGE_BYTES;
	if (large)
		pthread_mutex_lock(&update->large);
	err = read_file(update, entry, &large);
	if (large)
		pthread_mutex_unlock(&update->large);
	return err;
}

/* ---- writing ---- */

static void count(struct index_changes *changes, const struct index_entry *entry)
{
	if (strcmp(entry->status, "ok") == 0)
		changes->indexed++;
	else if (strcmp(entry->status, "same") == 0)
		changes->unchanged++;
	else if (strcmp(entry->status, "gone") == 0)
		changes->files--;
	else
		changes->refused++;
}

static struct error *write_entries(struct update *update)
{
	for (size_t i = 0; i < update->writing->size; i++)
		try_(index_write(update->index, &update->writing->entries[i], update->grader,
			&update->again));
	return NULL;
}

static struct error *write_removals(struct update *update, const json_t *gone)
{
	const json_t *path;
	size_t i;

	json_array_foreach (gone, i, path)
		try_(index_remove(update->index, json_string_value(path), &update->again));
	return NULL;
}

/* Ends the transaction: all of it is written, or nothing. */
static struct error *finish(struct index *index, struct error *err)
{
	if (!err)
		err = index_exec(index,
			"UPDATE meta SET value = value + 1 WHERE key = 'generation'; COMMIT");
	if (err)
		sqlite3_exec(index->db, "ROLLBACK", NULL, NULL, NULL);
	return err;
}

static struct error *write_batch(struct update *update)
{
	struct batch *batch = update->writing;

	if (batch->size == 0)
		return NULL;
	try_(index_exec(update->index, "BEGIN IMMEDIATE"));
	try_(finish(update->index, write_entries(update)));
	for (size_t i = 0; i < batch->size; i++) {
		count(&update->changes, &batch->entries[i]);
		index_entry_deinit(&batch->entries[i]);
	}
	batch->size = 0;
	return NULL;
}

/* The first item is the batch that was read before, the others are files of this one. */
static struct error *work(size_t item, void *context)
{
	struct update *update = context;

	return item == 0 ? write_batch(update) : examine(update, item - 1);
}

static void tell(const struct update *update, size_t written)
{
	if (update->options->progress && written > 0)
		update->options->progress(written, update->stale_count, update->options->context);
}

/* At least one file. */
static size_t end_of_batch(const struct update *update, size_t first)
{
	int64_t bytes = 0;
	size_t end = first;

	while (end < update->stale_count && end - first < BATCH &&
		(end == first || bytes < BATCH_BYTES))
		bytes += update->files.items[update->stale[end++]].bytes;
	return end;
}

static struct error *read_and_write(struct update *update)
{
	update->reading = &update->batches[0];
	update->writing = &update->batches[1];
	for (size_t first = 0, next; first < update->stale_count; first = next) {
		struct batch *read = update->reading;

		next = end_of_batch(update, first);
		read->first = first;
		read->size = next - first;
		try_(parallel_for(read->size + 1, (size_t)get_nprocs(), work, update));
		tell(update, first);
		update->reading = update->writing;
		update->writing = read;
	}
	try_(write_batch(update));
	tell(update, update->stale_count);
	return NULL;
}

/* One look at all files. */
static struct error *pass(struct index *index, const struct index_update_options *options,
	struct index_changes *changes, bool *again)
{
	_cleanup_(cleanup_update) struct update *update = calloc(1, sizeof(*update));
	_cleanup_json_ json_t *gone = json_array();

	if (!update)
		abort();
	pthread_mutex_init(&update->large, NULL);
	update->index = index;
	update->options = options;
	update->synthetic = store_is_synthetic(index->results_dir);
	update->grader = make_grader(update->synthetic);
	try_(find_changes(update, gone));
	update->changes.files = update->files.count;
	update->changes.unchanged = update->files.count - update->stale_count;
	update->changes.removed = json_array_size(gone);
	if (json_array_size(gone)) {
		try_(index_exec(index, "BEGIN IMMEDIATE"));
		try_(finish(index, write_removals(update, gone)));
	}
	try_(read_and_write(update));
	*changes = update->changes;
	*again = update->again;
	return NULL;
}

/* Looks at every page of the index; *sound: it can be read, and belongs together. */
static struct error *check(struct index *index, bool *sound)
{
	_cleanup_json_ json_t *found = NULL;
	struct error *err = index_query_one(index, "PRAGMA integrity_check(1)", NULL, &found);

	*sound = !err && strcmp(json_text(found, "integrity_check"), "ok") == 0;
	if (!err || !index->damaged)
		return err;
	error_destroy(err);
	return NULL;
}

static struct error *passes(struct index *index, const struct index_update_options *options,
	struct index_changes *changes)
{
	struct index_changes first, more;
	bool again = false;

	/* the rows stay until then, for those who read meanwhile */
	if (options->rebuild)
		try_(index_exec(index, "UPDATE files SET stamp = '', hash = '', grader = ''"));
	try_(pass(index, options, &first, &again));
	if (again) {
		try_(pass(index, options, &more, &again));
		first.indexed += more.indexed;
		first.unchanged -= more.indexed;
	}
	*changes = first;
	return NULL;
}

/* A damaged index is made anew: once, lest a disk that damages whatever is written to it keeps us
 * at it. */
static struct error *update_locked(struct index *index, const struct index_update_options *options,
	struct index_changes *changes)
{
	bool sound = true;
	struct error *err;

	try_(index_follow(index));
	if (options->check || options->rebuild)
		try_(check(index, &sound));
	if (!sound)
		try_(index_recreate(index));
	err = passes(index, options, changes);
	if (!err || !index->damaged || !sound)
		return err;
	error_destroy(err);
	try_(index_recreate(index));
	return passes(index, options, changes);
}

struct error *index_update(struct index *index, const struct index_update_options *options,
	struct index_changes *changes)
{
	struct index_changes made = {0};
	int64_t begin = clock_now_ns();
	struct error *err;

	try_(index_lock(index, options->deadline));
	err = update_locked(index, options, &made);
	index_unlock(index);
	if (err)
		return err;
	made.recreated = index->recreated;
	index->recreated = false;
	made.seconds = clock_seconds(begin, clock_now_ns());
	*changes = made;
	return NULL;
}
