/* The QEMU guest agent's protocol: see agent.h and docs/interop/qemu-ga-ref of QEMU. */
#include "harness/fleet/agent.h"
#include "harness/base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <string.h>

struct agent {
	struct jsonline reader;
	char *name; /* "guest agent of NAME" */
	int fd;
	bool behind; /* an answer that nobody waited for is still to come */
};

void agent_close(struct agent *agent)
{
	if (!agent)
		return;
	cleanup_close(&agent->fd);
	jsonline_deinit(&agent->reader);
	free(agent->name);
	free(agent);
}

static struct error *error_gone(const struct agent *agent)
{
	return error_hint(error_new(ERROR_GUEST, "%s is gone: the guest has ended", agent->name),
		"look at the guest's console log");
}

static bool has_hung_up(const struct agent *agent)
{
	struct pollfd pfd = {.fd = agent->fd};

	return poll(&pfd, 1, 0) > 0 && (pfd.revents & (POLLHUP | POLLERR));
}

static struct error *receive(struct agent *agent, struct deadline deadline, json_t **answer)
{
	struct error *err;
	json_t *value;

	err = jsonline_receive(&agent->reader, agent->name, deadline, &value);
	if (err) {
		agent->behind = true;
		return err;
	}
	if (!value)
		return error_gone(agent);
	*answer = value;
	return NULL;
}

/* Discards answers to what an earlier client of the socket, or a call whose deadline
 * passed, has asked. */
static struct error *synchronise(struct agent *agent, struct deadline deadline)
{
	json_int_t token = (json_int_t)(clock_now_ns() & 0x7fffffff);

	try_(jsonline_send(agent->fd,
		json_pack("{s:s, s:{s:I}}", "execute", "guest-sync", "arguments", "id", token),
		agent->name));
	for (;;) {
		_cleanup_json_ json_t *answer = NULL;

		try_(receive(agent, deadline, &answer));
		if (json_integer_value(json_object_get(answer, "return")) == token) {
			agent->behind = false;
			return NULL;
		}
	}
}

struct error *agent_execute(struct agent *agent, const char *command, json_t *arguments,
	struct deadline deadline, json_t **result)
{
	_cleanup_json_ json_t *answer = NULL;
	const char *description = "no description";
	struct error *err = agent->behind ? synchronise(agent, deadline) : NULL;
	json_t *value;

	if (err) {
		json_decref(arguments);
		return err;
	}
	err = jsonline_send(agent->fd,
		json_pack("{s:s, s:o*}", "execute", command, "arguments", arguments), agent->name);
	if (err && has_hung_up(agent)) {
		error_destroy(err);
		return error_gone(agent);
	}
	try_(err);
	try_(receive(agent, deadline, &answer));
	json_unpack(answer, "{s:{s:s}}", "error", "desc", &description);
	value = json_object_get(answer, "return");
	if (!value)
		return error_new(
			ERROR_GUEST, "%s refused '%s': %s", agent->name, command, description);
	if (result)
		*result = json_incref(value);
	return NULL;
}

struct error *agent_open(
	const char *socket_path, const char *guest, struct deadline deadline, struct agent **agent)
{
	_cleanup_(cleanup_agent) struct agent *opened = calloc(1, sizeof(*opened));

	if (!opened)
		abort();
	opened->fd = -1;
	opened->name = format_string("the guest agent of %s", guest);
	try_(unix_connect(socket_path, &opened->fd));
	opened->reader.fd = opened->fd;
	try_(synchronise(opened, deadline));
	*agent = take_ptr(opened);
	return NULL;
}

void agent_switch(struct agent *agent, int fd)
{
	cleanup_close(&agent->fd);
	jsonline_deinit(&agent->reader);
	agent->fd = fd;
	agent->reader = (struct jsonline){.fd = fd};
	agent->behind = true;
}

void exec_result_deinit(struct exec_result *result)
{
	free(result->output);
	free(result->errors);
	*result = (struct exec_result){0};
}

/* Replaces base64 text by new bytes; an absent member is empty. */
static void decode_member(json_t *object, const char *name, char **data, size_t *size)
{
	const char *text = json_string_value(json_object_get(object, name));
	gsize length = 0;
	guchar *decoded = g_base64_decode(text ? text : "", &length);
	char *copy = malloc(length + 1);

	if (!copy)
		abort();
	memcpy(copy, decoded ? (const char *)decoded : "", length);
	copy[length] = '\0';
	g_free(decoded);
	*data = copy;
	*size = length;
}

struct error *agent_exec_start(struct agent *agent, const char *const argv[], const void *input,
	size_t input_size, struct deadline deadline, int64_t *pid)
{
	_cleanup_json_ json_t *result = NULL;
	json_t *arguments, *value;

	for (size_t i = 0; argv[i]; i++) {
		if (!g_utf8_validate(argv[i], -1, NULL))
			return error_new(ERROR_USAGE,
				"cannot run %s in a guest: word %zu is not UTF-8", argv[0], i);
	}
	arguments = json_pack("{s:s, s:b, s:[]}", "path", argv[0], "capture-output", 1, "arg");

	for (size_t i = 1; argv[i]; i++)
		json_array_append_new(json_object_get(arguments, "arg"), json_string(argv[i]));
	if (input) {
		gchar *encoded = g_base64_encode(input, input_size);

		json_object_set_new(arguments, "input-data", json_string(encoded));
		g_free(encoded);
	}
	struct error *err = agent_execute(agent, "guest-exec", arguments, deadline, &result);

	if (err)
		return error_prefix(err, "cannot run %s", argv[0]);
	value = json_object_get(result, "pid");
	if (!json_is_integer(value))
		return error_new(ERROR_GUEST, "%s gave no pid for %s", agent->name, argv[0]);
	*pid = json_integer_value(value);
	return NULL;
}

/* Numbers that no program can end with are a guest's lie, and never a success. */
static int exit_status(const json_t *code, const json_t *signal)
{
	json_int_t status = json_integer_value(json_is_integer(code) ? code : signal);

	if (json_is_integer(code))
		return status < 0 || status > 255 ? 255 : (int)status;
	return status < 0 ? 128 : status > 127 ? 255 : 128 + (int)status;
}

struct error *agent_exec_poll(struct agent *agent, int64_t pid, struct deadline deadline,
	bool *ended, struct exec_result *result)
{
	_cleanup_json_ json_t *status = NULL;
	json_t *code, *signal;

	try_(agent_execute(agent, "guest-exec-status", json_pack("{s:I}", "pid", (json_int_t)pid),
		deadline, &status));
	*ended = json_is_true(json_object_get(status, "exited"));
	if (!*ended)
		return NULL;
	code = json_object_get(status, "exitcode");
	signal = json_object_get(status, "signal");
	if (!json_is_integer(code) && !json_is_integer(signal))
		return error_new(ERROR_GUEST, "%s told no exit status", agent->name);
	if (json_is_true(json_object_get(status, "out-truncated")) ||
		json_is_true(json_object_get(status, "err-truncated")))
		return error_new(ERROR_GUEST,
			"%s cut the program's output at its own limit (16 MiB)", agent->name);
	struct exec_result filled = {.exit_status = exit_status(code, signal)};

	decode_member(status, "out-data", &filled.output, &filled.output_size);
	decode_member(status, "err-data", &filled.errors, &filled.errors_size);
	*result = filled;
	return NULL;
}

struct error *agent_exec(struct agent *agent, const char *const argv[], const void *input,
	size_t input_size, struct deadline deadline, struct exec_result *result)
{
	int interval_ms = 5;
	int64_t pid;
	bool ended;

	try_(agent_exec_start(agent, argv, input, input_size, deadline, &pid));
	for (;;) {
		int left = deadline_left_ms(deadline);

		try_(agent_exec_poll(agent, pid, deadline, &ended, result));
		if (ended)
			return NULL;
		if (left == 0)
			return error_new(ERROR_TIMEOUT,
				"deadline passed while waiting for '%s' in %s", argv[0],
				agent->name);
		/* The agent has no event for the end of a program: asking is the only way. */
		poll(NULL, 0, interval_ms < left ? interval_ms : left);
		interval_ms = interval_ms * 3 / 2 < 200 ? interval_ms * 3 / 2 + 1 : 200;
	}
}

#define FILE_CHUNK ((size_t)3 << 20)

static struct error *file_open(struct agent *agent, const char *path, const char *mode,
	struct deadline deadline, json_int_t *handle)
{
	_cleanup_json_ json_t *result = NULL;

	try_(agent_execute(agent, "guest-file-open",
		json_pack("{s:s, s:s}", "path", path, "mode", mode), deadline, &result));
	if (!json_is_integer(result))
		return error_new(ERROR_GUEST, "%s gave no handle for %s", agent->name, path);
	*handle = json_integer_value(result);
	return NULL;
}

static struct error *file_close(struct agent *agent, json_int_t handle, struct deadline deadline)
{
	return agent_execute(
		agent, "guest-file-close", json_pack("{s:I}", "handle", handle), deadline, NULL);
}

static struct error *write_chunks(struct agent *agent, json_int_t handle, const char *data,
	size_t size, struct deadline deadline)
{
	while (size > 0) {
		size_t chunk = size < FILE_CHUNK ? size : FILE_CHUNK;
		gchar *encoded = g_base64_encode((const guchar *)data, chunk);
		_cleanup_json_ json_t *result = NULL;
		struct error *err = agent_execute(agent, "guest-file-write",
			json_pack("{s:I, s:s}", "handle", handle, "buf-b64", encoded), deadline,
			&result);

		g_free(encoded);
		if (err)
			return err;
		json_int_t count = json_integer_value(json_object_get(result, "count"));

		if (count <= 0 || (size_t)count > chunk)
			return error_new(ERROR_GUEST, "%s wrote %lld of %zu bytes", agent->name,
				(long long)count, chunk);
		data += count;
		size -= (size_t)count;
	}
	return NULL;
}

struct error *agent_file_write(struct agent *agent, const char *path, const void *data, size_t size,
	struct deadline deadline)
{
	json_int_t handle;
	struct error *err, *close_err;

	try_(file_open(agent, path, "w", deadline, &handle));
	err = write_chunks(agent, handle, data, size, deadline);
	close_err = file_close(agent, handle, deadline);
	if (!err)
		return close_err;
	error_destroy(close_err);
	return error_prefix(err, "cannot write %s", path);
}

static struct error *read_chunks(struct agent *agent, json_int_t handle, size_t max_size,
	struct deadline deadline, GByteArray *bytes)
{
	for (;;) {
		_cleanup_json_ json_t *result = NULL;
		_cleanup_free_ char *chunk = NULL;
		size_t size;

		try_(agent_execute(agent, "guest-file-read",
			json_pack("{s:I, s:I}", "handle", handle, "count", (json_int_t)FILE_CHUNK),
			deadline, &result));
		decode_member(result, "buf-b64", &chunk, &size);
		if (bytes->len + size > max_size)
			return error_new(ERROR_GUEST, "file is larger than %zu bytes", max_size);
		g_byte_array_append(bytes, (const guint8 *)chunk, (guint)size);
		if (size == 0 || json_is_true(json_object_get(result, "eof")))
			return NULL;
	}
}

struct error *agent_file_read(struct agent *agent, const char *path, size_t max_size,
	struct deadline deadline, char **data, size_t *size)
{
	GByteArray *bytes;
	json_int_t handle;
	struct error *err;

	try_(file_open(agent, path, "r", deadline, &handle));
	bytes = g_byte_array_new();
	err = read_chunks(agent, handle, max_size, deadline, bytes);
	error_destroy(file_close(agent, handle, deadline));
	if (!err) {
		char *copy = malloc(bytes->len + 1);

		if (!copy)
			abort();
		memcpy(copy, bytes->data ? (const char *)bytes->data : "", bytes->len);
		copy[bytes->len] = '\0';
		*data = copy;
		*size = bytes->len;
	}
	g_byte_array_unref(bytes);
	return err ? error_prefix(err, "cannot read %s", path) : NULL;
}
