/* Datagrams to guests' "echo": see probe.h. What guests answer is hostile: a reply counts when it
 * is the first to a request that was sent. Must never wait for a guest that does not answer. */
#include "workloads/host/probe.h"
#include "workloads/guest/echo_format.h"
#include "workloads/host/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* How long replies under way are waited for at the end. */
#define DRAIN_MS 200
#define REPLIES_AT_ONCE 64

struct asked {
	char *name;
	int fd;
	struct probe_series series;
	size_t reply_room, sent_room;
	uint8_t *answered; /* by sequence number */
};

struct probe {
	struct asked *targets;
	size_t count;
	int64_t interval_ns;
	struct client_thread thread;
	struct client_progress *progress;
};

static void note_sent(struct asked *target, int64_t now)
{
	struct probe_series *series = &target->series;

	if (series->sent_count == target->sent_room) {
		target->sent_room = target->sent_room ? 2 * target->sent_room : 4096;
		series->sent_ns =
			reallocarray(series->sent_ns, target->sent_room, sizeof(*series->sent_ns));
		target->answered = realloc(target->answered, target->sent_room);
		if (!series->sent_ns || !target->answered)
			abort();
	}
	target->answered[series->sent_count] = 0;
	series->sent_ns[series->sent_count++] = now;
}

static void ask(struct asked *target)
{
	struct echo_datagram request = {.magic = ECHO_MAGIC, .sequence = target->series.sent_count};

	note_sent(target, clock_now_ns());
	/* Whatever the kernel says (no neighbour, no buffer, refused): this one will be lost. */
	if (send(target->fd, &request, sizeof(request), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		target->series.send_errors++;
}

static void note_reply(
	struct asked *target, const struct echo_datagram *datagram, int64_t received_ns)
{
	struct probe_series *series = &target->series;

	if (datagram->magic != ECHO_MAGIC || datagram->is_reply != 1 ||
		datagram->sequence >= series->sent_count || target->answered[datagram->sequence])
		return;
	target->answered[datagram->sequence] = 1;
	if (series->reply_count == target->reply_room) {
		target->reply_room = target->reply_room ? 2 * target->reply_room : 4096;
		series->replies =
			reallocarray(series->replies, target->reply_room, sizeof(*series->replies));
		if (!series->replies)
			abort();
	}
	series->replies[series->reply_count++] = (struct probe_reply){
		.sequence = datagram->sequence,
		.sent_ns = series->sent_ns[datagram->sequence],
		.received_ns = received_ns,
		.guest_monotonic_ns = datagram->monotonic_ns,
		.guest_realtime_ns = datagram->realtime_ns,
	};
}

static uint64_t take_replies(struct asked *target)
{
	uint64_t before = target->series.reply_count;

	for (int i = 0; i < REPLIES_AT_ONCE; i++) {
		struct {
			struct echo_datagram datagram;
			char more; /* no reply is so long */
		} message;
		int64_t received_ns;
		ssize_t got = client_receive(target->fd, &message, sizeof(message), &received_ns);

		/* An error that the network reported for an earlier request is not the end. */
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (got == sizeof(message.datagram))
			note_reply(target, &message.datagram, received_ns);
	}
	return target->series.reply_count - before;
}

static void take_all(struct probe *probe)
{
	for (size_t i = 0; i < probe->count; i++)
		client_advance(probe->progress, i, take_replies(&probe->targets[i]));
}

static bool all_answered(const struct probe *probe)
{
	for (size_t i = 0; i < probe->count; i++) {
		if (probe->targets[i].series.reply_count < probe->targets[i].series.sent_count)
			return false;
	}
	return true;
}

/* Targets are asked in turn over the interval, so that sixteen do not answer at once. */
static void run_probe(struct client_thread *thread, void *context)
{
	struct probe *probe = context;
	int64_t step = probe->interval_ns / (int64_t)probe->count;
	int64_t due = clock_now_ns();
	struct deadline drain;
	size_t next = 0;

	while (client_wait(thread, due)) {
		int64_t now = clock_now_ns();

		take_all(probe);
		while (now >= due) {
			ask(&probe->targets[next]);
			next = (next + 1) % probe->count;
			due += step;
			/* Held up: what is past a whole round is not made up for. */
			if (now - due > probe->interval_ns)
				due = now;
		}
	}
	drain = deadline_after_ms(DRAIN_MS);
	while (!all_answered(probe) && !deadline_passed(drain)) {
		client_wait(thread, drain.at_ns);
		take_all(probe);
	}
}

static struct error *open_target(const struct probe_target *wanted, struct asked *target)
{
	struct sockaddr_in address;

	target->name = strdup(wanted->name);
	try_(client_address(wanted->name, wanted->address, wanted->port, &address));
	target->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (target->fd < 0 || connect(target->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return error_errno(errno, "cannot probe %s at %s", wanted->name, wanted->address);
	return client_want_arrival_times(target->fd);
}

static void free_probe(struct probe *probe)
{
	for (size_t i = 0; i < probe->count; i++) {
		struct asked *target = &probe->targets[i];

		probe_series_deinit(&target->series);
		free(target->answered);
		free(target->name);
		cleanup_close(&target->fd);
	}
	client_thread_deinit(&probe->thread);
	client_progress_destroy(probe->progress);
	free(probe->targets);
	free(probe);
}
DEFINE_CLEANUP(free_probe, struct probe *, free_probe)

struct error *probe_start(const struct probe_target *targets, size_t count,
	unsigned int interval_us, struct probe **result)
{
	_cleanup_(cleanup_free_probe) struct probe *probe = calloc(1, sizeof(*probe));

	if (!probe || !(probe->targets = calloc(count, sizeof(*probe->targets))))
		abort();
	client_thread_init(&probe->thread);
	if (!count)
		return error_new(ERROR_INTERNAL, "a probe without targets");
	probe->interval_ns = (interval_us ? interval_us : 1000) * INT64_C(1000);
	probe->progress = client_progress_create(count);
	probe->count = count;
	for (size_t i = 0; i < count; i++)
		probe->targets[i].fd = -1;
	for (size_t i = 0; i < count; i++) {
		try_(open_target(&targets[i], &probe->targets[i]));
		try_(client_watch(&probe->thread, probe->targets[i].fd));
		client_progress_set_lives(
			probe->progress, i, targets[i].lives, targets[i].lives_context);
	}
	try_(client_thread_start(&probe->thread, run_probe, probe));
	*result = take_ptr(probe);
	return NULL;
}

struct error *probe_await(struct probe *probe, uint64_t replies, struct deadline deadline)
{
	size_t late;

	if (client_progress_await(probe->progress, replies, deadline, &late))
		return NULL;
	return error_new(deadline_passed(deadline) ? ERROR_TIMEOUT : ERROR_GUEST,
		"%s waiting for %s to answer %llu datagrams of the probe",
		deadline_passed(deadline) ? "the deadline passed" : "its end came",
		probe->targets[late].name, (unsigned long long)replies);
}

struct error *probe_stop(struct probe *probe, struct probe_series *series)
{
	struct error *err = client_thread_stop(&probe->thread);

	for (size_t i = 0; !err && i < probe->count; i++) {
		series[i] = probe->targets[i].series;
		probe->targets[i].series = (struct probe_series){0};
	}
	free_probe(probe);
	return err;
}

void probe_destroy(struct probe *probe)
{
	if (!probe)
		return;
	error_destroy(client_thread_stop(&probe->thread));
	free_probe(probe);
}
