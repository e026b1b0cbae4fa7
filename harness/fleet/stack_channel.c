/* The stack's ends of channels through shared memory: see stack.h and channel.h. */
#include "harness/base/fs.h"
#include "harness/fleet/channel.h"
#include "harness/fleet/stack_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

enum { FLOOD_CHUNK = 64 << 10 };

/* A channel's memory, and what is done with it in a thread of its own. */
struct end {
	void *memory;
	size_t bytes;
	struct channel *channel;
	char *path;
	int listen_fd;
};

static void end_destroy(struct end *end)
{
	if (!end)
		return;
	channel_close(end->channel);
	if (end->memory)
		munmap(end->memory, end->bytes);
	cleanup_close(&end->listen_fd);
	free(end->path);
	free(end);
}
DEFINE_CLEANUP(end, struct end *, end_destroy)

static struct error *map_memory(json_t *request, struct end **end)
{
	json_int_t offset = json_integer_value(json_object_get(request, "offset"));
	json_int_t bytes = json_integer_value(json_object_get(request, "bytes"));
	_cleanup_(cleanup_end) struct end *made = calloc(1, sizeof(*made));
	_cleanup_close_ int fd = -1;
	const char *device;
	void *memory;

	if (!made)
		abort();
	made->listen_fd = -1;
	try_(stack_string(request, "device", &device));
	if (bytes < (json_int_t)CHANNEL_MIN_BYTES || offset < 0)
		return error_new(ERROR_SETUP, "request lacks the place of a channel");
	fd = open(device, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return error_errno(errno, "cannot open %s for a channel", device);
	memory = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
	if (memory == MAP_FAILED)
		return error_errno(errno, "cannot map %s for a channel", device);
	made->memory = memory;
	made->bytes = (size_t)bytes;
	*end = take_ptr(made);
	return NULL;
}

static struct error *open_side(json_t *request, unsigned int side, struct end **end)
{
	_cleanup_(cleanup_end) struct end *made = NULL;

	try_(map_memory(request, &made));
	try_(channel_open(made->memory, made->bytes, side, &made->channel));
	*end = take_ptr(made);
	return NULL;
}

struct error *stack_op_channel_format(struct server *server, json_t *request, json_t *answer)
{
	_cleanup_(cleanup_end) struct end *end = NULL;

	(void)server;
	(void)answer;
	try_(map_memory(request, &end));
	return channel_format(end->memory, end->bytes);
}

/* ---- carrying a connection ---- */

static void *carry_accepted(void *context)
{
	_cleanup_(cleanup_end) struct end *end = context;
	struct deadline deadline = deadline_after_ms(STACK_REQUEST_MS);
	struct pollfd pfd = {.fd = end->listen_fd, .events = POLLIN};
	int fd = -1;

	/* That the way is not gone is no failure: whoever was to go it tells. */
	if (poll(&pfd, 1, deadline_left_ms(deadline)) > 0)
		fd = accept4(end->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	unlink(end->path);
	if (fd >= 0)
		error_destroy(channel_relay(end->channel, fd, deadline));
	return NULL;
}

static void *carry_connected(void *context)
{
	_cleanup_(cleanup_end) struct end *end = context;
	struct deadline deadline = deadline_after_ms(STACK_REQUEST_MS);
	struct error *err = channel_await_data(end->channel, deadline);
	int fd;

	if (!err)
		err = unix_connect(end->path, &fd);
	if (!err)
		err = channel_relay(end->channel, fd, deadline);
	error_destroy(err);
	return NULL;
}

static struct error *in_thread(void *(*body)(void *), struct end **end)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, body, *end) != 0)
		return error_new(ERROR_SETUP, "cannot start a thread for a channel");
	*end = NULL;
	pthread_detach(thread);
	return NULL;
}

struct error *stack_op_channel_listen(struct server *server, json_t *request, json_t *answer)
{
	_cleanup_(cleanup_end) struct end *end = NULL;
	const char *path;

	(void)server;
	(void)answer;
	try_(stack_string(request, "path", &path));
	try_(open_side(request, 0, &end));
	end->path = format_string("%s", path);
	unlink(path);
	try_(unix_listen(path, &end->listen_fd));
	return in_thread(carry_accepted, &end);
}

struct error *stack_op_channel_connect(struct server *server, json_t *request, json_t *answer)
{
	_cleanup_(cleanup_end) struct end *end = NULL;
	const char *path;

	(void)server;
	(void)answer;
	try_(stack_string(request, "path", &path));
	try_(open_side(request, 1, &end));
	end->path = format_string("%s", path);
	return in_thread(carry_connected, &end);
}

/* ---- throughput ---- */

struct error *stack_op_channel_flood(struct server *server, json_t *request, json_t *answer)
{
	json_int_t left = json_integer_value(json_object_get(request, "total"));
	struct deadline deadline = deadline_after_ms(STACK_REQUEST_MS);
	_cleanup_free_ char *chunk = malloc(FLOOD_CHUNK);
	_cleanup_(cleanup_end) struct end *end = NULL;
	int64_t begin;

	(void)server;
	if (!chunk)
		abort();
	memset(chunk, 0x5a, FLOOD_CHUNK);
	try_(open_side(request, 0, &end));
	begin = clock_now_ns();
	while (left > 0) {
		size_t n = left < FLOOD_CHUNK ? (size_t)left : FLOOD_CHUNK;

		try_(channel_send(end->channel, chunk, n, deadline));
		left -= (json_int_t)n;
	}
	json_object_set_new(answer, "seconds", json_real(clock_seconds(begin, clock_now_ns())));
	return NULL;
}

struct error *stack_op_channel_drain(struct server *server, json_t *request, json_t *answer)
{
	json_int_t left = json_integer_value(json_object_get(request, "total"));
	struct deadline deadline = deadline_after_ms(STACK_REQUEST_MS);
	_cleanup_free_ char *chunk = malloc(FLOOD_CHUNK);
	_cleanup_(cleanup_end) struct end *end = NULL;
	int64_t begin;

	(void)server;
	if (!chunk)
		abort();
	try_(open_side(request, 1, &end));
	/* The clock runs from when something comes: the two ends are not asked at one moment. */
	try_(channel_await_data(end->channel, deadline));
	begin = clock_now_ns();
	while (left > 0) {
		size_t n;

		try_(channel_receive(end->channel, chunk, FLOOD_CHUNK, deadline, &n));
		if (n == 0)
			return error_new(ERROR_SETUP, "the channel ended %lld bytes too early",
				(long long)left);
		left -= (json_int_t)n;
	}
	json_object_set_new(answer, "seconds", json_real(clock_seconds(begin, clock_now_ns())));
	return NULL;
}
