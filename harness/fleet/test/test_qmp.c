/* QMP with a peer that answers wrongly, late, out of turn, or not at all. */
#include "harness/fleet/test/peer.h"
#include "harness/fleet/qmp.h"

#include <fcntl.h>
#include <sys/stat.h>

#define SOON deadline_after_ms(TEST_TIMEOUT_MS)
#define GREETING PEER_GREETS "{\"QMP\":{\"version\":{}}}\n"
#define ANSWER(member) "{" member ",\"id\":" PEER_ID "}\n"
#define OK ANSWER("\"return\":{}")
#define EVENT(name) "{\"event\":\"" name "\"}\n"
#define MIGRATION(status) "{\"event\":\"MIGRATION\",\"data\":{\"status\":" status "}}\n"

struct talk {
	struct peer peer;
	struct qmp *qmp;
};

static void talk_end(struct talk *talk)
{
	qmp_close(take_ptr(talk->qmp));
	peer_end(&talk->peer);
	peer_deinit(&talk->peer);
}

#define SCRIPT(...) ((const char *const[]){__VA_ARGS__, NULL})
/* Opens a monitor whose peer greets, accepts the capabilities and then plays the script. */
#define _talk_(name, ...)                                                                          \
	_cleanup_(talk_end) struct talk name = {0};                                                \
	talk_begin(&name, SCRIPT(GREETING, OK, __VA_ARGS__))

static void talk_begin(struct talk *talk, const char *const *script)
{
	int fd = peer_start(&talk->peer, script);

	assert_ok(qmp_open(fd, "g0", SOON, &talk->qmp));
}

static struct error *execute(struct talk *talk, json_t **result)
{
	return qmp_execute(talk->qmp, "query-x", NULL, SOON, result);
}

static void a_command_goes_out_and_its_answer_comes_back(void **state)
{
	(void)state;
	/* A late answer to the command before comes first. */
	_talk_(talk, "{\"return\":{\"n\":9},\"id\":1}\n{\"return\":{\"n\":5},\"id\":2}\n",
		"{\"return\":[]}\n");
	_cleanup_json_ json_t *result = NULL;

	assert_ok(qmp_execute(talk.qmp, "query-x", json_pack("{s:i}", "a", 1), SOON, &result));
	assert_int_equal(json_integer_value(json_object_get(result, "n")), 5);
	assert_ok(execute(&talk, NULL));
	qmp_close(take_ptr(talk.qmp));
	peer_end(&talk.peer);
	assert_int_equal(talk.peer.count, 3); /* qmp_capabilities was the first */
	_cleanup_json_ json_t *wanted = json_pack(
		"{s:s, s:i, s:{s:i}}", "execute", "query-x", "id", 2, "arguments", "a", 1);

	assert_true(json_equal(talk.peer.received[1], wanted));
	assert_null(json_object_get(talk.peer.received[2], "arguments"));
}

static void a_wrong_greeting_is_refused(void **state)
{
	(void)state;
	static const struct {
		const char *const script[3];
		const char *says;
	} rows[] = {
		{{NULL}, "has ended"},
		{{PEER_GREETS "{\"hello\":1}\n", NULL}, "no QMP greeting"},
		{{PEER_GREETS "SSH-2.0\n", NULL}, "no JSON object"},
		{{GREETING, ANSWER("\"error\":{\"desc\":\"not now\"}"), NULL}, "not now"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct peer peer;
		int fd = peer_start(&peer, rows[i].script);
		struct qmp *qmp = NULL;
		_cleanup_error_ struct error *err = qmp_open(fd, "g0", SOON, &qmp);

		peer_end(&peer);
		peer_deinit(&peer);
		assert_non_null(err);
		assert_null(qmp);
		if (!strstr(error_message(err), rows[i].says))
			fail_msg("no '%s' in '%s'", rows[i].says, error_message(err));
		assert_int_equal(fcntl(fd, F_GETFD), -1); /* it was taken over */
	}
}

static void a_refusal_carries_qemus_words(void **state)
{
	(void)state;
	_talk_(talk, ANSWER("\"error\":{\"class\":\"GenericError\",\"desc\":\"no such thing\"}"),
		ANSWER("\"error\":7"), ANSWER("\"error\":{\"desc\":[]}"), OK);
	json_t *result = NULL;

	assert_fails(execute(&talk, &result), ERROR_GUEST, "QEMU of g0 refused 'query-x': no such");
	assert_fails(execute(&talk, &result), ERROR_GUEST, "no description");
	assert_fails(execute(&talk, &result), ERROR_GUEST, "no description");
	assert_null(result);
	assert_ok(execute(&talk, NULL)); /* and the conversation goes on */
}

/* One that was given up waiting for, and comes now. */
static void an_answer_to_an_earlier_command_is_discarded(void **state)
{
	(void)state;
	_talk_(talk, "{\"return\":{\"n\":9},\"id\":1}\n{\"error\":{\"desc\":\"late\"},\"id\":1}"
		     "\n" ANSWER("\"return\":{\"n\":5}"));
	_cleanup_json_ json_t *result = NULL;

	assert_ok(execute(&talk, &result));
	assert_int_equal(json_integer_value(json_object_get(result, "n")), 5);
}

static void a_dead_qemu_is_told_with_a_remedy(void **state)
{
	(void)state;
	_talk_(talk, "{\"return\":"); /* in the middle of its answer */
	_cleanup_error_ struct error *err = execute(&talk, NULL);

	assert_non_null(err);
	assert_int_equal(error_kind(err), ERROR_GUEST);
	assert_non_null(strstr(error_message(err), "it has ended"));
	assert_non_null(strstr(error_remedy(err), "console log"));
}

static void silence_ends_at_the_deadline(void **state)
{
	(void)state;
	_talk_(talk, PEER_WAITS);

	assert_fails(qmp_execute(talk.qmp, "query-x", NULL, deadline_after_ms(20), NULL),
		ERROR_TIMEOUT, "QEMU of g0");
}

static void events_between_are_kept(void **state)
{
	(void)state;
	_talk_(talk, EVENT("STOP") EVENT("RESUME") "{\"neither\":1}\n" OK EVENT("SHUTDOWN"),
		PEER_WAITS);

	assert_ok(execute(&talk, NULL));
	assert_ok(qmp_wait_event(talk.qmp, "RESUME", SOON));
	assert_ok(qmp_wait_event(talk.qmp, "SHUTDOWN", SOON));
	assert_ok(qmp_wait_event(talk.qmp, "STOP", SOON));
	/* Each of them once. */
	assert_fails(qmp_wait_event(talk.qmp, "STOP", deadline_after_ms(20)), ERROR_TIMEOUT,
		"event STOP");
}

static void a_migration_is_awaited_to_its_end(void **state)
{
	(void)state;
	_talk_(talk,
		MIGRATION("\"setup\"") MIGRATION("\"active\"") OK MIGRATION(
			"7") "{\"event\":\"MIGRATION\"}\n" EVENT("STOP") MIGRATION("\"completed\""),
		PEER_WAITS);

	assert_ok(execute(&talk, NULL));
	assert_ok(qmp_wait_migration(talk.qmp, SOON));
	assert_ok(qmp_wait_event(talk.qmp, "STOP", SOON));
}

static void a_failed_migration_is_an_error(void **state)
{
	(void)state;
	_talk_(talk, OK MIGRATION("\"failed\"") MIGRATION("\"cancelled\"") MIGRATION("\"active\""));

	assert_ok(execute(&talk, NULL));
	assert_fails(
		qmp_wait_migration(talk.qmp, SOON), ERROR_GUEST, "QEMU of g0: migration failed");
	assert_fails(qmp_wait_migration(talk.qmp, SOON), ERROR_GUEST, "migration cancelled");
	assert_fails(qmp_wait_migration(talk.qmp, SOON), ERROR_GUEST, "it has ended");
}

/* More events than are kept, between an oldest and a newest one. */
static char *make_flood(const char *before, const char *after)
{
	char *flood = NULL;
	size_t size;
	FILE *out = open_memstream(&flood, &size);

	fprintf(out, "%s%s", before, EVENT("OLDEST"));
	for (int i = 0; i < 300; i++)
		fputs(EVENT("NOISE"), out);
	fprintf(out, "%s%s", EVENT("NEWEST"), after);
	fclose(out);
	return flood;
}

/* However many events come unasked, the newest are kept and no more than a bound. */
static void a_flood_of_events_is_bounded(void **state)
{
	(void)state;
	_cleanup_free_ char *before_answer = make_flood("", OK);
	_cleanup_free_ char *after_answer = make_flood(OK, "");
	const struct deadline none = deadline_after_ms(0);

	_talk_(talk, before_answer, after_answer, PEER_WAITS);
	assert_ok(execute(&talk, NULL));
	assert_fails(qmp_wait_event(talk.qmp, "OLDEST", none), ERROR_TIMEOUT, "OLDEST");
	assert_ok(qmp_wait_event(talk.qmp, "NEWEST", SOON));
	/* The same while another event is awaited. */
	assert_ok(execute(&talk, NULL));
	assert_ok(qmp_wait_event(talk.qmp, "NEWEST", SOON));
	assert_fails(qmp_wait_event(talk.qmp, "OLDEST", none), ERROR_TIMEOUT, "OLDEST");
}

/* Takes one line and the descriptor that came with it. */
static void *take_descriptor(void *context)
{
	static const char first[] = "{\"return\":{},\"id\":1}\n";
	static const char second[] = "{\"return\":{},\"id\":2}\n";
	int *fds = context; /* socket, then what came */
	char line[200];
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {line, sizeof(line)};
	struct msghdr message = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};

	/* The capabilities come first. */
	(void)!send(fds[0], "{\"QMP\":{}}\n", 11, MSG_NOSIGNAL);
	(void)!recv(fds[0], line, sizeof(line), 0);
	(void)!send(fds[0], first, strlen(first), MSG_NOSIGNAL);
	if (recvmsg(fds[0], &message, MSG_CMSG_CLOEXEC) > 0 && CMSG_FIRSTHDR(&message))
		memcpy(&fds[1], CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	(void)!send(fds[0], second, strlen(second), MSG_NOSIGNAL);
	return NULL;
}

static void a_descriptor_is_handed_over(void **state)
{
	(void)state;
	_cleanup_(cleanup_qmp) struct qmp *qmp = NULL;
	int pair[2], fds[2] = {-1, -1};
	struct stat ours, theirs;
	pthread_t thread;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fds[0] = pair[1];
	assert_int_equal(pthread_create(&thread, NULL, take_descriptor, fds), 0);
	assert_ok(qmp_open(pair[0], "g0", SOON, &qmp));
	_cleanup_close_ int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	assert_ok(qmp_give_fd(qmp, file, "state", SOON));
	pthread_join(thread, NULL);
	assert_true(fds[1] >= 0);
	assert_int_equal(fstat(file, &ours), 0);
	assert_int_equal(fstat(fds[1], &theirs), 0);
	assert_int_equal(ours.st_ino, theirs.st_ino);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_command_goes_out_and_its_answer_comes_back),
		cmocka_unit_test(a_wrong_greeting_is_refused),
		cmocka_unit_test(a_refusal_carries_qemus_words),
		cmocka_unit_test(an_answer_to_an_earlier_command_is_discarded),
		cmocka_unit_test(a_dead_qemu_is_told_with_a_remedy),
		cmocka_unit_test(silence_ends_at_the_deadline),
		cmocka_unit_test(events_between_are_kept),
		cmocka_unit_test(a_migration_is_awaited_to_its_end),
		cmocka_unit_test(a_failed_migration_is_an_error),
		cmocka_unit_test(a_flood_of_events_is_bounded),
		cmocka_unit_test(a_descriptor_is_handed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
