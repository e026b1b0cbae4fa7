/* What a stack knows of its guests, and how it reaches their QEMUs. A record is never freed, so
 * that whoever has found one may use it without a lock. */
#include "harness/fleet/stack_internal.h"
#include "harness/base/fs.h"
#include "harness/fleet/guest_spec.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

struct error *stack_add_guest(struct server *server, const char *name, pid_t pid, bool child,
	struct qmp *qmp, struct stack_guest **added)
{
	_cleanup_(cleanup_qmp) struct qmp *owned = qmp;
	_cleanup_close_ int pidfd = pidfd_open(pid, 0);
	struct stack_guest *guest;

	/* Only this says that it has ended. */
	if (pidfd < 0 && errno != ESRCH)
		return error_errno(errno, "cannot watch QEMU of %s", name);
	guest = calloc(1, sizeof(*guest));
	if (!guest)
		abort();
	guest->name = format_string("%s", name);
	guest->pid = pid;
	guest->pidfd = take_fd(&pidfd);
	guest->child = child;
	guest->qmp = take_ptr(owned);
	pthread_mutex_init(&guest->lock, NULL);
	pthread_mutex_init(&guest->pidfd_lock, NULL);
	pthread_mutex_lock(&server->lock);
	guest->next = server->guests;
	server->guests = guest;
	pthread_mutex_unlock(&server->lock);
	if (added)
		*added = guest;
	return NULL;
}

struct error *stack_add_started(struct server *server, const char *name, pid_t pid, bool child,
	struct qmp *qmp, struct stack_guest **guest)
{
	struct error *err = stack_add_guest(server, name, pid, child, qmp, guest);

	if (err)
		kill(pid, SIGKILL);
	if (err && child)
		waitpid(pid, NULL, 0);
	return err;
}

struct error *stack_watch(struct stack_guest *guest, int *fd)
{
	int failed = 0;

	pthread_mutex_lock(&guest->pidfd_lock);
	*fd = guest->pidfd < 0 ? -1 : fcntl(guest->pidfd, F_DUPFD_CLOEXEC, 0);
	if (*fd < 0 && guest->pidfd >= 0)
		failed = errno;
	pthread_mutex_unlock(&guest->pidfd_lock);
	return failed ? error_errno(failed, "cannot watch QEMU of %s", guest->name) : NULL;
}

struct stack_guest *stack_known_guest(struct server *server, const char *name)
{
	struct stack_guest *guest;

	pthread_mutex_lock(&server->lock);
	guest = server->guests;
	while (guest && strcmp(guest->name, name) != 0)
		guest = guest->next;
	pthread_mutex_unlock(&server->lock);
	return guest;
}

struct error *stack_find_guest(struct server *server, json_t *request, struct stack_guest **found)
{
	const char *name = json_string_value(json_object_get(request, "name"));
	struct stack_guest *guest = name ? stack_known_guest(server, name) : NULL;

	if (!guest)
		return error_new(ERROR_SETUP, "this stack has no guest '%s'", name ? name : "");
	*found = guest;
	return NULL;
}

struct error *stack_open_monitor(struct stack_guest *guest, struct deadline deadline)
{
	_cleanup_free_ char *dir = guest_dir(guest->name, 0);
	_cleanup_free_ char *path = format_string("%s/qmp.sock", dir);
	int fd;

	if (guest->qmp)
		return NULL;
	try_(unix_connect(path, &fd));
	return qmp_open(fd, guest->name, deadline, &guest->qmp);
}

struct error *stack_monitor(struct stack_guest *guest, const char *command, json_t *arguments,
	struct deadline deadline, json_t **result)
{
	struct error *err;

	pthread_mutex_lock(&guest->lock);
	err = stack_open_monitor(guest, deadline);
	if (err)
		json_decref(arguments);
	else
		err = qmp_execute(guest->qmp, command, arguments, deadline, result);
	pthread_mutex_unlock(&guest->lock);
	return err;
}

struct error *stack_string(json_t *request, const char *name, const char **value)
{
	*value = json_string_value(json_object_get(request, name));
	return *value ? NULL : error_new(ERROR_SETUP, "request lacks '%s'", name);
}
