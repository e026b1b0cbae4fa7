/* Fleets that live on between commands: see fleet_control.h. */
#include "harness/cmd/fleet_control.h"
#include "harness/base/fs.h"
#include "harness/cmd/fleet_rejuvenate.h"
#include "harness/cmd/fleet_status.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

/* Agent commands to one guest must not overlap; a fleet has at most this many guests. */
enum { MAX_GUESTS = 1024 };

struct keeper {
	struct fleet *fleet;
	const json_t *about;
	pthread_mutex_t guest_locks[MAX_GUESTS];
	pthread_rwlock_t moving; /* held for writing while guests change their stack */
};

struct client {
	struct keeper *keeper;
	int fd;
};

/* ---- the keeper ---- */

static struct error *find_guest(const struct fleet *fleet, json_t *request, unsigned int *guest)
{
	const char *name = json_string_value(json_object_get(request, "guest"));

	for (unsigned int i = 0; name && i < fleet_count(fleet); i++) {
		if (strcmp(fleet_guest_name(fleet, i), name) == 0) {
			*guest = i;
			return NULL;
		}
	}
	return error_hint(error_new(ERROR_USAGE, "this fleet has no guest '%s'", name ? name : ""),
		"fleetlab fleet list");
}

static struct error *op_status(struct keeper *keeper, json_t *answer)
{
	json_t *guests = json_array();

	json_object_update(answer, (json_t *)keeper->about);
	json_object_set_new(answer, "guests", guests);
	for (unsigned int i = 0; i < fleet_count(keeper->fleet); i++)
		json_array_append_new(
			guests, fleet_guest_status(keeper->fleet, i,
					(unsigned int)json_integer_value(
						json_object_get(keeper->about, "vcpus"))));
	if (pthread_rwlock_tryrdlock(&keeper->moving) == 0) {
		fleet_add_balloons(keeper->fleet, guests);
		pthread_rwlock_unlock(&keeper->moving);
	}
	return NULL;
}

static void set_base64(json_t *object, const char *name, const char *data, size_t size)
{
	gchar *encoded = g_base64_encode((const guchar *)data, size);

	json_object_set_new(object, name, json_string(encoded));
	g_free(encoded);
}

static struct error *op_exec(struct keeper *keeper, json_t *request, json_t *answer)
{
	_cleanup_(exec_result_deinit) struct exec_result result = {0};
	json_t *words = json_object_get(request, "argv");
	json_int_t timeout_ms = json_integer_value(json_object_get(request, "timeout_ms"));
	const char *input = json_string_value(json_object_get(request, "input"));
	const char *argv[128];
	size_t count = json_array_size(words);
	gsize input_size = 0;
	unsigned int guest;
	struct error *err;

	try_(find_guest(keeper->fleet, request, &guest));
	if (count == 0 || count >= ARRAY_SIZE(argv))
		return error_new(ERROR_USAGE, "a command has 1 to %zu words", ARRAY_SIZE(argv) - 1);
	for (size_t i = 0; i < count; i++) {
		argv[i] = json_string_value(json_array_get(words, i));
		if (!argv[i])
			return error_new(ERROR_USAGE, "a word of the command is no string");
	}
	argv[count] = NULL;
	guchar *decoded = input ? g_base64_decode(input, &input_size) : NULL;

	pthread_mutex_lock(&keeper->guest_locks[guest]);
	err = agent_exec(fleet_agent(keeper->fleet, guest), argv, decoded, input_size,
		deadline_after_ms(timeout_ms), &result);
	pthread_mutex_unlock(&keeper->guest_locks[guest]);
	g_free(decoded);
	if (err)
		return err;
	json_object_set_new(answer, "exit_status", json_integer(result.exit_status));
	set_base64(answer, "output", result.output, result.output_size);
	set_base64(answer, "errors", result.errors, result.errors_size);
	return NULL;
}

/* Copies bytes both ways until one side ends. */
static void pump(int a, int b)
{
	for (;;) {
		struct pollfd pfds[2] = {{.fd = a, .events = POLLIN}, {.fd = b, .events = POLLIN}};
		char bytes[4096];

		if (poll(pfds, 2, -1) < 0 && errno != EINTR)
			return;
		for (int i = 0; i < 2; i++) {
			ssize_t n;

			if (!pfds[i].revents)
				continue;
			n = read(pfds[i].fd, bytes, sizeof(bytes));
			if (n <= 0)
				return;
			struct error *err =
				fs_write_all(pfds[1 - i].fd, bytes, (size_t)n, "console");

			if (err) {
				error_destroy(err);
				return;
			}
		}
	}
}

static struct error *op_console(struct keeper *keeper, json_t *request, int *console)
{
	_cleanup_free_ char *path = NULL;
	unsigned int guest;

	try_(find_guest(keeper->fleet, request, &guest));
	pthread_mutex_lock(&keeper->guest_locks[guest]);
	path = format_string("%s/console.sock", fleet_guest_dir(keeper->fleet, guest));
	pthread_mutex_unlock(&keeper->guest_locks[guest]);
	return unix_connect(path, console);
}

/* All of them, or none. */
static struct error *lock_guests(struct keeper *keeper, struct deadline deadline)
{
	const struct timespec until = {
		deadline.at_ns / NSEC_PER_SEC, deadline.at_ns % NSEC_PER_SEC};

	for (unsigned int i = 0; i < fleet_count(keeper->fleet); i++) {
		if (pthread_mutex_clocklock(&keeper->guest_locks[i], CLOCK_MONOTONIC, &until) == 0)
			continue;
		for (unsigned int locked = 0; locked < i; locked++)
			pthread_mutex_unlock(&keeper->guest_locks[locked]);
		return error_hint(
			error_new(ERROR_TIMEOUT,
				"deadline passed while waiting for the command that has to do with "
				"guest %s to end",
				fleet_guest_name(keeper->fleet, i)),
			"wait for `fleet exec` or another `rejuvenate` to end, and try again");
	}
	return NULL;
}

/* Nothing else may talk to a guest while it changes its QEMU. */
static struct error *op_rejuvenate(
	struct keeper *keeper, const json_t *request, int fd, json_t *answer)
{
	unsigned int count = fleet_count(keeper->fleet);
	const char *method = json_string_value(json_object_get(request, "method"));
	struct error *err;

	if (!json_is_true(json_object_get(keeper->about, "movable")) && method &&
		strcmp(method, "zerocopy") == 0)
		return error_hint(
			error_new(ERROR_USAGE,
				"the guests' memory is shared with their template: another "
				"system cannot map it"),
			"fleetlab fleet up N --movable, or rejuvenate --method precopy");
	err = lock_guests(keeper,
		deadline_after_ms(json_integer_value(json_object_get(request, "timeout_ms"))));
	if (err)
		return err;
	pthread_rwlock_wrlock(&keeper->moving);
	err = fleet_rejuvenate(keeper->fleet, request, fd, answer);
	pthread_rwlock_unlock(&keeper->moving);
	for (unsigned int i = 0; i < count; i++)
		pthread_mutex_unlock(&keeper->guest_locks[i]);
	return err;
}

static struct error *handle(
	struct keeper *keeper, json_t *request, int fd, json_t *answer, int *console, bool *down)
{
	const char *op = json_string_value(json_object_get(request, "op"));

	if (op && strcmp(op, "status") == 0)
		return op_status(keeper, answer);
	if (op && strcmp(op, "exec") == 0)
		return op_exec(keeper, request, answer);
	if (op && strcmp(op, "console") == 0)
		return op_console(keeper, request, console);
	if (op && strcmp(op, "rejuvenate") == 0)
		return op_rejuvenate(keeper, request, fd, answer);
	*down = op && strcmp(op, "down") == 0;
	return *down ? NULL : error_new(ERROR_USAGE, "unknown request");
}

static void *serve_client(void *context)
{
	struct client *client = context;
	_cleanup_(jsonline_deinit) struct jsonline reader = {.fd = client->fd};
	_cleanup_json_ json_t *request = NULL;
	json_t *answer = json_object();
	bool down = false;
	int console = -1;
	struct error *err =
		jsonline_receive(&reader, "a client", deadline_after_ms(30000), &request);

	if (!err && request)
		err = handle(client->keeper, request, client->fd, answer, &console, &down);
	if (err) {
		jsonline_put_error(answer, err);
		error_destroy(err);
	}
	error_destroy(jsonline_send(client->fd, answer, "a client"));
	if (console >= 0) {
		pump(client->fd, console);
		close(console);
	}
	if (down)
		_exit(0); /* the lab's body: its end is the lab's end */
	close(client->fd);
	free(client);
	return NULL;
}

/* Clients that ask for the status in turns must not keep guests from being moved. */
static void make_moving_lock(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attributes;

	pthread_rwlockattr_init(&attributes);
	pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(lock, &attributes);
	pthread_rwlockattr_destroy(&attributes);
}

struct error *fleet_control_serve(int listen_fd, struct fleet *fleet, const json_t *about)
{
	static struct keeper keeper; /* too large for a stack; one keeper a process */

	if (fleet_count(fleet) > MAX_GUESTS)
		return error_new(ERROR_USAGE, "a fleet has at most %d guests", MAX_GUESTS);
	keeper.fleet = fleet;
	keeper.about = about;
	make_moving_lock(&keeper.moving);
	for (size_t i = 0; i < MAX_GUESTS; i++)
		pthread_mutex_init(&keeper.guest_locks[i], NULL);
	for (;;) {
		struct client *client;
		pthread_t thread;
		int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0)
			return error_errno(errno, "the fleet's keeper cannot accept a connection");
		client = calloc(1, sizeof(*client));
		if (!client)
			abort();
		*client = (struct client){.keeper = &keeper, .fd = fd};
		if (pthread_create(&thread, NULL, serve_client, client) == 0) {
			pthread_detach(thread);
		} else {
			close(fd);
			free(client);
		}
	}
}

/* ---- the commands' side ---- */

struct error *fleet_control_connect(const char *name, struct jsonline *connection)
{
	_cleanup_free_ char *path = fleet_control_path(name);
	int fd;
	struct error *err = unix_connect(path, &fd);

	if (err && error_kind(err) == ERROR_TIMEOUT)
		return error_prefix(err, "fleet '%s' hangs", name);
	if (err) {
		error_destroy(err);
		return error_hint(error_new(ERROR_USAGE, "no fleet '%s' is running", name),
			"fleetlab fleet up 2%s%s", strcmp(name, "default") ? " --name " : "",
			strcmp(name, "default") ? name : "");
	}
	*connection = (struct jsonline){.fd = fd};
	return NULL;
}

struct error *fleet_control_request(
	struct jsonline *connection, json_t *request, struct deadline deadline, json_t **answer)
{
	_cleanup_json_ json_t *received = NULL;

	try_(jsonline_send(connection->fd, request, "the fleet"));
	try_(jsonline_receive(connection, "the fleet", deadline, &received));
	if (!received)
		return error_new(ERROR_GUEST, "the fleet has ended");
	try_(jsonline_error(received, ERROR_GUEST));
	if (answer)
		*answer = take_ptr(received);
	return NULL;
}
