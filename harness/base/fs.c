/* Files and directories: see fs.h. */
#include "harness/base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <xxhash.h>

char *format_string(const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		abort();
	va_end(args);
	return text;
}

char *fs_unguessed_name(const char *begin)
{
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		abort();
	return format_string("%s%016llx", begin, (unsigned long long)random);
}

struct error *fs_make_dirs(const char *path)
{
	_cleanup_free_ char *copy = format_string("%s", path);
	struct stat st;

	if (path[0] == '\0')
		return error_new(ERROR_SETUP, "cannot create a directory without a name");
	for (char *p = copy + 1;; p++) {
		if (*p != '/' && *p != '\0')
			continue;
		char saved = *p;

		*p = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			return error_errno(errno, "cannot create directory %s", copy);
		*p = saved;
		if (saved == '\0')
			break;
	}
	if (stat(path, &st) < 0)
		return error_errno(errno, "cannot use directory %s", path);
	if (!S_ISDIR(st.st_mode))
		return error_errno(ENOTDIR, "cannot use directory %s", path);
	return NULL;
}

static struct error *read_whole(
	int fd, const char *path, size_t max_size, char **data, size_t *size)
{
	_cleanup_free_ char *buffer = NULL;
	size_t used = 0;
	size_t room = 0;

	for (;;) {
		if (used + 1 >= room) {
			char *grown;

			room = room ? room * 2 : 4096;
			grown = realloc(buffer, room);
			if (!grown)
				return error_errno(ENOMEM, "cannot read %s", path);
			buffer = grown;
		}
		ssize_t n = read(fd, buffer + used, room - used - 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(errno, "cannot read %s", path);
		if (n == 0)
			break;
		used += (size_t)n;
		if (used > max_size)
			return error_new(
				ERROR_SETUP, "%s is larger than %zu bytes", path, max_size);
	}
	buffer[used] = '\0';
	*data = take_ptr(buffer);
	if (size)
		*size = used;
	return NULL;
}

struct error *fs_read(const char *path, size_t max_size, char **data, size_t *size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return error_errno(errno, "cannot open %s", path);
	return read_whole(fd, path, max_size, data, size);
}

struct error *fs_read_regular(
	const char *path, size_t max_size, char **data, size_t *size, struct stat *status)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat found;

	if (fd < 0 && errno == ELOOP)
		return error_new(ERROR_USAGE, "%s is a symbolic link", path);
	if (fd < 0 || fstat(fd, &found) < 0)
		return error_errno(errno, "cannot open %s", path);
	if (!S_ISREG(found.st_mode))
		return error_new(ERROR_USAGE, "%s is no regular file", path);
	if (found.st_size > (off_t)max_size)
		return error_new(ERROR_USAGE, "%s is larger than %zu bytes", path, max_size);
	try_(read_whole(fd, path, max_size, data, size));
	if (status)
		*status = found;
	return NULL;
}

struct error *fs_open_beneath(int root, const char *path, int *fd, struct stat *status)
{
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	_cleanup_close_ int opened = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	struct stat found;

	if (opened < 0 && (errno == ELOOP || errno == EXDEV))
		return error_new(ERROR_USAGE, "%s is, or is behind, a symbolic link", path);
	if (opened < 0 || fstat(opened, &found) < 0)
		return error_errno(errno, "cannot open %s", path);
	if (!S_ISREG(found.st_mode))
		return error_new(ERROR_USAGE, "%s is no regular file", path);
	if (status)
		*status = found;
	*fd = take_fd(&opened);
	return NULL;
}

struct error *fs_read_beneath(
	int root, const char *path, size_t max_size, char **data, size_t *size, struct stat *status)
{
	_cleanup_close_ int fd = -1;
	struct stat found = {0};

	try_(fs_open_beneath(root, path, &fd, &found));
	if (found.st_size > (off_t)max_size)
		return error_new(ERROR_USAGE, "%s is larger than %zu bytes", path, max_size);
	try_(read_whole(fd, path, max_size, data, size));
	if (status)
		*status = found;
	return NULL;
}

char *fs_read_line(const char *path)
{
	char *text = NULL;
	size_t size = 0;
	struct error *err = fs_read(path, 1 << 16, &text, &size);

	if (err) {
		error_destroy(err);
		return NULL;
	}
	while (size > 0 && strchr(" \t\r\n", text[size - 1]))
		text[--size] = '\0';
	return text;
}

struct error *fs_write_all(int fd, const void *data, size_t size, const char *what)
{
	const char *p = data;

	while (size > 0) {
		ssize_t n = write(fd, p, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(errno, "cannot write %s", what);
		p += n;
		size -= (size_t)n;
	}
	return NULL;
}

static struct error *sync_directory_of(const char *path)
{
	_cleanup_free_ char *copy = format_string("%s", path);
	_cleanup_close_ int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return error_errno(errno, "cannot sync the directory of %s", path);
	return NULL;
}

struct error *fs_write_atomic(const char *path, const void *data, size_t size)
{
	_cleanup_free_ char *temporary = format_string("%s.tmp-XXXXXX", path);
	_cleanup_close_ int fd = mkostemp(temporary, O_CLOEXEC);
	struct error *err;

	if (fd < 0)
		return error_errno(errno, "cannot create a file beside %s", path);
	err = fs_write_all(fd, data, size, path);
	if (!err && (fchmod(fd, 0644) < 0 || fsync(fd) < 0))
		err = error_errno(errno, "cannot write %s", path);
	if (!err && rename(temporary, path) < 0)
		err = error_errno(errno, "cannot rename %s to %s", temporary, path);
	if (err) {
		unlink(temporary);
		return err;
	}
	return sync_directory_of(path);
}

static int move_directory(int from_directory, const char *from, int to_directory, const char *to)
{
	if (mkdirat(to_directory, to, 0755) < 0)
		return -1;
	/* replaces an empty directory only: somebody's who has put something into it stays */
	if (renameat(from_directory, from, to_directory, to) == 0)
		return 0;
	int cause = errno;

	unlinkat(to_directory, to, AT_REMOVEDIR);
	errno = cause == ENOTEMPTY ? EEXIST : cause;
	return -1;
}

int fs_rename_new(int from_directory, const char *from, int to_directory, const char *to)
{
	struct stat status;

	if (renameat2(from_directory, from, to_directory, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (fstatat(from_directory, from, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	if (S_ISDIR(status.st_mode))
		return move_directory(from_directory, from, to_directory, to);
	if (linkat(from_directory, from, to_directory, to, 0) < 0)
		return -1;
	return unlinkat(from_directory, from, 0);
}

struct error *fs_write_value(const char *path, const char *value)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
	size_t size = strlen(value);

	if (fd < 0)
		return error_errno(errno, "cannot open %s for writing", path);
	if (write(fd, value, size) != (ssize_t)size)
		return error_errno(errno, "cannot write '%s' to %s", value, path);
	return NULL;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

struct error *fs_remove_tree(const char *path)
{
	struct stat st;

	/* Others may remove the same tree: a directory that goes between two looks at it ends the
	 * walk, which is then begun again. */
	while (nftw(path, remove_entry, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) < 0) {
		if (errno != ENOENT)
			return error_errno(errno, "cannot remove %s", path);
		if (lstat(path, &st) < 0)
			break;
	}
	return NULL;
}

struct error *fs_free_bytes(const char *path, uint64_t *bytes)
{
	_cleanup_free_ char *copy = format_string("%s", path);
	struct statvfs vfs;

	while (statvfs(copy, &vfs) < 0) {
		char *parent = strrchr(copy, '/');

		if (errno != ENOENT || !parent || strcmp(copy, "/") == 0)
			return error_errno(errno, "cannot measure free space at %s", path);
		parent[parent == copy ? 1 : 0] = '\0';
	}
	*bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	return NULL;
}

static void hash_to_hex(XXH128_hash_t hash, char *hex)
{
	snprintf(hex, 33, "%016llx%016llx", (unsigned long long)hash.high64,
		(unsigned long long)hash.low64);
}

void fs_hash_bytes(const void *data, size_t size, char *hex)
{
	hash_to_hex(XXH3_128bits(data, size), hex);
}

char *fs_identity(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return format_string("%s missing", path);
	return format_string("%s %lld.%09ld %lld", path, (long long)st.st_mtim.tv_sec,
		st.st_mtim.tv_nsec, (long long)st.st_size);
}

DEFINE_CLEANUP(xxh3_state, XXH3_state_t *, XXH3_freeState)

struct error *fs_hash_file(const char *path, char *hex)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_(cleanup_xxh3_state) XXH3_state_t *state = XXH3_createState();
	_cleanup_free_ char *buffer = malloc(1 << 20);

	if (fd < 0)
		return error_errno(errno, "cannot open %s", path);
	if (!state || !buffer || XXH3_128bits_reset(state) != XXH_OK)
		return error_errno(ENOMEM, "cannot hash %s", path);
	for (;;) {
		ssize_t n = read(fd, buffer, 1 << 20);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(errno, "cannot read %s", path);
		if (n == 0)
			break;
		XXH3_128bits_update(state, buffer, (size_t)n);
	}
	hash_to_hex(XXH3_128bits_digest(state), hex);
	return NULL;
}

static const char *environment(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] ? value : NULL;
}

static char *xdg_dir(const char *variable, const char *below_home)
{
	const char *base = environment(variable);
	const char *home = environment("HOME");

	if (base && base[0] == '/')
		return format_string("%s/fleetlab", base);
	return format_string("%s/%s/fleetlab", home ? home : "", below_home);
}

char *fs_cache_dir(void)
{
	const char *chosen = environment("FLEETLAB_CACHE");

	return chosen ? format_string("%s", chosen) : xdg_dir("XDG_CACHE_HOME", ".cache");
}

char *fs_results_dir(void)
{
	const char *chosen = environment("FLEETLAB_RESULTS");
	struct stat st;

	if (chosen)
		return format_string("%s", chosen);
	if (stat("results", &st) == 0 && S_ISDIR(st.st_mode))
		return format_string("results");
	return xdg_dir("XDG_STATE_HOME", ".local/state");
}

char *fs_results_words(const char *dir)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789/._-+=:,@%";
	_cleanup_free_ char *fallback = fs_results_dir();
	_cleanup_free_ char *quoted = NULL;
	size_t size;

	if (strcmp(dir, fallback) == 0)
		return format_string("%s", "");
	if (dir[strspn(dir, plain)] == '\0')
		return format_string(" --results %s", dir);
	FILE *out = open_memstream(&quoted, &size);

	if (!out)
		abort();
	for (const char *p = dir; *p; p++) {
		if (*p == '\'')
			fputs("'\\'", out); /* out of the quotes, one, and in again */
		fputc(*p, out);
	}
	if (fclose(out) != 0)
		abort();
	return format_string(" --results '%s'", quoted);
}

char *fs_runtime_dir(void)
{
	const char *chosen = environment("XDG_RUNTIME_DIR");

	if (geteuid() == 0 || !chosen)
		return format_string("/run/fleetlab");
	return format_string("%s/fleetlab", chosen);
}
