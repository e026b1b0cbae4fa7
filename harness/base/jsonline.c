/* JSON values, one a line: see jsonline.h. */
#include "harness/base/jsonline.h"
#include "harness/base/fs.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

/* A peer that stops reading, or never accepts, must not block us for ever. */
#define CONNECT_MS 30000

void jsonline_deinit(struct jsonline *reader)
{
	free(reader->buffer);
	*reader = (struct jsonline){.fd = -1};
}

/* Takes a complete line out of the buffer; NULL when there is none yet. */
static char *next_line(struct jsonline *reader, size_t *length)
{
	char *start = reader->buffer + reader->consumed;
	size_t left = reader->used - reader->consumed;
	char *end = left > reader->searched
			    ? memchr(start + reader->searched, '\n', left - reader->searched)
			    : NULL;

	if (!end) {
		reader->searched = left;
		return NULL;
	}
	*length = (size_t)(end - start);
	reader->consumed += *length + 1;
	reader->searched = 0;
	return start;
}

static struct error *fill(struct jsonline *reader, bool *ended)
{
	if (reader->consumed > 0) {
		reader->used -= reader->consumed;
		memmove(reader->buffer, reader->buffer + reader->consumed, reader->used);
		reader->consumed = 0;
	}
	if (reader->room - reader->used < 4096) {
		size_t room = reader->room ? reader->room * 2 : 16384;
		char *grown = realloc(reader->buffer, room);

		if (!grown)
			return error_errno(ENOMEM, "cannot receive");
		reader->buffer = grown;
		reader->room = room;
	}
	ssize_t n = read(reader->fd, reader->buffer + reader->used, reader->room - reader->used);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return NULL;
	if (n < 0 && errno != ECONNRESET)
		return error_errno(errno, "cannot receive");
	if (n <= 0)
		*ended = true;
	else
		reader->used += (size_t)n;
	return NULL;
}

struct error *jsonline_receive(
	struct jsonline *reader, const char *what, struct deadline deadline, json_t **value)
{
	for (;;) {
		struct pollfd pfd = {.fd = reader->fd, .events = POLLIN};
		bool ended = false;
		size_t length;
		char *line = next_line(reader, &length);

		if ((line ? length : reader->searched) > JSONLINE_MAX)
			return error_new(ERROR_SETUP, "%s: received a line over %zu MiB", what,
				JSONLINE_MAX >> 20);
		/* The guest agent marks its answer to guest-sync-delimited with 0xff. */
		while (line && length > 0 && (*line == '\xff' || *line == '\r')) {
			line++;
			length--;
		}
		if (line && length > 0) {
			json_error_t json_error;
			json_t *parsed = json_loadb(line, length, 0, &json_error);

			if (!json_is_object(parsed)) {
				json_decref(parsed);
				return error_new(ERROR_SETUP,
					"%s sent something that is no JSON object", what);
			}
			*value = parsed;
			return NULL;
		}
		if (line)
			continue;
		/* Asked before each read: a peer that always sends something must not hold us. */
		if (deadline_passed(deadline))
			return error_new(
				ERROR_TIMEOUT, "deadline passed while waiting for %s", what);
		int ready = poll(&pfd, 1, deadline_left_ms(deadline));

		if (ready < 0 && errno != EINTR)
			return error_errno(errno, "cannot wait for %s", what);
		if (ready <= 0)
			continue;
		struct error *err = fill(reader, &ended);

		if (err)
			return error_prefix(err, "%s", what);
		if (ended) {
			*value = NULL;
			return NULL;
		}
	}
}

struct error *jsonline_send(int fd, json_t *value, const char *what)
{
	_cleanup_json_ json_t *owned = value;
	_cleanup_free_ char *text = json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(17));
	_cleanup_free_ char *line = NULL;
	const char *p;
	size_t left;

	if (!text)
		return error_new(ERROR_INTERNAL, "cannot form a message for %s", what);
	line = format_string("%s\n", text);
	p = line;
	left = strlen(line);
	while (left > 0) {
		ssize_t n = send(fd, p, left, MSG_NOSIGNAL);

		if (n < 0 && errno == ENOTSOCK)
			n = write(fd, p, left);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(errno, "cannot send to %s", what);
		p += n;
		left -= (size_t)n;
	}
	return NULL;
}

void jsonline_put_error(json_t *line, const struct error *err)
{
	json_object_set_new(line, "error", json_string(error_message(err)));
	if (error_remedy(err))
		json_object_set_new(line, "remedy", json_string(error_remedy(err)));
}

struct error *jsonline_error(const json_t *line, enum error_kind kind)
{
	const char *message = json_string_value(json_object_get(line, "error"));
	const char *remedy = json_string_value(json_object_get(line, "remedy"));
	struct error *err = message ? error_new(kind, "%s", message) : NULL;

	return err && remedy ? error_hint(err, "%s", remedy) : err;
}

static struct error *unix_address(const char *path, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(address->sun_path))
		return error_new(ERROR_SETUP, "socket path %s is longer than %zu characters", path,
			sizeof(address->sun_path) - 1);
	strcpy(address->sun_path, path);
	return NULL;
}

struct error *unix_connect_within(const char *path, unsigned int wait_ms, int *fd)
{
	const struct timeval patience = {
		.tv_sec = wait_ms / 1000, .tv_usec = (suseconds_t)(wait_ms % 1000 * 1000)};
	_cleanup_close_ int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;

	try_(unix_address(path, &address));
	setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (s >= 0 && connect(s, (struct sockaddr *)&address, sizeof(address)) == 0) {
		*fd = take_fd(&s);
		return NULL;
	}
	if (errno == EAGAIN)
		return error_new(ERROR_TIMEOUT,
			"deadline passed while waiting for who listens on %s to accept", path);
	return error_errno(errno, "cannot connect to %s", path);
}

struct error *unix_connect(const char *path, int *fd)
{
	return unix_connect_within(path, CONNECT_MS, fd);
}

struct error *unix_listen(const char *path, int *fd)
{
	_cleanup_close_ int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;

	try_(unix_address(path, &address));
	if (s < 0 || bind(s, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(s, 128) < 0)
		return error_errno(errno, "cannot listen on %s", path);
	*fd = take_fd(&s);
	return NULL;
}
