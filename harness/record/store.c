/* Finding records below a results directory: see record.h. Must never open a record to find it:
 * names tell their age. */
#include "harness/base/fs.h"
#include "harness/base/nearest.h"
#include "harness/record/record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

struct list {
	char **paths;
	size_t count, capacity;
};

static void list_deinit(struct list *list)
{
	record_list_destroy(list->paths, list->count);
}

void record_list_destroy(char **paths, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(paths[i]);
	free(paths);
}

static struct error *list_append(struct list *list, char *path)
{
	if (list->count == list->capacity) {
		size_t capacity = list->capacity ? 2 * list->capacity : 16;
		char **paths = reallocarray(list->paths, capacity, sizeof(*paths));

		if (!paths) {
			free(path);
			return error_errno(errno, "cannot list the records");
		}
		list->paths = paths;
		list->capacity = capacity;
	}
	list->paths[list->count++] = path;
	return NULL;
}

static void close_directory(DIR *directory)
{
	closedir(directory);
}
DEFINE_CLEANUP(directory, DIR *, close_directory)

static bool is_link(int directory, const struct dirent *entry)
{
	struct stat status;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_LNK;
	return fstatat(directory, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISLNK(status.st_mode);
}

/* Neither the directory nor a record in it may be a symbolic link: for the index they are not there
 * either. */
static struct error *scan(const char *path, struct list *list)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_(cleanup_directory) DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!directory)
		return errno == ENOENT || errno == ENOTDIR
			       ? NULL
			       : error_errno(errno, "cannot list %s", path);
	while ((entry = readdir(directory))) {
		size_t length = strlen(entry->d_name);

		if (entry->d_name[0] == '.' || length < 6 ||
			strcmp(entry->d_name + length - 5, ".json") != 0 || is_link(fd, entry))
			continue;
		try_(list_append(list, format_string("%s/%s", path, entry->d_name)));
	}
	return NULL;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

char *record_id_of_path(const char *path)
{
	const char *name = base_name(path);
	size_t length = strlen(name);

	if (length > 5 && strcmp(name + length - 5, ".json") == 0)
		length -= 5;
	return format_string("%.*s", (int)length, name);
}

/* Ids begin with the time of the run: the greatest name is the newest. */
static int newest_first(const void *a, const void *b)
{
	return strcmp(base_name(*(char *const *)b), base_name(*(char *const *)a));
}

static struct error *scan_all(const char *results_dir, struct list *list)
{
	static const char *const places[] = {"runs", "reference"};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		_cleanup_free_ char *path = format_string("%s/%s", results_dir, places[i]);

		try_(scan(path, list));
	}
	if (list->count)
		qsort(list->paths, list->count, sizeof(*list->paths), newest_first);
	return NULL;
}

struct error *record_list(const char *results_dir, char ***paths, size_t *count)
{
	_cleanup_(list_deinit) struct list list = {0};

	try_(scan_all(results_dir, &list));
	*paths = take_ptr(list.paths);
	*count = list.count;
	list.count = 0;
	return NULL;
}

static bool in_runs(const char *path)
{
	const char *name = base_name(path);

	return name - path > 5 && strncmp(name - 6, "/runs/", 6) == 0;
}

static struct error *find_latest(const struct list *list, const char *results_dir, char **path)
{
	struct error *err;

	for (size_t i = 0; i < list->count; i++) {
		if (in_runs(list->paths[i])) {
			*path = format_string("%s", list->paths[i]);
			return NULL;
		}
	}
	err = error_new(ERROR_USAGE, "there is no run below %s yet", results_dir);
	if (list->count) {
		_cleanup_free_ char *id = record_id_of_path(list->paths[0]);

		return error_hint(err,
			"fleetlab run shmipc --profile quick, or name a reference run: %s", id);
	}
	return error_hint(err, "fleetlab run shmipc --profile quick");
}

static struct error *unknown_run(const struct list *list, const char *what)
{
	struct error *err = error_new(ERROR_USAGE, "there is no run '%s'", what);
	_cleanup_(list_deinit) struct list ids = {0};
	const char *near;

	for (size_t i = 0; i < list->count; i++) {
		struct error *full = list_append(&ids, record_id_of_path(list->paths[i]));

		if (full) {
			error_destroy(full);
			break;
		}
	}
	if (ids.count == 0)
		return error_hint(err, "there are no runs yet: fleetlab run shmipc");
	near = nearest_name(what, (const char *const *)ids.paths, ids.count);
	if (near)
		return error_hint(err, "did you mean %s?", near);
	return error_hint(err, "the newest are: %s%s%s%s%s", ids.paths[0],
		ids.count > 1 ? ", " : "", ids.count > 1 ? ids.paths[1] : "",
		ids.count > 2 ? ", " : "", ids.count > 2 ? ids.paths[2] : "");
}

struct error *record_find(const char *results_dir, const char *what, char **path)
{
	_cleanup_(list_deinit) struct list list = {0};
	const char *match = NULL;
	struct stat status;

	if (strchr(what, '/') || (stat(what, &status) == 0 && S_ISREG(status.st_mode))) {
		if (stat(what, &status) != 0)
			return error_hint(error_errno(errno, "cannot read record %s", what),
				"fleetlab list shows the runs");
		*path = format_string("%s", what);
		return NULL;
	}
	try_(scan_all(results_dir, &list));
	if (strcmp(what, "latest") == 0)
		return find_latest(&list, results_dir, path);
	for (size_t i = 0; i < list.count && *what; i++) {
		_cleanup_free_ char *id = record_id_of_path(list.paths[i]);

		if (strncmp(id, what, strlen(what)) != 0)
			continue;
		if (strcmp(id, what) == 0) {
			match = list.paths[i];
			break;
		}
		if (match)
			return error_hint(error_new(ERROR_USAGE,
						  "'%s' is the beginning of several runs", what),
				"for example %s and %s: give more of it", base_name(match), id);
		match = list.paths[i];
	}
	if (!match)
		return unknown_run(&list, what);
	*path = format_string("%s", match);
	return NULL;
}
