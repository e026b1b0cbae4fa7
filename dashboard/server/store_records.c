/* Parsed records, the last few of which are kept: see store.h. Must never keep more than a bounded
 * amount, nor let two threads use one at a time. */
#include "dashboard/server/store_internal.h"

#include "harness/base/fs.h"
#include "harness/base/jsontext.h"
#include "harness/engine/journal.h"
#include "harness/record/samples.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* By the memory that they take, estimated from above. */
#define KEPT_MEMORY STORE_RECORD_MEMORY
#define KEPT_COUNT 12

#define LARGE_BYTES ((size_t)2 << 20)

struct held_record {
	struct store *store;
	char *id;
	char *stamp;	      /* changes whenever the file may have */
	size_t memory;	      /* 0 while it is not read */
	unsigned int holders; /* and who wait to hold it */
	bool dropped;	      /* is not in the list any more: the last holder frees it */
	pthread_mutex_t lock; /* of the holder; and while it is being read */
	struct record *record;
	json_t *row;
};

const struct record *held_record(const struct held_record *held)
{
	return held->record;
}

const json_t *held_row(const struct held_record *held)
{
	return held->row;
}

static void destroy(struct held_record *held)
{
	record_destroy(held->record);
	json_decref(held->row);
	pthread_mutex_destroy(&held->lock);
	free(held->id);
	free(held->stamp);
	free(held);
}

/* The lock of the list is held. */
static void drop(struct held_record *held)
{
	g_queue_remove(&held->store->records, held);
	held->dropped = true;
	if (held->holders == 0)
		destroy(held);
}

void store_forget_records(struct store *store)
{
	while (!g_queue_is_empty(&store->records))
		drop(g_queue_peek_head(&store->records));
}

/* Drops what was used longest ago until the rest is within bounds; never the one used last. */
static void make_room(struct store *store)
{
	size_t memory = 0;

	for (GList *item = store->records.head; item; item = item->next)
		memory += ((struct held_record *)item->data)->memory;
	while (store->records.length > 1 &&
		(memory > KEPT_MEMORY || store->records.length > KEPT_COUNT)) {
		struct held_record *last = g_queue_peek_tail(&store->records);

		memory -= last->memory;
		drop(last);
	}
}

/* The one with this id and stamp, counted as held; made, without a record, when there is none. */
static struct held_record *find(struct store *store, const char *id, const char *stamp)
{
	struct held_record *held = NULL;

	pthread_mutex_lock(&store->records_lock);
	for (GList *item = store->records.head, *next; item; item = next) {
		struct held_record *one = item->data;

		next = item->next;
		if (strcmp(one->id, id) != 0)
			continue;
		if (strcmp(one->stamp, stamp) == 0)
			held = one;
		else
			drop(one);
	}
	if (held) {
		g_queue_remove(&store->records, held);
	} else {
		held = calloc(1, sizeof(*held));
		if (!held)
			abort();
		held->store = store;
		held->id = format_string("%s", id);
		held->stamp = format_string("%s", stamp);
		pthread_mutex_init(&held->lock, NULL);
	}
	held->holders++;
	g_queue_push_head(&store->records, held);
	make_room(store);
	pthread_mutex_unlock(&store->records_lock);
	return held;
}

static void give_back(struct held_record *held, bool keep)
{
	struct store *store = held->store;

	pthread_mutex_unlock(&held->lock);
	pthread_mutex_lock(&store->records_lock);
	held->holders--;
	if (!keep && !held->dropped)
		drop(held);
	else if (held->dropped && held->holders == 0)
		destroy(held);
	pthread_mutex_unlock(&store->records_lock);
}

void store_release(struct held_record *held)
{
	if (held)
		give_back(held, true);
}

/* ---- reading ---- */

/* Which of a run's files is being read. */
struct source_file {
	const char *id, *path;
	int fd;
	bool is_journal;
	size_t memory;	/* that its content takes */
	bool too_large; /* to be shown */
};

static struct error *refuse(struct source_file *file, const char *why)
{
	struct error *err = error_new(ERROR_USAGE, "the %s of %s is too large to be shown%s",
		file->is_journal ? "journal" : "record", file->id, why);

	file->too_large = true;
	return file->is_journal ? err : error_hint(err, "fleetlab report %s", file->id);
}

static struct error *check_memory(struct source_file *file)
{
	char why[64];

	snprintf(why, sizeof(why), ": it takes more than %zu MiB of memory",
		STORE_RECORD_MEMORY >> 20);
	return file->memory > STORE_RECORD_MEMORY ? refuse(file, why) : NULL;
}

static struct error *read_record(struct source_file *file, size_t size, struct record **record)
{
	_cleanup_json_ json_t *json = NULL;
	_cleanup_free_ char *text = malloc(size + 1);
	size_t got = 0;
	ssize_t n;

	if (!text)
		abort();
	while (got < size && (n = read(file->fd, text + got, size - got)) > 0)
		got += (size_t)n;
	file->memory = jsontext_memory(text, got);
	try_(check_memory(file));
	try_(record_parse_json(file->path, text, got, &json));
	free(take_ptr(text));
	return record_of_json(file->path, json, record);
}

/* The header with all trials so far; NULL when there is none. */
static struct error *read_lines(
	struct source_file *file, struct journal_reader *reader, json_t **run)
{
	_cleanup_json_ json_t *header = NULL;
	_cleanup_json_ json_t *trials = json_array();

	for (;;) {
		_cleanup_json_ json_t *line = NULL;
		json_t *value;

		try_(journal_reader_next(reader, &line));
		if (!line)
			break;
		file->memory += journal_reader_memory(reader);
		try_(check_memory(file));
		if ((value = json_object_get(line, "run")) && !header)
			header = json_copy(value);
		else if ((value = json_object_get(line, "trial")))
			json_array_append(trials, value);
		else
			journal_take_plan(header, line);
	}
	json_object_set(header, "trials", trials);
	*run = take_ptr(header);
	return NULL;
}

/* A run without a record: what its journal says so far. */
static struct error *read_journal(struct source_file *file, struct record **record)
{
	_cleanup_(cleanup_journal_reader) struct journal_reader *reader =
		journal_reader_create(dup(file->fd));
	_cleanup_json_ json_t *run = NULL;

	try_(read_lines(file, reader, &run));
	if (!json_is_object(run))
		return error_new(ERROR_SETUP, "the run's journal is empty");
	return record_from_json(run, record);
}

static char *stamp_of(const char *kind, const struct stat *status)
{
	return format_string("%s %llu %lld %lld.%09ld", kind, (unsigned long long)status->st_ino,
		(long long)status->st_size, (long long)status->st_mtim.tv_sec,
		status->st_mtim.tv_nsec);
}

/* Opens the run's record, or its journal when it has none. *fd is -1 when it has neither. */
static struct error *open_run(struct reader *reader, const char *id, json_t **row, char **path,
	int *fd, struct stat *status)
{
	int root = store_root(reader->store);

	if (reader->index)
		try_(index_run(reader->index, id, row));
	*path = *row ? format_string("%s", json_text(*row, "path"))
		     : format_string("runs/%s/journal.jsonl", id);
	struct error *err = fs_open_beneath(root, *path, fd, status);

	/* the index may be behind: what is gone soon is for it, too */
	if (err && (!*row || faccessat(root, *path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)) {
		error_destroy(err);
		*fd = -1;
		return NULL;
	}
	return err;
}

/* Large ones are read one at a time: the text, what is parsed of it and what is made of that are
 * together for a moment. */
static struct error *fill(struct held_record *held, struct source_file *file, size_t size)
{
	struct store *store = held->store;
	bool large = size > LARGE_BYTES;
	struct error *err;

	if (held->record)
		return NULL;
	if (large)
		pthread_mutex_lock(&store->large_lock);
	err = file->is_journal ? read_journal(file, &held->record)
			       : read_record(file, size, &held->record);
	if (large)
		pthread_mutex_unlock(&store->large_lock);
	if (err)
		return err;
	pthread_mutex_lock(&store->records_lock);
	held->memory = file->memory;
	make_room(store);
	pthread_mutex_unlock(&store->records_lock);
	return NULL;
}

struct error *store_hold(
	struct reader *reader, const char *id, struct held_record **out, bool *too_large)
{
	_cleanup_json_ json_t *row = NULL;
	_cleanup_free_ char *path = NULL;
	_cleanup_free_ char *stamp = NULL;
	_cleanup_close_ int fd = -1;
	struct held_record *held;
	struct stat status;
	struct error *err;

	*out = NULL;
	try_(open_run(reader, id, &row, &path, &fd, &status));
	if (fd < 0)
		return NULL;
	struct source_file file = {.id = id, .path = path, .fd = fd, .is_journal = !row};

	if (status.st_size > (off_t)STORE_RECORD_BYTES) {
		*too_large = true;
		return refuse(&file, "");
	}
	stamp = stamp_of(row ? "record" : "journal", &status);
	held = find(reader->store, id, stamp);
	pthread_mutex_lock(&held->lock);
	err = fill(held, &file, (size_t)status.st_size);
	if (err) {
		*too_large = file.too_large;
		give_back(held, false);
		return err;
	}
	json_decref(held->row);
	held->row = take_ptr(row);
	*out = held;
	return NULL;
}
