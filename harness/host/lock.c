/* One run at a time on a host: see lock.h. */
#include "harness/host/lock.h"
#include "harness/base/fs.h"
#include "harness/host/file_lock.h"

#include <errno.h>
#include <string.h>

struct host_lock {
	int fd;
};

static char *lock_path(void)
{
	_cleanup_free_ char *dir = fs_runtime_dir();

	return format_string("%s/run.lock", dir);
}

static struct error *open_lock(int *fd)
{
	_cleanup_free_ char *dir = fs_runtime_dir();
	_cleanup_free_ char *path = lock_path();
	int opened;

	try_(fs_make_dirs(dir));
	opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (opened < 0)
		return error_errno(errno, "cannot open %s", path);
	*fd = opened;
	return NULL;
}

static struct error *held_by_other(void)
{
	_cleanup_free_ char *path = lock_path();
	_cleanup_json_ json_t *holder = json_load_file(path, 0, NULL);
	const char *what = "another fleetlab", *since = "just now";
	json_int_t pid = 0;

	json_unpack(holder, "{s:s, s:I, s:s}", "what", &what, "pid", &pid, "since", &since);
	return error_hint(error_new(ERROR_TIMEOUT,
				  "this host is busy: %s, pid %lld, has been running since %s",
				  what, pid, since),
		"wait for it with --wait 30m, or end it: kill %lld", pid);
}

struct error *host_lock_acquire(const char *what, struct deadline deadline, struct host_lock **out)
{
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *path = lock_path();
	_cleanup_free_ char *text = NULL;
	struct host_lock *lock;
	struct error *err;
	char since[24];

	try_(open_lock(&fd));
	err = file_lock(fd, path, deadline);
	if (err && error_kind(err) == ERROR_TIMEOUT) {
		error_destroy(err);
		return held_by_other();
	}
	try_(err);
	clock_format_utc(time(NULL), false, since, sizeof(since));
	_cleanup_json_ json_t *holder =
		json_pack("{s:s, s:i, s:s}", "what", what, "pid", (int)getpid(), "since", since);

	text = json_dumps(holder, JSON_COMPACT);
	if (!text || ftruncate(fd, 0) < 0 || pwrite(fd, text, strlen(text), 0) < 0)
		return error_errno(errno, "cannot say in the run lock who we are");
	lock = malloc(sizeof(*lock));
	if (!lock)
		return error_errno(ENOMEM, "cannot take the run lock");
	lock->fd = take_fd(&fd);
	*out = lock;
	return NULL;
}

void host_lock_release(struct host_lock *lock)
{
	if (!lock)
		return;
	if (ftruncate(lock->fd, 0) < 0) {
		/* what it says is only read while it is held */
	}
	close(lock->fd);
	free(lock);
}

struct error *host_lock_holder(json_t **holder)
{
	_cleanup_free_ char *path = lock_path();
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	json_t *said;

	if (fd < 0 && errno != ENOENT)
		return error_errno(errno, "cannot open %s", path);
	if (fd < 0 || !file_is_locked(fd)) {
		*holder = NULL;
		return NULL;
	}
	said = json_load_file(path, 0, NULL);
	*holder = said ? said : json_pack("{s:s}", "what", "a run that has just begun");
	return NULL;
}
