/* Listing a run's logs: see run_logs.h. Must never follow a link out of the run's directory. */
#include "dashboard/server/run_logs.h"

#include "harness/base/fs.h"
#include "harness/record/archive.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

DEFINE_CLEANUP(dir, DIR *, closedir)

static DIR *open_below(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

	if (fd >= 0 && !dir)
		close(fd);
	return dir;
}

static bool is_log(const char *name)
{
	return archive_name_is_plain(name) && strcmp(name, "journal.jsonl") != 0 &&
	       strcmp(name, "complete") != 0;
}

/* Files of a directory, and of those in it where `deeper`; at most RUN_LOGS_MAX in all. */
static void list(int at, const char *directory, const char *prefix, bool deeper, json_t *logs)
{
	_cleanup_(cleanup_dir) DIR *dir = open_below(at, directory);
	struct dirent *entry;
	struct stat status;

	while (dir && (entry = readdir(dir)) && json_array_size(logs) < RUN_LOGS_MAX) {
		_cleanup_free_ char *name = format_string("%s%s", prefix, entry->d_name);

		if (!is_log(name) ||
			fstatat(dirfd(dir), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISREG(status.st_mode)) {
			json_array_append_new(logs, json_pack("{s:s, s:I}", "name", name, "bytes",
							    (json_int_t)status.st_size));
		} else if (S_ISDIR(status.st_mode) && deeper) {
			_cleanup_free_ char *below = format_string("%s/", name);

			list(dirfd(dir), entry->d_name, below, false, logs);
		}
	}
}

static int by_name(const void *a, const void *b)
{
	return strcmp(json_string_value(json_object_get(*(json_t *const *)a, "name")),
		json_string_value(json_object_get(*(json_t *const *)b, "name")));
}

static json_t *sorted(json_t *logs)
{
	size_t count = json_array_size(logs);
	_cleanup_free_ json_t **items = calloc(count + 1, sizeof(json_t *));
	json_t *out = json_array();

	if (!items)
		abort();
	for (size_t i = 0; i < count; i++)
		items[i] = json_array_get(logs, i);
	qsort(items, count, sizeof(json_t *), by_name);
	for (size_t i = 0; i < count; i++)
		json_array_append(out, items[i]);
	json_decref(logs);
	return out;
}

static json_t *list_run(int root, const char *id)
{
	_cleanup_free_ char *path = format_string("runs/%s", id);
	json_t *logs = json_array();

	list(root, path, "", true, logs);
	return logs;
}

json_t *run_logs(int root, const char *id)
{
	return sorted(list_run(root, id));
}

size_t run_logs_count(int root, const char *id)
{
	_cleanup_json_ json_t *logs = list_run(root, id);

	return json_array_size(logs);
}

json_t *run_logs_of_trial(int root, const char *id, json_int_t index)
{
	_cleanup_free_ char *path = format_string("runs/%s/trial-%04lld", id, (long long)index);
	_cleanup_free_ char *prefix = format_string("trial-%04lld/", (long long)index);
	json_t *logs = json_array();

	list(root, path, prefix, false, logs);
	return sorted(logs);
}
