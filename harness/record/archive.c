/* Archives by libarchive: see archive.h. Must never let a name of an archive's decide where
 * anything is written. */
#include "harness/record/archive.h"

#include "harness/base/fs.h"

#include <archive.h>
#include <archive_entry.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define CHUNK 65536

struct archive_writer {
	struct archive *archive;
	char *path, *temporary; /* temporary: NULL when there is no such file (any more) */
	int fd;			/* of it */
};

bool archive_name_is_plain(const char *name)
{
	unsigned int depth = 1;
	bool begins = true;

	if (strlen(name) > 512)
		return false;
	for (const char *p = name; *p; p++) {
		if (*p == '/') {
			if (begins || ++depth > ARCHIVE_MAX_DEPTH)
				return false;
			begins = true;
			continue;
		}
		if (!isascii(*p) || !(isalnum((unsigned char)*p) || strchr("._+:@-", *p)))
			return false;
		if (begins && *p == '.')
			return false;
		begins = false;
	}
	return !begins;
}

/* ---- writing ---- */

static bool ends_with(const char *path, const char *end)
{
	size_t length = strlen(path), its = strlen(end);

	return length > its && strcmp(path + length - its, end) == 0;
}

static int choose_filter(struct archive *archive, const char *path)
{
	if (ends_with(path, ".tar.zst"))
		return archive_write_add_filter_zstd(archive);
	if (ends_with(path, ".tar.gz") || ends_with(path, ".tgz"))
		return archive_write_add_filter_gzip(archive);
	return ARCHIVE_FATAL;
}

static struct error *writing_failed(const struct archive_writer *writer)
{
	int cause = archive_errno(writer->archive);
	const char *why = archive_error_string(writer->archive);

	if (cause == ENOSPC)
		return error_hint(error_errno(cause, "cannot write %s", writer->path),
			"make room, or name a file elsewhere");
	return error_new(
		ERROR_SETUP, "cannot write %s: %s", writer->path, why ? why : "unknown reason");
}

/* A new file in the same directory, under a name that nobody can have put a link at. */
static struct error *create_temporary(struct archive_writer *writer)
{
	_cleanup_free_ char *begin = format_string("%s.tmp-", writer->path);
	_cleanup_free_ char *name = fs_unguessed_name(begin);

	writer->fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (writer->fd < 0)
		return error_errno(errno, "cannot create a file beside %s", writer->path);
	writer->temporary = take_ptr(name);
	return NULL;
}

static struct error *open_archive(struct archive_writer *writer)
{
	if (choose_filter(writer->archive, writer->path) == ARCHIVE_FATAL)
		return error_hint(
			error_new(ERROR_USAGE, "%s does not say how to compress by its name",
				writer->path),
			"a name that ends in .tar.zst or .tar.gz");
	try_(create_temporary(writer));
	if (archive_write_set_format_pax_restricted(writer->archive) != ARCHIVE_OK ||
		/* gzip notes the time of writing unless told not to: equal input, equal archive */
		(ends_with(writer->path, "gz") &&
			archive_write_set_filter_option(
				writer->archive, "gzip", "timestamp", NULL) < ARCHIVE_WARN) ||
		archive_write_open_fd(writer->archive, writer->fd) != ARCHIVE_OK)
		return writing_failed(writer);
	return NULL;
}

static struct error *exists(const char *path)
{
	return error_hint(error_new(ERROR_USAGE, "%s exists", path), "name another file");
}

struct error *archive_create(const char *path, struct archive_writer **writer)
{
	struct archive_writer *made;
	struct stat status;
	struct error *err;

	if (lstat(path, &status) == 0)
		return exists(path);
	made = calloc(1, sizeof(*made));
	if (!made)
		abort();
	made->fd = -1;
	made->path = format_string("%s", path);
	made->archive = archive_write_new();
	err = open_archive(made);
	if (err) {
		archive_writer_destroy(made);
		return err;
	}
	*writer = made;
	return NULL;
}

struct error *archive_add(
	struct archive_writer *writer, const char *name, const void *data, size_t size, time_t when)
{
	struct archive_entry *entry = archive_entry_new();
	bool written;

	if (!entry)
		abort();
	archive_entry_set_pathname(entry, name);
	archive_entry_set_size(entry, (la_int64_t)size);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0644);
	archive_entry_set_mtime(entry, when, 0);
	written = archive_write_header(writer->archive, entry) == ARCHIVE_OK &&
		  archive_write_data(writer->archive, data, size) == (la_ssize_t)size;
	archive_entry_free(entry);
	return written ? NULL : writing_failed(writer);
}

struct error *archive_finish(struct archive_writer *writer)
{
	if (archive_write_close(writer->archive) != ARCHIVE_OK)
		return writing_failed(writer);
	if (fsync(writer->fd) < 0)
		return error_errno(errno, "cannot write %s", writer->path);
	if (fs_rename_new(AT_FDCWD, writer->temporary, AT_FDCWD, writer->path) < 0)
		return errno == EEXIST ? exists(writer->path)
				       : error_errno(errno, "cannot create %s", writer->path);
	free(take_ptr(writer->temporary));
	return NULL;
}

void archive_writer_destroy(struct archive_writer *writer)
{
	if (!writer)
		return;
	archive_write_free(writer->archive);
	if (writer->fd >= 0)
		close(writer->fd);
	if (writer->temporary)
		unlink(writer->temporary);
	free(writer->path);
	free(writer->temporary);
	free(writer);
}

/* ---- reading ---- */

struct unpacking {
	struct archive *archive;
	const char *path, *directory;
	char *top; /* the first part of all names; NULL before the first one */
	uint64_t bytes;
	size_t files;
};

static void unpacking_deinit(struct unpacking *unpacking)
{
	archive_read_free(unpacking->archive);
	free(unpacking->top);
}

static struct error *refuse(const struct unpacking *unpacking, const char *why)
{
	return error_new(ERROR_USAGE, "archive %s: %s", unpacking->path, why);
}

static struct error *reading_failed(const struct unpacking *unpacking)
{
	const char *why = archive_error_string(unpacking->archive);

	return refuse(unpacking, why ? why : "it is damaged");
}

/* The name below the archive's own directory; NULL for that directory itself. */
static struct error *inner_name(
	struct unpacking *unpacking, struct archive_entry *entry, char **name)
{
	const char *whole = archive_entry_pathname(entry);
	_cleanup_free_ char *plain = format_string("%s", whole ? whole : "");
	size_t length = strlen(plain), top;

	if (archive_entry_filetype(entry) == AE_IFDIR && length > 1 && plain[length - 1] == '/')
		plain[length - 1] = '\0';
	if (!archive_name_is_plain(plain))
		return refuse(unpacking, "a name in it is none that an exported run has");
	top = strcspn(plain, "/");
	if (!unpacking->top)
		unpacking->top = format_string("%.*s", (int)top, plain);
	if (strlen(unpacking->top) != top || strncmp(unpacking->top, plain, top) != 0)
		return refuse(unpacking, "its files are not in one directory");
	*name = plain[top] ? format_string("%s", plain + top + 1) : NULL;
	return NULL;
}

static struct error *make_parents(const char *path)
{
	_cleanup_free_ char *parent = format_string("%s", path);

	*strrchr(parent, '/') = '\0';
	return fs_make_dirs(parent);
}

static struct error *copy_data(struct unpacking *unpacking, int fd, const char *path)
{
	_cleanup_free_ char *buffer = malloc(CHUNK);

	if (!buffer)
		abort();
	for (;;) {
		la_ssize_t size = archive_read_data(unpacking->archive, buffer, CHUNK);

		if (size < 0)
			return reading_failed(unpacking);
		if (size == 0)
			return NULL;
		unpacking->bytes += (uint64_t)size;
		if (unpacking->bytes > ARCHIVE_MAX_BYTES)
			return refuse(unpacking, "it unpacks to more than 2 GiB");
		try_(fs_write_all(fd, buffer, (size_t)size, path));
	}
}

static struct error *unpack_entry(struct unpacking *unpacking, struct archive_entry *entry)
{
	bool directory = archive_entry_filetype(entry) == AE_IFDIR;
	_cleanup_free_ char *name = NULL;
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;

	if (++unpacking->files > ARCHIVE_MAX_FILES)
		return refuse(unpacking, "it has too many files");
	if ((archive_entry_filetype(entry) != AE_IFREG && !directory) ||
		archive_entry_hardlink(entry) || archive_entry_symlink(entry))
		return refuse(unpacking, "it has an entry that is no plain file");
	try_(inner_name(unpacking, entry, &name));
	if (directory)
		return NULL; /* made when a file needs it */
	if (!name)
		return refuse(unpacking, "its files are not in one directory");
	path = format_string("%s/%s", unpacking->directory, name);
	try_(make_parents(path));
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0 && errno == EEXIST)
		return refuse(unpacking, "a name stands twice in it");
	if (fd < 0)
		return error_errno(errno, "cannot create %s", path);
	return copy_data(unpacking, fd, path);
}

struct error *archive_unpack(const char *path, const char *directory)
{
	_cleanup_(unpacking_deinit) struct unpacking unpacking = {
		.archive = archive_read_new(), .path = path, .directory = directory};
	struct archive *archive = unpacking.archive;
	struct archive_entry *entry;
	int code;

	/* Only what is written by export: every other format is more to be attacked by. */
	if (!archive || archive_read_support_filter_zstd(archive) < ARCHIVE_WARN ||
		archive_read_support_filter_gzip(archive) < ARCHIVE_WARN ||
		archive_read_support_format_tar(archive) < ARCHIVE_WARN)
		return error_new(ERROR_SETUP, "cannot read archives: libarchive lacks tar or zstd");
	if (archive_read_open_filename(archive, path, CHUNK) != ARCHIVE_OK)
		return reading_failed(&unpacking);
	while ((code = archive_read_next_header(archive, &entry)) == ARCHIVE_OK ||
		code == ARCHIVE_WARN)
		try_(unpack_entry(&unpacking, entry));
	return code == ARCHIVE_EOF ? NULL : reading_failed(&unpacking);
}
