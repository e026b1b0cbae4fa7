/* Merging another host's records: see import.h. Must never write outside the store, nor over
 * anything in it. */
#include "harness/record/import.h"

#include "harness/base/fs.h"
#include "harness/record/archive.h"
#include "harness/record/import_internal.h"
#include "harness/record/record.h"
#include "harness/record/samples.h"
#include "harness/record/synthetic.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct import {
	const char *results_dir;
	int root, runs; /* of it */
	struct staging staging;
	json_t *report;
	bool synthetic; /* the store */
};

static void import_deinit(struct import *import)
{
	staging_close(&import->staging);
	cleanup_close(&import->runs);
	cleanup_close(&import->root);
}

/* One record on its way in. */
struct arrival {
	int directory;	    /* where it is */
	const char *name;   /* there */
	const char *beside; /* directory there with its journal and logs; NULL: that of its id */
	char *path;	    /* for messages */
	char *text;
	size_t size;
	struct record *record;
	const char *id; /* borrowed from the record */
};

static void arrival_deinit(struct arrival *arrival)
{
	free(arrival->path);
	free(arrival->text);
	record_destroy(arrival->record);
}

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
	_cleanup_error_ struct error *err = fs_read_beneath(arrival->directory, arrival->name,
		RECORD_MAX_BYTES, &arrival->text, &arrival->size, NULL);
	_cleanup_json_ json_t *as_read = NULL;
	const char *refusal;

	if (!err)
		err = record_parse_json(arrival->path, arrival->text, arrival->size, &as_read);
	if (!err)
		err = record_of_json(arrival->path, as_read, &arrival->record);
	if (err)
		return format_string("%s", error_message(err));
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
		_cleanup_free_ char *path = format_string("%s/%s.json", places[i], id);
		_cleanup_free_ char *text = NULL;
		_cleanup_record_ struct record *record = NULL;
		_cleanup_error_ struct error *err = NULL;
		struct stat status;
		size_t size;

		if (fstatat(import->root, path, &status, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		err = fs_read_beneath(import->root, path, RECORD_MAX_BYTES, &text, &size, NULL);
		if (!err)
			err = record_parse(path, text, size, &record);
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

/* ---- one record ---- */

#define BESIDE "beside" /* in the staging directory */

static struct error *copy_beside(
	const struct import *import, const struct arrival *arrival, size_t *files)
{
	const struct staging *staging = &import->staging;
	const char *name = arrival->beside ? arrival->beside : arrival->id;
	_cleanup_free_ char *shown = format_string("%.*s%s",
		(int)(strlen(arrival->path) - strlen(arrival->name)), arrival->path, name);
	_cleanup_free_ char *complete = staging_path(staging, BESIDE "/complete");
	_cleanup_close_ int to = -1;

	if (mkdirat(staging->fd, BESIDE, 0755) == 0)
		to = openat(staging->fd, BESIDE, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (to < 0)
		return error_errno(
			errno, "cannot create a directory in %s/runs", import->results_dir);
	try_(import_beside(arrival->directory, name, shown, to, files));
	return *files ? fs_write_atomic(complete, "", 0) : NULL;
}

/* The directory appears whole. Its run is not to be resumed here, on another host. */
static struct error *take_beside(
	const struct import *import, const struct arrival *arrival, size_t *files)
{
	const struct staging *staging = &import->staging;
	_cleanup_free_ char *left = staging_path(staging, BESIDE);
	struct error *err = copy_beside(import, arrival, files);

	if (!err && *files > 0 &&
		fs_rename_new(staging->fd, BESIDE, import->runs, arrival->id) < 0) {
		*files = 0;
		if (errno != EEXIST)
			err = error_errno(errno, "cannot move the journal and logs to %s/runs/%s",
				import->results_dir, arrival->id);
		else
			/* of an import that was cut short, or somebody's own: it stays */
			json_array_append_new(arrival->record->notes,
				json_sprintf("its journal and logs were left out: there is a "
					     "runs/%s",
					arrival->id));
	}
	error_destroy(fs_remove_tree(left));
	return err;
}

static struct error *place_record(const struct import *import, const struct arrival *arrival)
{
	_cleanup_free_ char *name = format_string("%s.json", arrival->id);
	_cleanup_free_ char *temporary = staging_path(&import->staging, name);

	try_(fs_write_atomic(temporary, arrival->text, arrival->size));
	return fs_rename_new(import->staging.fd, name, import->runs, name) < 0
		       ? error_errno(errno, "cannot create %s/runs/%s", import->results_dir, name)
		       : NULL;
}

/* Journal and logs first: once the record is there, all is. */
static struct error *take_in(struct import *import, const struct arrival *arrival)
{
	size_t files = 0;
	struct error *err;

	err = take_beside(import, arrival, &files);
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

/* `shown` is the path of `directory`. */
static struct error *import_one(struct import *import, int directory, const char *shown,
	const char *name, const char *beside)
{
	_cleanup_(arrival_deinit) struct arrival arrival = {
		.directory = directory,
		.name = name,
		.beside = beside,
		.path = format_string("%s/%s", shown, name),
	};
	_cleanup_free_ char *reason = why_not(import, &arrival);

	if (reason) {
		refuse(import, arrival.path, reason);
		return NULL;
	}
	arrival.id = json_text(arrival.record->json, "id");
	/* Another import is waited for first: it may have brought the same. */
	try_(staging_open(&import->staging, import->root));
	return is_there(import, &arrival) ? NULL : take_in(import, &arrival);
}

/* ---- sources ---- */

static bool is_record_name(const char *name)
{
	size_t length = strlen(name);

	return *name != '.' && length > 5 && strcmp(name + length - 5, ".json") == 0;
}

/* The directory itself may be reached through links of the user's; what is in it may not. */
static struct error *import_place(
	struct import *import, int root, const char *path, const char *place, size_t *seen)
{
	_cleanup_free_ char *shown = format_string("%s/%s", path, place);
	int fd = openat(root, place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_directory_ DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!directory)
		return errno == ENOENT || errno == ENOTDIR
			       ? NULL
			       : error_errno(errno, "cannot list %s", shown);
	while ((entry = readdir(directory))) {
		if (!is_record_name(entry->d_name))
			continue;
		++*seen;
		try_(import_one(import, fd, strcmp(place, ".") == 0 ? path : shown, entry->d_name,
			strcmp(entry->d_name, "record.json") == 0 ? "." : NULL));
	}
	return NULL;
}

static struct error *import_directory(struct import *import, const char *path)
{
	static const char *const places[] = {".", "runs", "reference"};
	_cleanup_close_ int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	size_t seen = 0;

	if (root < 0)
		return error_errno(errno, "cannot list %s", path);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		try_(import_place(import, root, path, places[i], &seen));
	if (seen == 0)
		return error_hint(error_new(ERROR_USAGE, "%s has no records", path),
			"name a results directory, a record or an exported archive");
	return NULL;
}

/* Unpacked inside the store, so that the disk that fills is the one that is meant. */
static struct error *import_archive(struct import *import, const char *path)
{
	_cleanup_free_ char *unpacked = NULL;
	_cleanup_close_ int fd = -1;
	struct stat status;

	try_(staging_open(&import->staging, import->root));
	unpacked = staging_path(&import->staging, "unpacked");
	if (mkdirat(import->staging.fd, "unpacked", 0700) == 0)
		fd = openat(import->staging.fd, "unpacked", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(errno, "cannot create %s", unpacked);
	try_(archive_unpack(path, unpacked));
	if (fstatat(fd, "record.json", &status, AT_SYMLINK_NOFOLLOW) < 0)
		return error_hint(error_new(ERROR_USAGE, "archive %s has no record.json", path),
			"name an archive that fleetlab export made");
	return import_one(import, fd, unpacked, "record.json", ".");
}

/* A record, by its path. */
static struct error *import_file(struct import *import, const char *path)
{
	_cleanup_free_ char *copy = format_string("%s", path);
	char *slash = strrchr(copy, '/');
	const char *shown = slash == copy ? "" : slash ? copy : ".";
	_cleanup_close_ int directory = -1;

	if (slash)
		*slash = '\0';
	directory = open(slash == copy ? "/" : shown, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return error_errno(errno, "cannot open the directory of %s", path);
	return import_one(import, directory, shown, slash ? slash + 1 : path, NULL);
}

/* A JSON text begins with a brace, behind a little white space; no archive does. */
static struct error *is_text(const char *path, bool *text)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char begin[512];
	ssize_t size, at = 0;

	if (fd < 0)
		return error_errno(errno, "cannot open %s", path);
	size = read(fd, begin, sizeof(begin));
	if (size < 0)
		return error_errno(errno, "cannot read %s", path);
	if (size == 0)
		return error_new(ERROR_USAGE, "%s is empty", path);
	while (at < size - 1 && begin[at] && strchr(" \t\r\n", begin[at]))
		at++;
	*text = begin[at] == '{' || begin[at] == '[';
	return NULL;
}

static struct error *open_store(struct import *import)
{
	try_(fs_make_dirs(import->results_dir));
	import->root = open(import->results_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (import->root < 0)
		return error_errno(errno, "cannot use directory %s", import->results_dir);
	if (mkdirat(import->root, "runs", 0755) < 0 && errno != EEXIST)
		return error_errno(errno, "cannot create %s/runs", import->results_dir);
	import->runs =
		openat(import->root, "runs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (import->runs < 0)
		return error_hint(
			error_errno(errno, "cannot use directory %s/runs", import->results_dir),
			"it has to be a directory of the store itself, no link to one");
	import->staging.runs = import->runs;
	return NULL;
}

struct error *import_records(const char *results_dir, const char *source, json_t **report)
{
	_cleanup_json_ json_t *made =
		json_pack("{s:[], s:[], s:[]}", "imported", "same", "refused");
	_cleanup_(import_deinit) struct import import = {
		.results_dir = results_dir,
		.root = -1,
		.runs = -1,
		.staging = {.results_dir = results_dir, .lock_fd = -1, .fd = -1},
		.report = made,
		.synthetic = store_is_synthetic(results_dir),
	};
	struct stat status;
	bool text = false;

	if (stat(source, &status) < 0)
		return error_hint(error_errno(errno, "cannot import %s", source),
			"name a results directory, a record or an exported archive");
	if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode))
		return error_new(ERROR_USAGE, "%s is neither a file nor a directory", source);
	try_(open_store(&import));
	if (S_ISREG(status.st_mode))
		try_(is_text(source, &text));
	try_(S_ISDIR(status.st_mode) ? import_directory(&import, source)
		: text		     ? import_file(&import, source)
				     : import_archive(&import, source));
	*report = take_ptr(made);
	return NULL;
}
