/* A server with a store in `scratch`, and clients of it as raw as they come. Include once, after
 * support.h. */
#pragma once

#include "dashboard/server/server.h"
#include "harness/base/clock.h"
#include "harness/base/embedded.h"
#include "harness/record/samples.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

static struct server *server;
static unsigned int port;

static inline void start_with(struct server_options options)
{
	options.results_dir = scratch;
	if (!options.address)
		options.address = "127.0.0.1";
	signal(SIGPIPE, SIG_IGN);
	assert_ok(server_create(&options, &server));
	port = (unsigned int)strtoul(strrchr(server_url(server), ':') + 1, NULL, 10);
	assert_true(port > 0);
}

static inline void start(void)
{
	start_with((struct server_options){0});
}

static inline void stop(void)
{
	server_destroy(server);
	server = NULL;
}

/* A connected socket that gives up when nothing comes for long. */
static inline int connect_to_it(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	const struct timeval patience = {.tv_sec = TEST_TIMEOUT_MS / 1000};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Sends what it can: a server may close before it has heard all. */
static inline void send_bytes(int fd, const void *bytes, size_t size)
{
	const char *p = bytes;
	ssize_t n;

	while (size > 0 && (n = send(fd, p, size, MSG_NOSIGNAL)) > 0) {
		p += n;
		size -= (size_t)n;
	}
}

static inline void send_text(int fd, const char *text)
{
	send_bytes(fd, text, strlen(text));
}

/* All until the server closes, NUL-terminated; caller frees. Fails when it does not close. */
static inline char *read_all(int fd)
{
	char *text = NULL, bytes[65536];
	size_t size;
	FILE *out = open_memstream(&text, &size);
	ssize_t n;

	while ((n = recv(fd, bytes, sizeof(bytes), 0)) > 0)
		fwrite(bytes, 1, (size_t)n, out);
	fclose(out);
	if (n < 0 && errno == EAGAIN)
		fail_msg("the server does not close; so far: %.200s", text);
	return text;
}

struct reply {
	int status;
	char *text; /* headers and body */
	const char *body;
};

static inline void reply_deinit(struct reply *reply)
{
	free(reply->text);
}
#define _cleanup_reply_ _cleanup_(reply_deinit)

/* One request of a method, with more header lines ("A: b\r\n"). */
static inline struct reply ask(const char *method, const char *target, const char *more)
{
	_cleanup_free_ char *request = NULL;
	struct reply reply = {0};
	int fd = connect_to_it();

	request = format_string("%s %s HTTP/1.1\r\n%sConnection: close\r\n%s\r\n", method, target,
		more && strcasestr(more, "host:") ? "" : "Host: localhost:PORT\r\n",
		more ? more : "");
	for (char *at; (at = strstr(request, "PORT"));) {
		_cleanup_free_ char *old = request;

		request = format_string("%.*s%u%s", (int)(at - old), old, port, at + 4);
	}
	send_text(fd, request);
	reply.text = read_all(fd);
	close(fd);
	if (sscanf(reply.text, "HTTP/1.1 %d", &reply.status) != 1)
		fail_msg("no answer to %s %s: '%.100s'", method, target, reply.text);
	reply.body = strstr(reply.text, "\r\n\r\n");
	reply.body = reply.body ? reply.body + 4 : "";
	return reply;
}

static inline struct reply get(const char *target)
{
	return ask("GET", target, NULL);
}

/* A header's value as it begins; NULL when there is none. Borrowed. */
static inline const char *reply_header(const struct reply *reply, const char *name)
{
	_cleanup_free_ char *line = format_string("\r\n%s: ", name);
	const char *found = strcasestr(reply->text, line);

	return found && found < reply->body ? found + strlen(line) : NULL;
}

/* The JSON that a resource below /api/v1 answers with this status. */
static inline json_t *get_json(const char *path, int status)
{
	_cleanup_free_ char *target = format_string("/api/v1/%s", path);
	_cleanup_reply_ struct reply reply = get(target);
	json_t *json = json_loads(reply.body, 0, NULL);

	if (reply.status != status)
		fail_msg("%s: %d, %.300s", path, reply.status, reply.body);
	if (!json)
		fail_msg("%s: no JSON: %.200s", path, reply.body);
	return json;
}

/* The target of a page's file whose name has `end` at its end and changes with its content. */
static inline char *asset(const char *end)
{
	const struct embedded_file *file;

	for (size_t i = 0; (file = embedded_at(i)); i++) {
		size_t length = strlen(file->name);

		if (strncmp(file->name, "web/assets/", 11) == 0 && length > strlen(end) &&
			strcmp(file->name + length - strlen(end), end) == 0)
			return format_string("%s", file->name + 3);
	}
	fail_msg("no page has a file *%s", end);
	return NULL;
}

/* Waits until the store's runs are indexed, all of them. */
static inline void wait_for_runs(json_int_t count)
{
	struct deadline deadline = deadline_after_ms(TEST_TIMEOUT_MS);

	for (;;) {
		_cleanup_reply_ struct reply reply = get("/api/v1/overview");
		_cleanup_json_ json_t *overview = json_loads(reply.body, 0, NULL);
		const json_t *indexing = json_object_get(overview, "indexing");

		if (reply.status == 200 && json_is_false(json_object_get(indexing, "running")) &&
			json_number(json_object_get(overview, "totals"), "runs", -1) ==
				(double)count)
			return;
		if (deadline_passed(deadline))
			fail_msg("not indexed: %d %.200s", reply.status, reply.body);
		poll(NULL, 0, 10);
	}
}

/* Resident memory of this process (the server's, and ours), in bytes. */
static inline size_t resident_bytes(void)
{
	_cleanup_free_ char *text = fs_read_line("/proc/self/statm");
	size_t total, resident = 0;

	if (!text || sscanf(text, "%zu %zu", &total, &resident) != 2)
		fail_msg("cannot read /proc/self/statm");
	return resident * (size_t)sysconf(_SC_PAGESIZE);
}
