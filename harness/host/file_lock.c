/* Locks on whole files: see file_lock.h. */
#include "harness/host/file_lock.h"

#include <errno.h>
#include <poll.h>
#include <sys/inotify.h>

bool file_try_lock(int fd)
{
	struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_OFD_SETLK, &all) == 0;
}

bool file_is_locked(int fd)
{
	struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_OFD_GETLK, &all) == 0 && all.l_type != F_UNLCK;
}

/* How often the lock is tried where nothing tells when it is given back: without inotify, and when
 * its holder is another host's. */
#define LOOK_MS 50
#define LOOK_SELDOM_MS 1000

/* Waits until somebody closes the file (a holder's death closes it too), it is time to look, or the
 * deadline. */
static struct error *wait_for_close(int notify, const char *path, struct deadline deadline)
{
	struct deadline look = deadline_after_ms(notify < 0 ? LOOK_MS : LOOK_SELDOM_MS);
	struct pollfd pfd = {.fd = notify, .events = POLLIN};
	char events[4096];

	if (poll(&pfd, 1, deadline_left_ms(deadline_min(look, deadline))) < 0 && errno == EINTR)
		return error_new(ERROR_INTERRUPTED, "interrupted while waiting for %s", path);
	while (read(notify, events, sizeof(events)) > 0)
		;
	return NULL;
}

/* The watch is set before the lock is tried, so a release in between is not missed. */
struct error *file_lock(int fd, const char *path, struct deadline deadline)
{
	_cleanup_close_ int notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (notify >= 0 && inotify_add_watch(notify, path, IN_CLOSE_WRITE) < 0) {
		close(notify);
		notify = -1;
	}
	for (;;) {
		if (file_try_lock(fd))
			return NULL;
		if (errno != EAGAIN && errno != EACCES)
			return error_errno(errno, "cannot lock %s", path);
		if (deadline_passed(deadline))
			return error_new(ERROR_TIMEOUT, "%s is locked by another process", path);
		try_(wait_for_close(notify, path, deadline));
	}
}

struct error *file_lock_at(
	int directory, const char *name, const char *path, struct deadline deadline, int *fd)
{
	_cleanup_close_ int opened =
		openat(directory, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);

	if (opened < 0)
		return error_errno(errno, "cannot open %s", path);
	try_(file_lock(opened, path, deadline));
	*fd = take_fd(&opened);
	return NULL;
}
