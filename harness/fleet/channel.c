/* A byte stream through memory shared between kernels: see channel.h. Must never use a number of
 * the peer's without having compared it with its own. */
#include "harness/fleet/channel.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define MAGIC 0x316c6e6863746c66ULL /* "flthchn1" */

enum {
	LINE = 64,
	/* Spinning for longer takes the processor from whom one waits for, where both share it. */
	SPIN_NS = 30000,
	SLEEP_MIN_NS = 20000,
	SLEEP_MAX_NS = 1000000,
	RELAY_CHUNK = 256 << 10,
};

/* Positions count bytes since the beginning. Writer and reader have cache lines of their own. */
struct ring {
	_Alignas(LINE) _Atomic uint64_t written;
	_Atomic uint32_t ended; /* by the writer */
	_Alignas(LINE) _Atomic uint64_t read;
	_Atomic uint32_t stopped; /* by the reader */
};

struct header {
	uint64_t magic;
	struct ring rings[2]; /* rings[side]: what that side sends */
};

struct channel {
	struct header *shared;
	struct ring *out, *in;
	char *out_data, *in_data;
	uint64_t capacity;
	uint64_t written, read; /* our own positions: the shared ones are for the peer */
};

static uint64_t capacity_of(size_t size)
{
	return (size - sizeof(struct header)) / 2 / LINE * LINE;
}

struct error *channel_format(void *memory, size_t size)
{
	struct header *header = memory;

	if (size < CHANNEL_MIN_BYTES || (uintptr_t)memory % LINE != 0)
		return error_new(
			ERROR_INTERNAL, "%zu bytes at %p cannot be a channel", size, memory);
	memset(header, 0, sizeof(*header));
	atomic_thread_fence(memory_order_release);
	header->magic = MAGIC;
	return NULL;
}

struct error *channel_open(void *memory, size_t size, unsigned int side, struct channel **channel)
{
	struct header *header = memory;
	struct channel *made;

	if (size < CHANNEL_MIN_BYTES || side > 1 || header->magic != MAGIC)
		return error_new(ERROR_SETUP, "this memory is not a channel");
	if (atomic_load(&header->rings[side].written) || atomic_load(&header->rings[!side].read))
		return error_new(
			ERROR_SETUP, "side %u of this channel has been used already", side);
	made = calloc(1, sizeof(*made));
	if (!made)
		abort();
	made->shared = header;
	made->capacity = capacity_of(size);
	made->out = &header->rings[side];
	made->in = &header->rings[!side];
	made->out_data = (char *)memory + sizeof(*header) + side * made->capacity;
	made->in_data = (char *)memory + sizeof(*header) + !side * made->capacity;
	*channel = made;
	return NULL;
}

void channel_close(struct channel *channel)
{
	if (!channel)
		return;
	channel_end(channel);
	channel_stop(channel);
	free(channel);
}

void channel_end(struct channel *channel)
{
	atomic_store_explicit(&channel->out->ended, 1, memory_order_release);
}

void channel_stop(struct channel *channel)
{
	atomic_store_explicit(&channel->in->stopped, 1, memory_order_release);
}

/* ---- waiting ---- */

struct patience {
	int64_t since_ns;
	long sleep_ns;
};

static void wait_a_little(struct patience *patience)
{
	int64_t now = clock_now_ns();

	if (!patience->since_ns)
		patience->since_ns = now;
	if (now - patience->since_ns < SPIN_NS) {
		__builtin_ia32_pause();
		return;
	}
	patience->sleep_ns = patience->sleep_ns ? 2 * patience->sleep_ns : SLEEP_MIN_NS;
	if (patience->sleep_ns > SLEEP_MAX_NS)
		patience->sleep_ns = SLEEP_MAX_NS;
	nanosleep(&(struct timespec){.tv_nsec = patience->sleep_ns}, NULL);
}

static struct error *nonsense(const char *what)
{
	return error_new(ERROR_GUEST,
		"the peer of the shared-memory channel claims to have %s what it cannot have",
		what);
}

/* How much can be written now: 0 when the ring is full. */
static struct error *room_left(struct channel *channel, uint64_t *room)
{
	uint64_t read = atomic_load_explicit(&channel->out->read, memory_order_acquire);
	uint64_t under_way = channel->written - read;

	/* Also when `read` is ahead of us: the difference is then enormous. */
	if (under_way > channel->capacity)
		return nonsense("read");
	*room = channel->capacity - under_way;
	return NULL;
}

/* How much can be read now: 0 when the ring is empty. */
static struct error *data_there(struct channel *channel, uint64_t *there)
{
	uint64_t written = atomic_load_explicit(&channel->in->written, memory_order_acquire);

	*there = written - channel->read;
	return *there > channel->capacity ? nonsense("written") : NULL;
}

static size_t least(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t least = a < b ? a : b;

	return (size_t)(least < c ? least : c);
}

struct error *channel_send(
	struct channel *channel, const void *data, size_t size, struct deadline deadline)
{
	const char *from = data;
	struct patience patience = {0};

	while (size > 0) {
		uint64_t place = channel->written % channel->capacity;
		uint64_t room = 0;

		if (atomic_load_explicit(&channel->out->stopped, memory_order_acquire))
			return error_errno(EPIPE, "cannot send through the shared-memory channel");
		try_(room_left(channel, &room));
		if (room == 0) {
			if (deadline_passed(deadline))
				return error_new(ERROR_TIMEOUT, "deadline passed while waiting for "
								"the reader of a shared-memory "
								"channel");
			wait_a_little(&patience);
			continue;
		}
		/* A quarter at a time: the reader begins before the writer has done all. */
		size_t chunk = least(size, room, channel->capacity - place);

		chunk = least(chunk, channel->capacity / 4, chunk);
		memcpy(channel->out_data + place, from, chunk);
		channel->written += chunk;
		atomic_store_explicit(
			&channel->out->written, channel->written, memory_order_release);
		from += chunk;
		size -= chunk;
		patience = (struct patience){0};
	}
	return NULL;
}

/* How much is there once there is something; 0 when the peer has ended. */
static struct error *await_data(struct channel *channel, struct deadline deadline, uint64_t *there)
{
	struct patience patience = {0};

	for (;;) {
		/* Before the position: what was written before the end must not be missed. */
		bool ended = atomic_load_explicit(&channel->in->ended, memory_order_acquire);

		try_(data_there(channel, there));
		if (*there > 0 || ended)
			return NULL;
		if (deadline_passed(deadline))
			return error_new(ERROR_TIMEOUT, "deadline passed while waiting for the "
							"writer of a shared-memory channel");
		wait_a_little(&patience);
	}
}

struct error *channel_await_data(struct channel *channel, struct deadline deadline)
{
	uint64_t there = 0;

	return await_data(channel, deadline, &there);
}

struct error *channel_receive(struct channel *channel, void *data, size_t room,
	struct deadline deadline, size_t *received)
{
	uint64_t there = 0;

	try_(await_data(channel, deadline, &there));
	uint64_t place = channel->read % channel->capacity;
	size_t chunk = least(there, room, channel->capacity - place);

	memcpy(data, channel->in_data + place, chunk);
	channel->read += chunk;
	atomic_store_explicit(&channel->in->read, channel->read, memory_order_release);
	*received = chunk;
	return NULL;
}

/* ---- between a socket and a channel ---- */

struct carrier {
	struct channel *channel;
	int fd;
	struct deadline deadline;
	struct error *err;
};

/* The socket has something, or its end: -1 when the deadline passes first. */
static ssize_t read_stream(struct carrier *carrier, char *buffer)
{
	for (;;) {
		struct pollfd pfd = {.fd = carrier->fd, .events = POLLIN};
		int ready = poll(&pfd, 1, deadline_left_ms(carrier->deadline));

		if (ready < 0 && errno != EINTR)
			return -1;
		if (ready > 0) {
			ssize_t n = recv(carrier->fd, buffer, RELAY_CHUNK, 0);

			if (n >= 0 || errno != EINTR)
				return n < 0 ? 0 : n; /* a reset is an end */
		} else if (deadline_passed(carrier->deadline)) {
			return -1;
		}
	}
}

static void *carry_out(void *context)
{
	struct carrier *carrier = context;
	_cleanup_free_ char *buffer = malloc(RELAY_CHUNK);
	ssize_t n;

	if (!buffer)
		abort();
	while ((n = read_stream(carrier, buffer)) > 0 && !carrier->err)
		carrier->err = channel_send(carrier->channel, buffer, (size_t)n, carrier->deadline);
	if (n < 0)
		carrier->err = error_new(ERROR_TIMEOUT,
			"deadline passed while waiting for data for a shared-memory channel");
	channel_end(carrier->channel);
	return NULL;
}

static struct error *carry_in(struct carrier *carrier)
{
	_cleanup_free_ char *buffer = malloc(RELAY_CHUNK);
	size_t n = 0;

	if (!buffer)
		abort();
	for (;;) {
		try_(channel_receive(carrier->channel, buffer, RELAY_CHUNK, carrier->deadline, &n));
		if (n == 0)
			return NULL;
		for (size_t sent = 0; sent < n;) {
			ssize_t m = send(carrier->fd, buffer + sent, n - sent, MSG_NOSIGNAL);

			if (m < 0 && errno != EINTR)
				return error_errno(errno, "cannot hand on what a channel brings");
			sent += m > 0 ? (size_t)m : 0;
		}
	}
}

struct error *channel_relay(struct channel *channel, int fd, struct deadline deadline)
{
	struct carrier out = {.channel = channel, .fd = fd, .deadline = deadline};
	struct carrier in = out;
	pthread_t thread;

	/* So that a reader that has stopped cannot hold us beyond the deadline. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO,
		&(struct timeval){.tv_sec = deadline_left_ms(deadline) / 1000 + 1},
		sizeof(struct timeval));
	if (pthread_create(&thread, NULL, carry_out, &out) != 0) {
		close(fd);
		return error_new(ERROR_SETUP, "cannot start a thread for a channel");
	}
	in.err = carry_in(&in);
	channel_stop(channel);
	shutdown(fd, in.err ? SHUT_RDWR : SHUT_WR);
	pthread_join(thread, NULL);
	close(fd);
	if (in.err) {
		error_destroy(out.err);
		return in.err;
	}
	return out.err;
}
