/* The serving side of a stack: see stack.h. Each connection has a thread; each guest a lock. */
#include "harness/fleet/stack.h"
#include "harness/base/fs.h"
#include "harness/fleet/clone.h"
#include "harness/fleet/guest_spec.h"
#include "harness/fleet/libvirt_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#define REQUEST_TIMEOUT_MS 180000

struct stack_guest {
	struct stack_guest *next;
	char *name;
	pid_t pid;
	struct qmp *qmp; /* opened when first needed */
	pthread_mutex_t lock;
};

struct server {
	struct libvirt_driver *driver;
	struct stack_guest *guests;
	pthread_mutex_t lock; /* of the list */
};

struct connection {
	struct server *server;
	int fd;
};

static struct stack_guest *add_guest(
	struct server *server, const char *name, pid_t pid, struct qmp *qmp)
{
	struct stack_guest *guest = calloc(1, sizeof(*guest));

	if (!guest)
		abort();
	guest->name = format_string("%s", name);
	guest->pid = pid;
	guest->qmp = qmp;
	pthread_mutex_init(&guest->lock, NULL);
	pthread_mutex_lock(&server->lock);
	guest->next = server->guests;
	server->guests = guest;
	pthread_mutex_unlock(&server->lock);
	return guest;
}

/* The latest guest of this name; guests are never freed while the stack lives. */
static struct error *find_guest(struct server *server, json_t *request, struct stack_guest **found)
{
	const char *name = json_string_value(json_object_get(request, "name"));
	struct stack_guest *guest;

	pthread_mutex_lock(&server->lock);
	guest = server->guests;
	while (guest && name && strcmp(guest->name, name) != 0)
		guest = guest->next;
	pthread_mutex_unlock(&server->lock);
	if (!name || !guest)
		return error_new(ERROR_SETUP, "this stack has no guest '%s'", name ? name : "");
	*found = guest;
	return NULL;
}

/* Call with the guest's lock held. */
static struct error *open_monitor(struct stack_guest *guest, struct deadline deadline)
{
	_cleanup_free_ char *dir = guest_dir(guest->name, 0);
	_cleanup_free_ char *path = format_string("%s/qmp.sock", dir);
	int fd;

	if (guest->qmp)
		return NULL;
	try_(unix_connect(path, &fd));
	return qmp_open(fd, guest->name, deadline, &guest->qmp);
}

static struct error *get_string(json_t *request, const char *name, const char **value)
{
	*value = json_string_value(json_object_get(request, name));
	return *value ? NULL : error_new(ERROR_SETUP, "request lacks '%s'", name);
}

static struct error *op_ping(struct server *server, json_t *request, json_t *answer)
{
	(void)server;
	(void)request;
	(void)answer;
	return NULL;
}

static struct error *op_start(struct server *server, json_t *request, json_t *answer)
{
	const char *name, *xml;
	pid_t pid;

	try_(get_string(request, "name", &name));
	try_(get_string(request, "xml", &xml));
	try_(libvirt_driver_start(server->driver, name, xml, &pid));
	add_guest(server, name, pid, NULL);
	json_object_set_new(answer, "pid", json_integer(pid));
	return NULL;
}

static struct error *op_native(struct server *server, json_t *request, json_t *answer)
{
	_cleanup_free_ char *native = NULL;
	const char *xml;
	json_t *argv;

	try_(get_string(request, "xml", &xml));
	try_(libvirt_driver_native(server->driver, xml, &native));
	try_(clone_argv(native, &argv));
	json_object_set_new(answer, "argv", argv);
	return NULL;
}

static struct error *op_clone(struct server *server, json_t *request, json_t *answer)
{
	json_int_t template = json_integer_value(json_object_get(request, "template"));
	_cleanup_free_ char *log = NULL;
	struct qmp *qmp;
	const char *name;
	pid_t pid;

	try_(get_string(request, "name", &name));
	log = guest_log(name, "qemu");
	if (template <0 || template >= STACK_TEMPLATES_MAX)
		return error_new(
			ERROR_INTERNAL, "a stack has no template %lld", (long long)template);
	try_(clone_start(name, json_object_get(request, "argv"), (unsigned int)template, log,
		deadline_after_ms(REQUEST_TIMEOUT_MS), &pid, &qmp));
	add_guest(server, name, pid, qmp);
	json_object_set_new(answer, "pid", json_integer(pid));
	return NULL;
}

static struct error *op_save(struct server *server, json_t *request, json_t *answer)
{
	struct deadline deadline = deadline_after_ms(REQUEST_TIMEOUT_MS);
	struct stack_guest *guest;
	struct error *err;

	try_(find_guest(server, request, &guest));
	pthread_mutex_lock(&guest->lock);
	err = open_monitor(guest, deadline);
	if (!err)
		err = clone_save(guest->qmp, deadline);
	pthread_mutex_unlock(&guest->lock);
	json_object_set_new(answer, "bytes", json_integer(lseek(STACK_STATE_FD, 0, SEEK_END)));
	return err;
}

static struct error *op_stop(struct server *server, json_t *request, json_t *answer)
{
	struct stack_guest *guest;

	(void)answer;
	try_(find_guest(server, request, &guest));
	if (kill(guest->pid, SIGKILL) < 0 && errno != ESRCH)
		return error_errno(errno, "cannot end QEMU of %s", guest->name);
	return NULL;
}

static struct error *op_qmp(struct server *server, json_t *request, json_t *answer)
{
	struct deadline deadline = deadline_after_ms(REQUEST_TIMEOUT_MS);
	struct stack_guest *guest;
	const char *command;
	json_t *result = NULL;
	struct error *err;

	try_(find_guest(server, request, &guest));
	try_(get_string(request, "command", &command));
	pthread_mutex_lock(&guest->lock);
	err = open_monitor(guest, deadline);
	if (!err)
		err = qmp_execute(guest->qmp, command,
			json_incref(json_object_get(request, "arguments")), deadline, &result);
	pthread_mutex_unlock(&guest->lock);
	if (!err)
		json_object_set_new(answer, "result", result);
	return err;
}

static struct error *handle(struct server *server, json_t *request, json_t *answer)
{
	static const struct {
		const char *name;
		struct error *(*run)(struct server *server, json_t *request, json_t *answer);
	} operations[] = {
		{"ping", op_ping},
		{"start", op_start},
		{"native", op_native},
		{"clone", op_clone},
		{"save", op_save},
		{"stop", op_stop},
		{"qmp", op_qmp},
	};
	const char *name;

	try_(get_string(request, "op", &name));
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++) {
		if (strcmp(operations[i].name, name) == 0)
			return operations[i].run(server, request, answer);
	}
	return error_new(ERROR_SETUP, "the stack knows no operation '%s'", name);
}

static void *serve_connection(void *context)
{
	struct connection *connection = context;
	struct jsonline reader = {.fd = connection->fd};

	for (;;) {
		_cleanup_json_ json_t *request = NULL;
		json_t *answer = json_object();
		/* A client may think as long as it likes between requests. */
		struct error *err = jsonline_receive(
			&reader, "a client of the stack", deadline_after_ms(INT32_MAX), &request);

		if (err || !request) {
			error_destroy(err);
			json_decref(answer);
			break;
		}
		err = handle(connection->server, request, answer);
		if (err) {
			json_object_set_new(answer, "error", json_string(error_message(err)));
			if (error_remedy(err))
				json_object_set_new(
					answer, "remedy", json_string(error_remedy(err)));
			error_destroy(err);
		}
		err = jsonline_send(connection->fd, answer, "a client of the stack");
		if (err) {
			error_destroy(err);
			break;
		}
	}
	jsonline_deinit(&reader);
	close(connection->fd);
	free(connection);
	return NULL;
}

struct error *stack_serve(int listen_fd, const char *root, const char *cache)
{
	struct server server = {.lock = PTHREAD_MUTEX_INITIALIZER};

	fcntl(listen_fd, F_SETFD, FD_CLOEXEC);
	for (int i = 0; i < 2 * STACK_TEMPLATES_MAX; i++)
		fcntl(STACK_RAM_FD + i, F_SETFD, FD_CLOEXEC);
	server.driver = libvirt_driver_create(root, cache);
	for (;;) {
		struct connection *connection;
		pthread_t thread;
		int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0)
			return error_errno(errno, "the stack cannot accept a connection");
		connection = calloc(1, sizeof(*connection));
		if (!connection)
			abort();
		*connection = (struct connection){.server = &server, .fd = fd};
		if (pthread_create(&thread, NULL, serve_connection, connection) != 0) {
			close(fd);
			free(connection);
			continue;
		}
		pthread_detach(thread);
	}
}
