/* The serving side of a stack: see stack.h. Each connection has a thread; each guest a lock. */
#include "harness/fleet/stack_internal.h"
#include "harness/base/fs.h"
#include "harness/fleet/clone.h"
#include "harness/fleet/guest_spec.h"
#include "harness/fleet/stack_connect.h"
#include "harness/lab/network.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>

struct connection {
	struct server *server;
	int fd;
};

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

	try_(stack_string(request, "name", &name));
	try_(stack_string(request, "xml", &xml));
	try_(libvirt_driver_start(server->driver, name, xml, false, &pid));
	try_(stack_add_started(server, name, pid, false, NULL, NULL));
	json_object_set_new(answer, "pid", json_integer(pid));
	return NULL;
}

static struct error *op_native(struct server *server, json_t *request, json_t *answer)
{
	_cleanup_free_ char *native = NULL;
	const char *xml;
	json_t *argv;

	try_(stack_string(request, "xml", &xml));
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

	try_(stack_string(request, "name", &name));
	log = guest_log(name, "qemu");
	if (template <0 || template >= STACK_TEMPLATES_MAX)
		return error_new(
			ERROR_INTERNAL, "a stack has no template %lld", (long long)template);
	try_(clone_start(name, json_object_get(request, "argv"), (unsigned int)template, log,
		deadline_after_ms(STACK_REQUEST_MS), &pid, &qmp));
	try_(stack_add_started(server, name, pid, true, qmp, NULL));
	json_object_set_new(answer, "pid", json_integer(pid));
	return NULL;
}

static struct error *op_save(struct server *server, json_t *request, json_t *answer)
{
	struct deadline deadline = deadline_after_ms(STACK_REQUEST_MS);
	struct stack_guest *guest;
	struct error *err;

	try_(stack_find_guest(server, request, &guest));
	pthread_mutex_lock(&guest->lock);
	err = stack_open_monitor(guest, deadline);
	if (!err)
		err = clone_save(guest->qmp, deadline);
	pthread_mutex_unlock(&guest->lock);
	json_object_set_new(answer, "bytes", json_integer(lseek(STACK_STATE_FD, 0, SEEK_END)));
	return err;
}

static struct error *op_stop(struct server *server, json_t *request, json_t *answer)
{
	_cleanup_close_ int fd = -1;
	struct stack_guest *guest;

	(void)answer;
	try_(stack_find_guest(server, request, &guest));
	try_(stack_watch(guest, &fd));
	if (fd >= 0 && pidfd_send_signal(fd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
		return error_errno(errno, "cannot end QEMU of %s", guest->name);
	return NULL;
}

static struct error *op_qmp(struct server *server, json_t *request, json_t *answer)
{
	struct stack_guest *guest;
	const char *command;
	json_t *result;

	try_(stack_find_guest(server, request, &guest));
	try_(stack_string(request, "command", &command));
	try_(stack_monitor(guest, command, json_incref(json_object_get(request, "arguments")),
		deadline_after_ms(STACK_REQUEST_MS), &result));
	json_object_set_new(answer, "result", result);
	return NULL;
}

/* Links and the taps on them, as the lab that asks has them. */
static struct error *op_network(struct server *server, json_t *request, json_t *answer)
{
	const json_t *names = json_object_get(request, "links");
	const json_t *taps = json_object_get(request, "taps");
	size_t link_count = json_array_size(names), tap_count = json_array_size(taps);
	_cleanup_free_ struct link_spec *links = calloc(link_count + 1, sizeof(*links));
	_cleanup_free_ struct port_spec *ports = calloc(tap_count + 1, sizeof(*ports));

	(void)server;
	(void)answer;
	if (!links || !ports)
		abort();
	for (size_t i = 0; i < link_count; i++) {
		links[i].name = json_string_value(json_array_get(names, i));
		if (!links[i].name)
			return error_new(ERROR_SETUP, "a link has no name");
	}
	for (size_t i = 0; i < tap_count; i++) {
		json_t *tap = json_array_get(taps, i);

		try_(stack_string(tap, "tap", &ports[i].tap));
		try_(stack_string(tap, "link", &ports[i].link));
	}
	return network_create(links, link_count, ports, tap_count);
}

static struct error *op_idle(struct server *server, json_t *request, json_t *answer)
{
	(void)server;
	(void)request;
	(void)answer;
	return stack_await_idle(deadline_after_ms(STACK_REQUEST_MS));
}

static stack_operation op_revoke;

static struct error *handle(struct server *server, json_t *request, json_t *answer)
{
	static const struct {
		const char *name;
		stack_operation *run;
	} operations[] = {
		{"ping", op_ping},
		{"start", op_start},
		{"native", op_native},
		{"clone", op_clone},
		{"save", op_save},
		{"stop", op_stop},
		{"qmp", op_qmp},
		{"receive", stack_op_receive},
		{"cpr", stack_op_cpr},
		{"listen", stack_op_listen},
		{"send", stack_op_send},
		{"await", stack_op_await},
		{"postcopy", stack_op_postcopy},
		{"resume", stack_op_resume},
		{"continue", stack_op_continue},
		{"end", stack_op_end},
		{"adopt", stack_op_adopt},
		{"status", stack_op_status},
		{"statistics", stack_op_statistics},
		{"balloon", stack_op_balloon},
		{"machine", stack_op_machine},
		{"memory", stack_op_memory},
		{"sample", stack_op_sample},
		{"digest", stack_op_digest},
		{"populate", stack_op_populate},
		{"clock", stack_op_clock},
		{"room", stack_op_room},
		{"revoke", op_revoke},
		{"idle", op_idle},
		{"network", op_network},
		{"channel-format", stack_op_channel_format},
		{"channel-listen", stack_op_channel_listen},
		{"channel-connect", stack_op_channel_connect},
		{"channel-flood", stack_op_channel_flood},
		{"channel-drain", stack_op_channel_drain},
	};
	const char *name;

	try_(stack_string(request, "op", &name));
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++) {
		if (strcmp(operations[i].name, name) == 0)
			return operations[i].run(server, request, answer);
	}
	return error_new(ERROR_SETUP, "the stack knows no operation '%s'", name);
}

/* ---- sessions ---- */

static struct session *find_session(struct server *server, json_int_t id)
{
	struct session *session = server->sessions;

	while (session && session->id != id)
		session = session->next;
	if (session)
		return session;
	session = calloc(1, sizeof(*session));
	if (!session)
		abort();
	*session = (struct session){.next = server->sessions, .id = id};
	server->sessions = session;
	return session;
}

/* Only a revoked one must be remembered. Call with the server's lock held. */
static void forget_session(struct server *server, struct session *session)
{
	struct session **at = &server->sessions;

	if (session->under_way > 0 || session->revoked)
		return;
	while (*at != session)
		at = &(*at)->next;
	*at = session->next;
	free(session);
}

static struct error *handle_in_session(
	struct server *server, json_t *request, json_int_t id, json_t *answer)
{
	struct session *session;
	struct error *err;

	pthread_mutex_lock(&server->lock);
	session = find_session(server, id);
	if (session->revoked) {
		pthread_mutex_unlock(&server->lock);
		return error_new(ERROR_SETUP, "this session has been revoked");
	}
	session->under_way++;
	pthread_mutex_unlock(&server->lock);
	err = handle(server, request, answer);
	pthread_mutex_lock(&server->lock);
	session->under_way--;
	pthread_cond_broadcast(&server->session_changed);
	forget_session(server, session);
	pthread_mutex_unlock(&server->lock);
	return err;
}

static struct error *op_revoke(struct server *server, json_t *request, json_t *answer)
{
	json_int_t timeout_ms = json_integer_value(json_object_get(request, "timeout_ms"));
	struct deadline deadline;
	struct timespec until;
	struct session *session;
	int status = 0;

	(void)answer;
	if (timeout_ms <= 0 || timeout_ms > STACK_REQUEST_MS)
		timeout_ms = STACK_REQUEST_MS;
	deadline = deadline_after_ms(timeout_ms);
	until = (struct timespec){
		.tv_sec = deadline.at_ns / NSEC_PER_SEC, .tv_nsec = deadline.at_ns % NSEC_PER_SEC};
	pthread_mutex_lock(&server->lock);
	session = find_session(server, json_integer_value(json_object_get(request, "session_id")));
	session->revoked = true;
	while (session->under_way > 0 && status == 0)
		status = pthread_cond_clockwait(
			&server->session_changed, &server->lock, CLOCK_MONOTONIC, &until);
	pthread_mutex_unlock(&server->lock);
	return status == 0 ? NULL
			   : error_new(ERROR_TIMEOUT,
				     "deadline passed while waiting for a revoked session's end");
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
		json_int_t session = json_integer_value(json_object_get(request, "session"));

		if (stack_is_leading(request)) {
			err = stack_lead_on(connection->fd, request);
			if (!err) {
				json_decref(answer);
				connection->fd = -1;
				break;
			}
		} else {
			err = session ? handle_in_session(
						connection->server, request, session, answer)
				      : handle(connection->server, request, answer);
		}
		json_object_set(answer, "id", json_object_get(request, "id"));
		if (err) {
			jsonline_put_error(answer, err);
			error_destroy(err);
		}
		err = jsonline_send(connection->fd, answer, "a client of the stack");
		if (err) {
			error_destroy(err);
			break;
		}
	}
	jsonline_deinit(&reader);
	cleanup_close(&connection->fd);
	free(connection);
	return NULL;
}

struct error *stack_serve(int listen_fd, const char *root, const char *cache)
{
	struct server server = {
		.lock = PTHREAD_MUTEX_INITIALIZER, .session_changed = PTHREAD_COND_INITIALIZER};

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
