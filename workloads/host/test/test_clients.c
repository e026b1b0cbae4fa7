/* Probe and stream on loopback, against the guest program's echo as a process that is stopped, and
 * against servers that lie. */
#include "workloads/host/test/guest_program.h"
#include "workloads/guest/echo_format.h"
#include "workloads/host/client.h"
#include "workloads/host/stream.h"

#include <arpa/inet.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#define STOP_MS 60

static struct running start_echo(void)
{
	return guest_start(GUEST_WORDS("echo", "--port=0", "--daemon", "--output=/dev/null"));
}

static struct probe_target target_of(const struct running *echo, const char *name)
{
	return (struct probe_target){.name = name, .address = "127.0.0.1", .port = echo->port};
}

/* Between the two moments nothing is answered. */
struct stop {
	int64_t from_ns, to_ns;
};

static struct stop stop_for(const struct running *echo, int64_t ms)
{
	struct stop stop;

	guest_freeze(echo);
	stop.from_ns = clock_now_ns();
	for (struct deadline end = deadline_after_ms(ms); !deadline_passed(end);)
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME,
			&(struct timespec){end.at_ns / NSEC_PER_SEC, end.at_ns % NSEC_PER_SEC},
			NULL);
	stop.to_ns = clock_now_ns();
	kill(echo->pid, SIGCONT);
	return stop;
}

static void assert_covers(struct gap gap, struct stop stop)
{
	assert_true(gap.from_ns <= stop.from_ns);
	assert_true(gap.to_ns >= stop.to_ns);
}

static void a_probe_sees_who_stands_still(void **state)
{
	(void)state;
	struct running echoes[] = {start_echo(), start_echo()};
	struct probe_target targets[] = {target_of(&echoes[0], "a"), target_of(&echoes[1], "b")};
	struct probe_series series[2];
	struct probe *probe;

	assert_ok(probe_start(targets, 2, 0, &probe));
	assert_ok(probe_await(probe, 20, SOON));
	struct stop stop = stop_for(&echoes[0], STOP_MS);

	assert_ok(probe_await(probe, 20, SOON));
	assert_ok(probe_stop(probe, series));
	struct probe_report stood = probe_report(&series[0], 0, INT64_MAX);

	assert_covers(stood.gap, stop);
	/* Kept in the socket, not lost; and a process's clock does not stop with it. */
	assert_int_equal(stood.lost, 0);
	assert_int_equal(series[0].send_errors, 0);
	assert_true(fabs(stood.clock_lost_ms) <= stood.clock_error_ms);
	assert_true(stood.guest_after_ns > stood.guest_before_ns);
	struct probe_report other = probe_report(&series[1], stop.from_ns, stop.to_ns);

	assert_true(other.sent > 0);
	assert_int_equal(other.lost, 0);
	for (int i = 0; i < 2; i++) {
		probe_series_deinit(&series[i]);
		guest_kill(&echoes[i]);
	}
}

static void a_probe_survives_its_targets(void **state)
{
	(void)state;
	struct running echo = start_echo();
	struct probe_target target = target_of(&echo, "gone");
	struct probe_series series;
	struct probe *probe;

	assert_ok(probe_start(&target, 1, 500, &probe));
	assert_ok(probe_await(probe, 5, SOON));
	guest_kill(&echo);
	assert_fails(probe_await(probe, 100000, deadline_after_ms(50)), ERROR_TIMEOUT,
		"waiting for gone to answer");
	assert_ok(probe_stop(probe, &series));
	assert_true(series.reply_count >= 5);
	assert_true(probe_report(&series, 0, INT64_MAX).lost > 0);
	probe_series_deinit(&series);
}

static bool is_there(const void *context)
{
	return *(const bool *)context;
}

/* The deadline is far: a wait that does not look who lives would not come back in time. */
static void nobody_waits_for_those_who_have_ended(void **state)
{
	(void)state;
	struct running echoes[] = {start_echo(), start_echo()};
	/* the other one goes on answering, which is no reason to wait on */
	struct probe_target targets[] = {
		target_of(&echoes[0], "ended"), target_of(&echoes[1], "other")};
	struct probe_series probed[2];
	struct stream_series streamed[2];
	struct stream *stream;
	struct probe *probe;
	bool there = true;

	targets[0].lives = is_there;
	targets[0].lives_context = &there;
	assert_ok(probe_start(targets, 2, 500, &probe));
	assert_ok(stream_start(targets, 2, SOON, &stream));
	assert_ok(probe_await(probe, 5, SOON));
	guest_kill(&echoes[0]);
	there = false;
	assert_fails(probe_await(probe, UINT64_MAX / 2, deadline_after_ms(3600000)), ERROR_GUEST,
		"its end came waiting for ended to answer");
	assert_fails(stream_await(stream, UINT64_MAX / 2, deadline_after_ms(3600000)), ERROR_GUEST,
		"from ended");
	assert_ok(probe_stop(probe, probed));
	assert_ok(stream_stop(stream, streamed));
	guest_kill(&echoes[1]);
	for (int i = 0; i < 2; i++) {
		probe_series_deinit(&probed[i]);
		stream_series_deinit(&streamed[i]);
	}
}

static void odd_targets_are_refused(void **state)
{
	(void)state;
	struct probe_target target = {.name = "g0", .address = "no address", .port = 1};
	struct probe *probe;
	struct stream *stream;

	assert_fails(probe_start(&target, 1, 0, &probe), ERROR_USAGE, "g0: 'no address'");
	assert_fails(stream_start(&target, 1, SOON, &stream), ERROR_USAGE, "g0: 'no address'");
	assert_fails(probe_start(NULL, 0, 0, &probe), ERROR_INTERNAL, "without targets");
	target.address = "127.0.0.1"; /* port 1 has no server */
	assert_fails(stream_start(&target, 1, SOON, &stream), ERROR_SETUP, "cannot connect");
}

static void a_stream_stalls_and_lives_on(void **state)
{
	(void)state;
	struct running echoes[] = {start_echo(), start_echo()};
	struct probe_target targets[] = {target_of(&echoes[0], "a"), target_of(&echoes[1], "b")};
	struct stream_series series[2];
	struct stream *stream;

	assert_ok(stream_start(targets, 2, SOON, &stream));
	assert_ok(stream_await(stream, 20, SOON));
	struct stop stop = stop_for(&echoes[0], STOP_MS);

	assert_ok(stream_await(stream, 20, SOON));
	guest_kill(&echoes[1]);
	assert_fails(stream_await(stream, UINT64_MAX / 2, SOON), ERROR_GUEST, "from b");
	assert_ok(stream_stop(stream, series));
	struct stream_report report = stream_report(&series[0], 0, INT64_MAX);

	/* What was on its way when the process was stopped may come a moment after. */
	assert_true(report.stall.to_ns >= stop.to_ns);
	assert_true(report.survived);
	/* Those of the first arrival, which may be many, are of no gap. */
	assert_true(series[0].records >= 40 && report.records > 0);
	assert_true(report.records < series[0].records);
	assert_int_equal(series[0].bytes / sizeof(struct echo_record), series[0].records);
	assert_false(stream_report(&series[1], 0, INT64_MAX).survived);
	assert_non_null(series[1].broken);
	stream_series_deinit(&series[0]);
	stream_series_deinit(&series[1]);
	guest_kill(&echoes[0]);
}

/* A guest that is not what it should be: answers a probe, and serves one connection. */
struct liar {
	int datagrams, listener;
	pthread_t thread;
	uint16_t port;
	uint64_t wrong_number;
};

static void *lie_by_stream(void *context)
{
	struct liar *liar = context;
	_cleanup_close_ int fd = accept(liar->listener, NULL, NULL);

	for (uint64_t i = 0; i <= liar->wrong_number; i++) {
		struct echo_record record = {.magic = ECHO_RECORD_MAGIC, .number = i};

		record.filler = echo_filler(i);
		if (i == liar->wrong_number)
			record.filler ^= 1; /* with a checksum that is right */
		record.checksum = echo_checksum(&record);
		(void)!send(fd, &record, sizeof(record), MSG_NOSIGNAL);
	}
	/* Until the other side hangs up. */
	char byte;

	(void)!recv(fd, &byte, 1, 0);
	return NULL;
}

/* Twice the same, what was never asked, and what is no reply at all; then the right one. */
static void *lie_by_datagram(void *context)
{
	struct liar *liar = context;
	struct echo_datagram got;
	struct sockaddr_in from;
	socklen_t length = sizeof(from);

	while (recvfrom(liar->datagrams, &got, sizeof(got), 0, (struct sockaddr *)&from, &length) ==
		sizeof(got)) {
		struct echo_datagram unasked = got, question = got;

		if (got.magic != ECHO_MAGIC)
			break;
		unasked.sequence = UINT64_MAX - 7;
		unasked.is_reply = got.is_reply = 1;
		const struct echo_datagram *answers[] = {&unasked, &question, &got, &got};

		for (size_t i = 0; i < ARRAY_SIZE(answers); i++)
			sendto(liar->datagrams, answers[i], sizeof(got), 0,
				(struct sockaddr *)&from, length);
		sendto(liar->datagrams, &got, 3, 0, (struct sockaddr *)&from, length);
	}
	return NULL;
}

static int listen_somewhere(int type, uint16_t *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	*port = ntohs(address.sin_port);
	return fd;
}

static void a_stream_with_a_wrong_record_is_broken(void **state)
{
	(void)state;
	struct liar liar = {.wrong_number = 5};
	struct stream_series series;
	struct stream *stream;

	liar.listener = listen_somewhere(SOCK_STREAM, &liar.port);
	assert_int_equal(pthread_create(&liar.thread, NULL, lie_by_stream, &liar), 0);
	struct probe_target target = {.name = "liar", .address = "127.0.0.1", .port = liar.port};

	assert_ok(stream_start(&target, 1, SOON, &stream));
	assert_fails(stream_await(stream, 100, SOON), ERROR_GUEST, "broke");
	assert_ok(stream_stop(stream, &series));
	assert_int_equal(series.records, 5);
	assert_string_equal(series.broken, "record 5 is not as it was sent");
	stream_series_deinit(&series);
	pthread_join(liar.thread, NULL);
	close(liar.listener);
}

static void a_probe_counts_each_answer_once(void **state)
{
	(void)state;
	struct liar liar = {0};
	struct probe_series series;
	struct probe *probe;

	liar.datagrams = listen_somewhere(SOCK_DGRAM, &liar.port);
	assert_int_equal(pthread_create(&liar.thread, NULL, lie_by_datagram, &liar), 0);
	struct probe_target target = {.name = "liar", .address = "127.0.0.1", .port = liar.port};

	assert_ok(probe_start(&target, 1, 0, &probe));
	assert_ok(probe_await(probe, 20, SOON));
	assert_ok(probe_stop(probe, &series));
	assert_true(series.reply_count >= 20 && series.reply_count <= series.sent_count);
	for (size_t i = 0; i < series.reply_count; i++)
		assert_int_equal(series.replies[i].sequence, i);
	/* An odd word ends the liar. */
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons(liar.port),
		.sin_addr = {htonl(INADDR_LOOPBACK)}};

	sendto(liar.datagrams, "", 1, 0, (struct sockaddr *)&address, sizeof(address));
	pthread_join(liar.thread, NULL);
	close(liar.datagrams);
	probe_series_deinit(&series);
}

/* ---- a client that is preempted ---- */

#define AWAY_NS 20000000

/* How often who reads CLOCK_REALTIME is kept from the processor before it can, how often it has
 * been read since, and how long all that took: so much later it is by every clock. */
static _Atomic int absences, readings;
static _Atomic long away_ns;

/* In place of libc's. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
	int failed = (int)syscall(SYS_clock_gettime, clock, now);

	if (clock == CLOCK_REALTIME) {
		readings++;
		if (absences > 0 && absences--)
			away_ns += AWAY_NS;
	}
	now->tv_nsec += away_ns;
	now->tv_sec += now->tv_nsec / NSEC_PER_SEC;
	now->tv_nsec %= NSEC_PER_SEC;
	return failed;
}

/* Once, and more often than anybody would try again. */
static void nothing_arrives_before_it_is_sent(void **state)
{
	static const int times[] = {0, 1, 1000};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	uint16_t port;
	int fd = listen_somewhere(SOCK_DGRAM, &port);

	(void)state;
	to.sin_port = htons(port);
	assert_ok(client_want_arrival_times(fd));
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		struct pollfd ready = {.fd = fd, .events = POLLIN};
		int64_t sent_ns = clock_now_ns(), arrived_ns = 0;
		char byte;

		assert_int_equal(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
		assert_int_equal(poll(&ready, 1, TEST_TIMEOUT_MS), 1);
		readings = 0;
		absences = times[i];
		assert_int_equal(client_receive(fd, &byte, 1, &arrived_ns), 1);
		assert_true(arrived_ns >= sent_ns && arrived_ns <= clock_now_ns());
		assert_true(
			absences > 0 || readings > times[i]); /* tried again, but not for ever */
		absences = 0;
		away_ns = 0;
	}
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_probe_sees_who_stands_still),
		cmocka_unit_test(a_probe_survives_its_targets),
		cmocka_unit_test(nobody_waits_for_those_who_have_ended),
		cmocka_unit_test(odd_targets_are_refused),
		cmocka_unit_test(a_stream_stalls_and_lives_on),
		cmocka_unit_test(a_stream_with_a_wrong_record_is_broken),
		cmocka_unit_test(a_probe_counts_each_answer_once),
		cmocka_unit_test(nothing_arrives_before_it_is_sent),
	};

	return cmocka_run_group_tests(tests, become_subreaper, NULL);
}
