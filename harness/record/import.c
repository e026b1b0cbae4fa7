/* Merging another host's records: see import.h. Must never write outside the store, nor over
 * anything in it. */
#include "harness/record/import.h"

#include "harness/base/fs.h"
#include "harness/record/archive.h"
#include "harness/record/record.h"
#include "harness/record/samples.h"
#include "harness/record/synthetic.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct import {
	const char *results_dir;
	json_t *report;
	bool synthetic; /* the store */
};

/* One record on its way in. */
struct arrival {
	const char *path;   /* of the record */
	const char *beside; /* directory with its journal and logs; need not exist */
	char *text;
	size_t size;
	struct record *record;
	const char *id; /* borrowed from the record */
};

static void arrival_deinit(struct arrival *arrival)
{
	free(arrival->text);
	record_destroy(arrival->record);
}

static void close_directory(DIR *directory)
{
	closedir(directory);
}
DEFINE_CLEANUP(directory, DIR *, close_directory)

static void tell(struct import *import, const char *list, json_t *item)
{
	json_array_append_new(json_object_get(import->report, list), item);
}

static json_t *path_value(const char *path)
{
	json_t *value = json_string(path);

	return value ? value : json_string("a file whose name is no UTF-8");
}

static void refuse(struct import *import, const char *path, const char *reason)
{
	tell(import, "refused",
		json_pack("{s:o, s:o}", "file", path_value(path), "reason", path_value(reason)));
}

/* ---- the record ---- */

/* NULL when it is one that fleetlab wrote, whole and unchanged. */
static char *why_not(const struct import *import, struct arrival *arrival)
{
	_cleanup_error_ struct error *err = fs_read_regular(
		arrival->path, RECORD_MAX_BYTES, &arrival->text, &arrival->size, NULL);
	_cleanup_json_ json_t *as_read = NULL;
	const char *refusal;

	if (!err)
		err = record_parse(arrival->path, arrival->text, arrival->size, &arrival->record);
	if (err)
		return format_string("%s", error_message(err));
	as_read = json_loadb(arrival->text, arrival->size, JSON_REJECT_DUPLICATES, NULL);
	if (!record_is_as_written(as_read))
		return format_string("it was changed after it was written: its digest does not "
				     "fit its content");
	refusal = store_refuses(import->synthetic, arrival->record->json);
	return refusal ? format_string("%s", refusal) : NULL;
}

/* The digest of the record with this id in the store; NULL: there is none. *damaged: there is a
 * file, but no such record in it. */
static char *digest_in_store(const struct import *import, const char *id, bool *damaged)
{
	static const char *const places[] = {"runs", "reference"};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		_cleanup_free_ char *path =
			format_string("%s/%s/%s.json", import->results_dir, places[i], id);
		_cleanup_record_ struct record *record = NULL;
		_cleanup_error_ struct error *err = NULL;
		struct stat status;

		if (lstat(path, &status) < 0)
			continue;
		err = record_load(path, &record);
		*damaged = err || strcmp(json_text(record->json, "id"), id) != 0 || record->altered;
		return format_string("%s", err ? "" : json_text(record->json, "digest"));
	}
	return NULL;
}

/* True when the store has this id; what that means is told. */
static bool is_there(struct import *import, const struct arrival *arrival)
{
	bool damaged = false;
	_cleanup_free_ char *digest = digest_in_store(import, arrival->id, &damaged);

	if (!digest)
		return false;
	if (strcmp(digest, json_text(arrival->record->json, "digest")) == 0)
		tell(import, "same", json_pack("{s:s}", "id", arrival->id));
	else if (damaged)
		refuse(import, arrival->path,
			"the store has a damaged or changed record of this id: look at that first");
	else
		refuse(import, arrival->path,
			"the store has another record with this id: one of the two was not made by "
			"its run");
	return true;
}

/* ---- what stands beside it ---- */

struct copying {
	uint64_t bytes;
	size_t files;
};

static struct error *copy_file(struct copying *copying, const char *from, const char *to)
{
	_cleanup_free_ char *data = NULL;
	_cleanup_close_ int fd = -1;
	size_t size;

	try_(fs_read_regular(from, IMPORT_MAX_BYTES, &data, &size, NULL));
	copying->bytes += size;
	if (copying->bytes > IMPORT_MAX_BYTES || ++copying->files > ARCHIVE_MAX_FILES)
		return error_new(ERROR_USAGE, "what stands beside the record is too large");
	fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return error_errno(errno, "cannot create %s", to);
	return fs_write_all(fd, data, size, to);
}

/* Said by the record itself, or of this host only. */
static bool is_left_out(const char *name)
{
	static const char *const names[] = {
		"complete", "record.json", "README.md", "SHA256SUMS", "runs", "reference"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return !archive_name_is_plain(name);
}

/* Plain files under plain names, two levels deep; the rest is left where it is. */
static struct error *copy_tree(
	struct copying *copying, const char *from, const char *to, unsigned int levels)
{
	int fd = open(from, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_(cleanup_directory) DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	struct stat status;

	if (!directory) {
		cleanup_close(&fd);
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP
			       ? NULL
			       : error_errno(errno, "cannot list %s", from);
	}
	while ((entry = readdir(directory))) {
		_cleanup_free_ char *source = format_string("%s/%s", from, entry->d_name);
		_cleanup_free_ char *target = format_string("%s/%s", to, entry->d_name);

		if (is_left_out(entry->d_name) || lstat(source, &status) < 0)
			continue;
		if (S_ISREG(status.st_mode)) {
			try_(copy_file(copying, source, target));
		} else if (S_ISDIR(status.st_mode) && levels > 1) {
			if (mkdir(target, 0755) < 0)
				return error_errno(errno, "cannot create %s", target);
			try_(copy_tree(copying, source, target, levels - 1));
		}
	}
	return NULL;
}

/* The directory appears whole. Its run is not to be resumed here, on another host. */
static struct error *take_beside(const struct import *import, const struct arrival *arrival,
	const char *staging, size_t *files)
{
	_cleanup_free_ char *target = format_string("%s/runs/%s", import->results_dir, arrival->id);
	_cleanup_free_ char *complete = format_string("%s/complete", staging);
	struct copying copying = {0};

	*files = 0;
	try_(copy_tree(&copying, arrival->beside, staging, 2));
	if (copying.files == 0)
		return NULL;
	try_(fs_write_atomic(complete, "", 0));
	if (renameat2(AT_FDCWD, staging, AT_FDCWD, target, RENAME_NOREPLACE) < 0) {
		if (errno != EEXIST)
			return error_errno(errno, "cannot move the journal and logs to %s", target);
		/* of an import that was cut short, or somebody's own: what is there stays */
		json_array_append_new(arrival->record->notes,
			json_sprintf("its journal and logs were left out: there is a runs/%s",
				arrival->id));
		return NULL;
	}
	*files = copying.files;
	return NULL;
}

/* ---- one record ---- */

static struct error *make_staging(const struct import *import, char **path)
{
	_cleanup_free_ char *made = format_string("%s/runs/.import-XXXXXX", import->results_dir);

	if (!mkdtemp(made) || chmod(made, 0755) < 0)
		return error_errno(
			errno, "cannot create a directory in %s/runs", import->results_dir);
	*path = take_ptr(made);
	return NULL;
}

static struct error *place_record(const struct import *import, const struct arrival *arrival)
{
	_cleanup_free_ char *target =
		format_string("%s/runs/%s.json", import->results_dir, arrival->id);
	_cleanup_free_ char *temporary =
		format_string("%s/runs/.import-%s.json", import->results_dir, arrival->id);
	struct error *err;

	try_(fs_write_atomic(temporary, arrival->text, arrival->size));
	err = renameat2(AT_FDCWD, temporary, AT_FDCWD, target, RENAME_NOREPLACE) < 0
		      ? error_errno(errno, "cannot create %s", target)
		      : NULL;
	if (err)
		unlink(temporary);
	return err;
}

/* Journal and logs first: once the record is there, all is. */
static struct error *take_in(struct import *import, const struct arrival *arrival)
{
	_cleanup_free_ char *staging = NULL;
	size_t files = 0;
	struct error *err;

	try_(make_staging(import, &staging));
	err = take_beside(import, arrival, staging, &files);
	error_destroy(fs_remove_tree(staging));
	if (err && error_kind(err) == ERROR_USAGE) {
		refuse(import, arrival->path, error_message(err));
		error_destroy(err);
		return NULL;
	}
	if (err)
		return err;
	try_(place_record(import, arrival));
	tell(import, "imported",
		json_pack("{s:s, s:I, s:O}", "id", arrival->id, "files", (json_int_t)files, "notes",
			arrival->record->notes));
	return NULL;
}

/* `beside` NULL: a directory with the record's id, where the record is. */
static struct error *import_one(struct import *import, const char *path, const char *beside)
{
	_cleanup_(arrival_deinit) struct arrival arrival = {.path = path, .beside = beside};
	_cleanup_free_ char *reason = why_not(import, &arrival);
	_cleanup_free_ char *usual = NULL;
	const char *slash = strrchr(path, '/');

	if (reason) {
		refuse(import, path, reason);
		return NULL;
	}
	arrival.id = json_text(arrival.record->json, "id");
	usual = format_string("%.*s%s", slash ? (int)(slash + 1 - path) : 0, path, arrival.id);
	if (!beside)
		arrival.beside = usual;
	return is_there(import, &arrival) ? NULL : take_in(import, &arrival);
}

/* ---- sources ---- */

static bool is_record_name(const char *name)
{
	size_t length = strlen(name);

	return *name != '.' && length > 5 && strcmp(name + length - 5, ".json") == 0;
}

static struct error *import_place(struct import *import, const char *path, size_t *seen)
{
	_cleanup_(cleanup_directory) DIR *directory = opendir(path);
	const struct dirent *entry;

	if (!directory)
		return errno == ENOENT || errno == ENOTDIR
			       ? NULL
			       : error_errno(errno, "cannot list %s", path);
	while ((entry = readdir(directory))) {
		_cleanup_free_ char *file = format_string("%s/%s", path, entry->d_name);

		if (!is_record_name(entry->d_name))
			continue;
		++*seen;
		try_(import_one(
			import, file, strcmp(entry->d_name, "record.json") == 0 ? path : NULL));
	}
	return NULL;
}

static struct error *import_directory(struct import *import, const char *path)
{
	static const char *const places[] = {"", "/runs", "/reference"};
	size_t seen = 0;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		_cleanup_free_ char *place = format_string("%s%s", path, places[i]);

		try_(import_place(import, place, &seen));
	}
	if (seen == 0)
		return error_hint(error_new(ERROR_USAGE, "%s has no records", path),
			"name a results directory, a record or an exported archive");
	return NULL;
}

/* Unpacked inside the store, so that the disk that fills is the one that is meant. */
static struct error *import_archive(struct import *import, const char *path)
{
	_cleanup_free_ char *staging = NULL;
	_cleanup_free_ char *record = NULL;
	struct error *err;

	try_(make_staging(import, &staging));
	record = format_string("%s/record.json", staging);
	err = archive_unpack(path, staging);
	if (!err && access(record, F_OK) < 0)
		err = error_hint(error_new(ERROR_USAGE, "archive %s has no record.json", path),
			"name an archive that fleetlab export made");
	if (!err)
		err = import_one(import, record, staging);
	error_destroy(fs_remove_tree(staging));
	return err;
}

/* A JSON text begins with a brace; no archive does. */
static struct error *is_text(const char *path, bool *text)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char first = 0;

	if (fd < 0)
		return error_errno(errno, "cannot open %s", path);
	do {
		if (read(fd, &first, 1) != 1)
			return error_new(ERROR_USAGE, "%s is empty", path);
	} while (strchr(" \t\r\n", first));
	*text = first == '{' || first == '[';
	return NULL;
}

struct error *import_records(const char *results_dir, const char *source, json_t **report)
{
	_cleanup_json_ json_t *made =
		json_pack("{s:[], s:[], s:[]}", "imported", "same", "refused");
	struct import import = {.results_dir = results_dir,
		.report = made,
		.synthetic = store_is_synthetic(results_dir)};
	_cleanup_free_ char *runs = format_string("%s/runs", results_dir);
	struct stat status;
	bool text = false;

	if (stat(source, &status) < 0)
		return error_hint(error_errno(errno, "cannot import %s", source),
			"name a results directory, a record or an exported archive");
	if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode))
		return error_new(ERROR_USAGE, "%s is neither a file nor a directory", source);
	try_(fs_make_dirs(runs));
	if (S_ISREG(status.st_mode))
		try_(is_text(source, &text));
	try_(S_ISDIR(status.st_mode) ? import_directory(&import, source)
		: text		     ? import_one(&import, source, NULL)
				     : import_archive(&import, source));
	*report = take_ptr(made);
	return NULL;
}
