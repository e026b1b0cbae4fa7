/* A guest's root while it is put together: see tree.h. Must never leave the directory. */
#include "harness/image/tree.h"
#include "harness/base/embedded.h"
#include "harness/base/fs.h"
#include "harness/base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>

struct error *tree_open(struct tree *tree, const char *path)
{
	int fd;

	try_(fs_make_dirs(path));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(errno, "cannot open %s", path);
	*tree = (struct tree){.fd = fd, .path = format_string("%s", path)};
	return NULL;
}

void tree_close(struct tree *tree)
{
	if (tree->path)
		close(tree->fd);
	free(tree->path);
	*tree = (struct tree){.fd = -1};
}

int tree_open_file(const struct tree *tree, const char *path, int flags)
{
	struct open_how how = {
		.flags = (unsigned int)flags | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};

	return (int)syscall(SYS_openat2, tree->fd, path[0] ? path : ".", &how, sizeof(how));
}

bool tree_has(const struct tree *tree, const char *path)
{
	_cleanup_close_ int fd = tree_open_file(tree, path, O_PATH);

	return fd >= 0;
}

/* Opens the directory `path`, making what is missing of it. */
static struct error *open_directory(const struct tree *tree, const char *path, mode_t mode, int *fd)
{
	_cleanup_free_ char *copy = format_string("%s", path);
	_cleanup_close_ int here = tree_open_file(tree, "", O_PATH | O_DIRECTORY);

	for (char *end = copy; here >= 0 && *end;) {
		char *name = end;

		end = strchrnul(name, '/');
		char saved = *end;

		*end = '\0';
		int next = tree_open_file(tree, copy, O_PATH | O_DIRECTORY);

		if (next < 0 && errno == ENOENT && mkdirat(here, name, mode) == 0)
			next = tree_open_file(tree, copy, O_PATH | O_DIRECTORY);
		close(here);
		here = next;
		*end = saved;
		if (saved)
			end++;
	}
	if (here < 0)
		return error_errno(errno, "cannot make directory %s in %s", path, tree->path);
	*fd = take_fd(&here);
	return NULL;
}

struct error *tree_mkdir(const struct tree *tree, const char *path, mode_t mode)
{
	_cleanup_close_ int fd = -1;

	return open_directory(tree, path, mode, &fd);
}

/* Opens the parent of `path` and clears the place; `name` points into `path`. */
static struct error *open_place(
	const struct tree *tree, const char *path, int *parent, const char **name)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *directory =
		format_string("%.*s", slash ? (int)(slash - path) : 0, path);

	try_(open_directory(tree, directory, 0755, parent));
	*name = slash ? slash + 1 : path;
	if (unlinkat(*parent, *name, 0) < 0 && errno != ENOENT)
		return error_errno(errno, "cannot replace %s in %s", path, tree->path);
	return NULL;
}

static struct error *create_file(const struct tree *tree, const char *path, mode_t mode, int *fd)
{
	_cleanup_close_ int parent = -1;
	const char *name;

	try_(open_place(tree, path, &parent, &name));
	int created =
		openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (created < 0 || fchmod(created, mode) < 0) {
		struct error *err = error_errno(errno, "cannot create %s in %s", path, tree->path);

		cleanup_close(&created);
		return err;
	}
	*fd = created;
	return NULL;
}

struct error *tree_put_bytes(
	const struct tree *tree, const char *path, const void *data, size_t size, mode_t mode)
{
	_cleanup_close_ int fd = -1;

	try_(create_file(tree, path, mode, &fd));
	return fs_write_all(fd, data, size, path);
}

struct error *tree_put_fd(const struct tree *tree, const char *path, int fd, mode_t mode)
{
	_cleanup_close_ int out = -1;
	ssize_t n;

	try_(create_file(tree, path, mode, &out));
	do {
		n = sendfile(out, fd, NULL, 1 << 30);
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0)
		return error_errno(errno, "cannot write %s in %s", path, tree->path);
	return NULL;
}

struct error *tree_put_file(
	const struct tree *tree, const char *path, const char *source, mode_t mode)
{
	_cleanup_close_ int fd = open(source, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return error_errno(errno, "cannot open %s", source);
	return tree_put_fd(tree, path, fd, mode);
}

struct error *tree_put_link(const struct tree *tree, const char *path, const char *target)
{
	_cleanup_close_ int parent = -1;
	const char *name;

	try_(open_place(tree, path, &parent, &name));
	if (symlinkat(target, parent, name) < 0)
		return error_errno(errno, "cannot link %s in %s", path, tree->path);
	return NULL;
}

struct error *tree_put_embedded(
	const struct tree *tree, const char *path, const char *embedded, mode_t mode)
{
	const struct embedded_file *file = embedded_find(embedded);

	if (!file)
		return error_new(ERROR_INTERNAL, "this fleetlab was built without %s", embedded);
	return tree_put_bytes(tree, path, file->data, file->size, mode);
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

DEFINE_CLEANUP(fts, FTS *, fts_close)

struct error *tree_walk(const char *path,
	struct error *(*visit)(void *data, const char *path, const char *name, mode_t mode),
	void *data)
{
	char *const roots[] = {(char *)path, NULL};
	_cleanup_(cleanup_fts) FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
	FTSENT *item;

	if (!fts)
		return error_errno(errno, "cannot read %s", path);
	while ((item = fts_read(fts))) {
		if (item->fts_level == 0 || item->fts_info == FTS_DP)
			continue;
		if (item->fts_info == FTS_DNR || item->fts_info == FTS_ERR ||
			item->fts_info == FTS_NS)
			return error_errno(item->fts_errno, "cannot read %s", item->fts_path);
		try_(visit(data, item->fts_path, item->fts_path + strlen(path) + 1,
			item->fts_statp->st_mode));
	}
	return NULL;
}

/* Notes a name for cpio, and takes from the file what would differ from build to build. */
static struct error *list_for_cpio(void *data, const char *path, const char *name, mode_t mode)
{
	static const struct timespec epoch[2];

	(void)mode;
	if (utimensat(AT_FDCWD, path, epoch, AT_SYMLINK_NOFOLLOW) < 0)
		return error_errno(errno, "cannot set the time of %s", path);
	fprintf(data, "%s\n", name);
	return NULL;
}

struct error *tree_pack_initramfs(
	const struct tree *tree, const char *archive, struct deadline deadline)
{
	_cleanup_free_ char *names = NULL;
	size_t size;
	_cleanup_fclose_ FILE *list = open_memstream(&names, &size);

	if (!list)
		return error_errno(errno, "cannot list %s", tree->path);
	try_(tree_walk(tree->path, list_for_cpio, list));
	fflush(list);
	const char *const argv[] = {"cpio", "--create", "--quiet", "--format=newc", "--owner=+0:+0",
		"--reproducible", "-D", tree->path, "-F", archive, NULL};

	return process_check(argv, names, deadline, NULL);
}
