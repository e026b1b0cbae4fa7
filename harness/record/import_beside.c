/* Copying what stands beside a record: see import_internal.h. Must never follow a link of the
 * source's, nor take a name that is not plain. */
#include "harness/record/import_internal.h"

#include "harness/base/fs.h"
#include "harness/record/archive.h"
#include "harness/record/import.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct copying {
	const char *shown; /* the directory, for messages */
	uint64_t bytes;
	size_t files;
};

static struct error *copy_file(struct copying *copying, int from, int to, const char *name)
{
	_cleanup_free_ char *data = NULL;
	_cleanup_close_ int fd = -1;
	size_t size;
	struct error *err = fs_read_beneath(from, name, IMPORT_MAX_BYTES, &data, &size, NULL);

	if (err)
		return error_prefix(err, "%s", copying->shown);
	copying->bytes += size;
	if (copying->bytes > IMPORT_MAX_BYTES || ++copying->files > ARCHIVE_MAX_FILES)
		return error_new(ERROR_USAGE, "what stands beside the record is too large");
	fd = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return error_errno(errno, "cannot create a copy of %s/%s", copying->shown, name);
	return fs_write_all(fd, data, size, name);
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

static int open_directory(int at, const char *name)
{
	return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* `from` is taken over. */
static struct error *copy_tree(struct copying *copying, int from, int to, unsigned int levels);

static struct error *copy_directory(
	struct copying *copying, int from, int to, const char *name, unsigned int levels)
{
	int source = open_directory(from, name);
	_cleanup_close_ int target = -1;

	if (source < 0) /* it is none any more */
		return NULL;
	if (mkdirat(to, name, 0755) == 0)
		target = open_directory(to, name);
	if (target < 0) {
		int cause = errno;

		close(source);
		return error_errno(cause, "cannot create a copy of %s/%s", copying->shown, name);
	}
	return copy_tree(copying, source, target, levels);
}

static struct error *copy_tree(struct copying *copying, int from, int to, unsigned int levels)
{
	_cleanup_directory_ DIR *directory = fdopendir(from);
	const struct dirent *entry;
	struct stat status;

	if (!directory) {
		close(from);
		return error_errno(ENOMEM, "cannot list %s", copying->shown);
	}
	while ((entry = readdir(directory))) {
		if (is_left_out(entry->d_name) ||
			fstatat(from, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISREG(status.st_mode))
			try_(copy_file(copying, from, to, entry->d_name));
		else if (S_ISDIR(status.st_mode) && levels > 1)
			try_(copy_directory(copying, from, to, entry->d_name, levels - 1));
	}
	return NULL;
}

struct error *import_beside(int from, const char *name, const char *shown, int to, size_t *files)
{
	struct copying copying = {.shown = shown};
	int fd = open_directory(from, name);

	*files = 0;
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
		return NULL;
	if (fd < 0)
		return error_errno(errno, "cannot list %s", shown);
	try_(copy_tree(&copying, fd, to, 2));
	*files = copying.files;
	return NULL;
}
