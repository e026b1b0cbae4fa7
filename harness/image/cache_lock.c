/* One builder at a time: see cache.h. Must never wait past the deadline. */
#include "harness/base/fs.h"
#include "harness/image/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>

/* Best effort: what a killed builder had started may still be writing there for a moment, which is
 * why it is done again when the lock is given up. */
static void sweep_staging(const struct cache *cache)
{
	DIR *dir = opendir(cache->directory);
	struct dirent *item;

	while (dir && (item = readdir(dir))) {
		_cleanup_free_ char *path = format_string("%s/%s", cache->directory, item->d_name);

		if (strncmp(item->d_name, "staging-", 8) == 0)
			error_destroy(fs_remove_tree(path));
	}
	if (dir)
		closedir(dir);
}

/* The holder gives the lock up by closing the file, be it by dying: that is what inotify tells. */
static struct error *wait_for_close(int watch, struct deadline deadline)
{
	char events[4096];
	struct pollfd pfd = {.fd = watch, .events = POLLIN};

	if (poll(&pfd, 1, deadline_left_ms(deadline)) > 0 &&
		read(watch, events, sizeof(events)) < 0)
		return error_errno(errno, "cannot wait for the image lock");
	return NULL;
}

struct error *cache_lock(struct cache *cache)
{
	_cleanup_free_ char *path = format_string("%s/lock", cache->directory);
	_cleanup_close_ int watch = inotify_init1(IN_CLOEXEC);
	_cleanup_close_ int fd = -1;
	bool told = false;

	struct error *err = fs_make_dirs(cache->directory);

	if (err)
		return error_hint(err, "another place for images: FLEETLAB_CACHE=DIR");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		return error_hint(error_errno(errno, "cannot open %s", path),
			"another place for images: FLEETLAB_CACHE=DIR");
	if (watch < 0 || inotify_add_watch(watch, path, IN_CLOSE) < 0)
		return error_errno(errno, "cannot watch %s", path);
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return error_errno(errno, "cannot lock %s", path);
		if (!told)
			cache_say(cache, "waiting for another fleetlab that builds images");
		told = true;
		if (deadline_passed(cache->deadline))
			return error_hint(
				error_new(ERROR_TIMEOUT,
					"another fleetlab has held %s for too long", path),
				"see who: fuser -v %s", path);
		try_(wait_for_close(watch, cache->deadline));
	}
	cache->lock_fd = take_fd(&fd);
	sweep_staging(cache);
	return NULL;
}

void cache_unlock(struct cache *cache)
{
	if (cache->lock_fd < 0)
		return;
	sweep_staging(cache);
	close(take_fd(&cache->lock_fd));
}
