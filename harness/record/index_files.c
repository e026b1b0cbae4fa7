/* Which files a store has, and whether they may have changed: see index_internal.h. Must never open
 * one: there may be a hundred thousand. */
#include "harness/record/index_internal.h"

#include "harness/base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

void index_files_deinit(struct index_files *files)
{
	for (size_t i = 0; i < files->count; i++) {
		free(files->items[i].path);
		free(files->items[i].stamp);
		free(files->items[i].known_hash);
	}
	free(files->items);
}

static struct index_file *append(struct index_files *files)
{
	/* grows at powers of two */
	if ((files->count & (files->count - 1)) == 0) {
		size_t room = files->count ? 2 * files->count : 1;

		files->items = reallocarray(files->items, room, sizeof(*files->items));
		if (!files->items)
			abort();
	}
	files->items[files->count] = (struct index_file){0};
	return &files->items[files->count++];
}

static bool ends_with(const char *name, const char *end)
{
	size_t length = strlen(name), its = strlen(end);

	return length > its && strcmp(name + length - its, end) == 0;
}

static const char *why_foreign(const char *name, mode_t mode)
{
	if (S_ISLNK(mode))
		return "a symbolic link: records are files of the store itself";
	if (S_ISDIR(mode))
		return "a directory";
	if (!S_ISREG(mode))
		return "no regular file";
	if (strstr(name, ".json.tmp-"))
		return "left by a write that was cut short: remove it";
	return ends_with(name, ".json") ? NULL : "no record: its name does not end in .json";
}

/* `place` NULL: the name is RESULTS' own. */
static void add(
	struct index_files *files, const char *place, const char *name, const struct stat *status)
{
	struct index_file *file = append(files);

	file->path = place ? format_string("%s/%s", place, name) : format_string("%s", name);
	file->stamp = format_string("%lld %llu %lld.%09ld %lld.%09ld", (long long)status->st_size,
		(unsigned long long)status->st_ino, (long long)status->st_mtim.tv_sec,
		status->st_mtim.tv_nsec, (long long)status->st_ctim.tv_sec,
		status->st_ctim.tv_nsec);
	file->bytes = status->st_size;
	file->foreign = why_foreign(name, status->st_mode);
}

static void close_directory(DIR *directory)
{
	closedir(directory);
}
DEFINE_CLEANUP(directory, DIR *, close_directory)

static struct error *scan(
	int root, const char *results_dir, const char *place, struct index_files *files)
{
	int fd = openat(root, place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_(cleanup_directory) DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	struct stat status;

	if (!directory && errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
		return error_errno(errno, "cannot list %s/%s", results_dir, place);
	if (!directory) {
		/* listed, lest somebody wonders where the records are */
		if (fstatat(root, place, &status, AT_SYMLINK_NOFOLLOW) == 0)
			add(files, NULL, place, &status);
		return NULL;
	}
	while ((entry = readdir(directory))) {
		/* Hidden files are somebody's own; directories are the journals of runs. */
		if (entry->d_name[0] == '.' ||
			fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISDIR(status.st_mode) && !ends_with(entry->d_name, ".json"))
			continue;
		add(files, place, entry->d_name, &status);
	}
	return NULL;
}

static int by_path(const void *a, const void *b)
{
	const struct index_file *x = a, *y = b;

	return strcmp(x->path, y->path);
}

struct error *index_files_scan(int root, const char *results_dir, struct index_files *files)
{
	try_(scan(root, results_dir, "runs", files));
	try_(scan(root, results_dir, "reference", files));
	if (files->count)
		qsort(files->items, files->count, sizeof(*files->items), by_path);
	return NULL;
}
