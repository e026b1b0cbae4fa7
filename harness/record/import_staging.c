/* Where an import keeps what has not arrived yet: see import_internal.h. Must never remove what an
 * import that lives is still writing. */
#include "harness/record/import.h"
#include "harness/record/import_internal.h"

#include "harness/base/fs.h"
#include "harness/host/file_lock.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define PREFIX ".import-"
#define LOCK ".import.lock"

/* ---- what imports that died have left ---- */

/* Whether there is any; with `remove`, removes it and counts. The lock is held then. */
static bool leftovers(const char *results_dir, int runs, bool remove, size_t *removed)
{
	int fd = openat(runs, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_directory_ DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	bool any = false;

	while (directory && (entry = readdir(directory))) {
		_cleanup_free_ char *path = NULL;
		_cleanup_error_ struct error *err = NULL;

		if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0)
			continue;
		any = true;
		if (!remove)
			break;
		/* somebody else's may have to stay: nothing depends on it */
		path = format_string("%s/runs/%s", results_dir, entry->d_name);
		err = fs_remove_tree(path);
		*removed += err == NULL;
	}
	return any;
}

struct error *import_sweep(const char *results_dir, size_t *removed)
{
	_cleanup_close_ int root = open(results_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int runs =
		openat(root, "runs", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_close_ int lock = -1;

	*removed = 0;
	if (runs < 0 || !leftovers(results_dir, runs, false, removed))
		return NULL;
	lock = openat(root, LOCK, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (lock < 0)
		return error_errno(errno, "cannot open %s/" LOCK, results_dir);
	if (file_try_lock(lock)) /* else it is an import in progress */
		leftovers(results_dir, runs, true, removed);
	return NULL;
}

/* ---- ours ---- */

char *staging_path(const struct staging *staging, const char *name)
{
	return format_string("%s/runs/%s%s%s", staging->results_dir, staging->name, name ? "/" : "",
		name ? name : "");
}

static struct error *make_directory(struct staging *staging)
{
	staging->name = fs_unguessed_name(PREFIX);
	if (mkdirat(staging->runs, staging->name, 0700) == 0)
		staging->fd = openat(staging->runs, staging->name,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (staging->fd < 0)
		return error_errno(
			errno, "cannot create a directory in %s/runs", staging->results_dir);
	return NULL;
}

struct error *staging_open(struct staging *staging, int root)
{
	_cleanup_free_ char *path = format_string("%s/" LOCK, staging->results_dir);
	size_t removed = 0;
	struct error *err;

	if (staging->fd >= 0)
		return NULL;
	err = file_lock_at(root, LOCK, path, deadline_after_ms(IMPORT_WAIT_MS), &staging->lock_fd);
	if (err)
		return error_hint(error_prefix(err, "waiting for another import into this store"),
			"try again when it has ended");
	leftovers(staging->results_dir, staging->runs, true, &removed);
	return make_directory(staging);
}

void staging_close(struct staging *staging)
{
	if (staging->fd >= 0) {
		_cleanup_free_ char *path = staging_path(staging, NULL);

		close(staging->fd);
		error_destroy(fs_remove_tree(path));
	}
	cleanup_close(&staging->lock_fd);
	free(staging->name);
}
