/* TCP connections to guests' "echo": see stream.h. What guests send is hostile: a record that is
 * not the next one ends the connection. */
#include "workloads/host/stream.h"
#include "harness/base/fs.h"
#include "workloads/guest/echo_format.h"
#include "workloads/host/client.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define BYTES_AT_ONCE 65536

struct connection {
	char *name;
	int fd;
	struct stream_series series;
	size_t room;
	struct echo_record record; /* as far as it has come */
	size_t have;
};

struct stream {
	struct connection *connections;
	size_t count;
	struct client_thread thread;
	struct client_progress *progress;
};

void stream_series_deinit(struct stream_series *series)
{
	free(series->arrivals);
	free(series->broken);
	*series = (struct stream_series){0};
}

static void note_arrival(struct connection *connection, int64_t at_ns)
{
	struct stream_series *series = &connection->series;

	if (series->count == connection->room) {
		connection->room = connection->room ? 2 * connection->room : 4096;
		series->arrivals =
			reallocarray(series->arrivals, connection->room, sizeof(*series->arrivals));
		if (!series->arrivals)
			abort();
	}
	series->arrivals[series->count++] = (struct stream_arrival){at_ns, series->records};
}

/* Takes bytes of the stream; false when they are not what has to come next. */
static bool take_bytes(struct connection *connection, const char *bytes, size_t size)
{
	struct echo_record *record = &connection->record;

	while (size) {
		size_t part = sizeof(*record) - connection->have;

		if (part > size)
			part = size;
		memcpy((char *)record + connection->have, bytes, part);
		connection->have += part;
		bytes += part;
		size -= part;
		if (connection->have < sizeof(*record))
			return true;
		connection->have = 0;
		if (record->magic != ECHO_RECORD_MAGIC ||
			record->number != connection->series.records ||
			record->filler != echo_filler(record->number) ||
			record->checksum != echo_checksum(record))
			return false;
		connection->series.records++;
	}
	return true;
}

/* Takes over `reason`. */
static void give_up(struct stream *stream, struct connection *connection, char *reason)
{
	connection->series.broken = reason;
	connection->series.broken_ns = clock_now_ns();
	client_unwatch(&stream->thread, connection->fd);
	close(take_fd(&connection->fd));
	client_give_up(stream->progress, (size_t)(connection - stream->connections));
}

static void read_connection(struct stream *stream, struct connection *connection)
{
	char bytes[BYTES_AT_ONCE];
	uint64_t before = connection->series.records;
	int64_t at_ns;
	ssize_t got = client_receive(connection->fd, bytes, sizeof(bytes), &at_ns);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		give_up(stream, connection,
			got == 0 ? format_string("the guest closed the connection")
				 : format_string("the connection broke: %s", strerror(errno)));
		return;
	}
	connection->series.bytes += (uint64_t)got;
	if (!take_bytes(connection, bytes, (size_t)got)) {
		give_up(stream, connection,
			format_string("record %llu is not as it was sent",
				(unsigned long long)connection->series.records));
		return;
	}
	note_arrival(connection, at_ns);
	client_advance(stream->progress, (size_t)(connection - stream->connections),
		connection->series.records - before);
}

static void run_stream(struct client_thread *thread, void *context)
{
	struct stream *stream = context;

	while (client_wait(thread, INT64_MAX)) {
		for (size_t i = 0; i < stream->count; i++) {
			if (stream->connections[i].fd >= 0)
				read_connection(stream, &stream->connections[i]);
		}
	}
}

/* A connect that may wait until the deadline and no longer. */
static int connect_until(int fd, const struct sockaddr_in *address, struct deadline deadline)
{
	struct pollfd pfd = {.fd = fd, .events = POLLOUT};
	socklen_t length = sizeof(int);
	int status = 0;

	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return errno;
	if (poll(&pfd, 1, deadline_left_ms(deadline)) <= 0)
		return ETIMEDOUT;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &status, &length);
	return status;
}

static struct error *open_connection(
	const struct probe_target *target, struct deadline deadline, struct connection *connection)
{
	struct sockaddr_in address;
	int status;

	connection->name = format_string("%s", target->name);
	try_(client_address(target->name, target->address, target->port, &address));
	connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (connection->fd < 0)
		return error_errno(errno, "cannot open a connection to %s", target->name);
	try_(client_want_arrival_times(connection->fd));
	status = connect_until(connection->fd, &address, deadline);
	if (status)
		return error_errno(status, "cannot connect to echo in %s at %s port %u",
			target->name, target->address, ntohs(address.sin_port));
	return NULL;
}

static void free_stream(struct stream *stream)
{
	client_thread_deinit(&stream->thread);
	for (size_t i = 0; i < stream->count; i++) {
		struct connection *connection = &stream->connections[i];

		stream_series_deinit(&connection->series);
		cleanup_close(&connection->fd);
		free(connection->name);
	}
	client_progress_destroy(stream->progress);
	free(stream->connections);
	free(stream);
}
DEFINE_CLEANUP(free_stream, struct stream *, free_stream)

struct error *stream_start(const struct probe_target *targets, size_t count,
	struct deadline deadline, struct stream **result)
{
	_cleanup_(cleanup_free_stream) struct stream *stream = calloc(1, sizeof(*stream));

	if (!stream || !(stream->connections = calloc(count, sizeof(*stream->connections))))
		abort();
	stream->count = count;
	stream->progress = client_progress_create(count);
	client_thread_init(&stream->thread);
	for (size_t i = 0; i < count; i++)
		stream->connections[i].fd = -1;
	for (size_t i = 0; i < count; i++) {
		try_(open_connection(&targets[i], deadline, &stream->connections[i]));
		try_(client_watch(&stream->thread, stream->connections[i].fd));
		client_progress_set_lives(
			stream->progress, i, targets[i].lives, targets[i].lives_context);
	}
	try_(client_thread_start(&stream->thread, run_stream, stream));
	*result = take_ptr(stream);
	return NULL;
}

struct error *stream_await(struct stream *stream, uint64_t records, struct deadline deadline)
{
	size_t late;

	if (client_progress_await(stream->progress, records, deadline, &late))
		return NULL;
	return error_new(deadline_passed(deadline) ? ERROR_TIMEOUT : ERROR_GUEST,
		"%s waiting for %llu records of the stream from %s",
		deadline_passed(deadline) ? "the deadline passed" : "the connection broke",
		(unsigned long long)records, stream->connections[late].name);
}

struct error *stream_stop(struct stream *stream, struct stream_series *series)
{
	struct error *err = client_thread_stop(&stream->thread);

	for (size_t i = 0; !err && i < stream->count; i++) {
		series[i] = stream->connections[i].series;
		stream->connections[i].series = (struct stream_series){0};
	}
	free_stream(stream);
	return err;
}

void stream_destroy(struct stream *stream)
{
	if (!stream)
		return;
	free_stream(stream);
}

struct stream_report stream_report(
	const struct stream_series *series, int64_t from_ns, int64_t to_ns)
{
	struct stream_report report = {
		.stall_ms = NAN, .median_gap_ms = NAN, .survived = !series->broken};
	struct moments moments = {series->count ? &series->arrivals[0].at_ns : NULL,
		sizeof(*series->arrivals), series->count};

	for (size_t i = 1; i < series->count; i++) {
		const struct stream_arrival *arrival = &series->arrivals[i];

		if (arrival->at_ns >= from_ns && arrival->at_ns <= to_ns)
			report.records += arrival->records - arrival[-1].records;
	}
	report.median_gap_ms = gap_median_ms(moments, from_ns, to_ns);
	report.stall = gap_largest(moments, from_ns, to_ns);
	if (report.stall.index)
		report.stall_ms = gap_ms(report.stall);
	return report;
}
