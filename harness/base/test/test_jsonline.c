/* JSON lines from a hostile peer: split, joined, oversized, garbage, endless, cut short. */
#include "harness/base/test/support.h"
#include "harness/base/jsonline.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#define SOON deadline_after_ms(TEST_TIMEOUT_MS)

struct wire {
	int peer;
	struct jsonline reader;
};

static void wire_close(struct wire *wire)
{
	cleanup_close(&wire->peer);
	cleanup_close(&wire->reader.fd);
	jsonline_deinit(&wire->reader);
}

static struct wire wire_open(void)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	return (struct wire){.peer = pair[0], .reader = {.fd = pair[1]}};
}

#define _wire_ _cleanup_(wire_close) struct wire

static void say(struct wire *wire, const char *bytes)
{
	assert_ok(fs_write_all(wire->peer, bytes, strlen(bytes), "the wire"));
}

static json_int_t next_number(struct wire *wire)
{
	_cleanup_json_ json_t *value = NULL;

	assert_ok(jsonline_receive(&wire->reader, "the peer", SOON, &value));
	assert_non_null(value);
	return json_integer_value(json_object_get(value, "n"));
}

static void many_lines_may_come_at_once(void **state)
{
	(void)state;
	_wire_ wire = wire_open();

	say(&wire, "{\"n\":1}\n\n\r\n{\"n\":2}\r\n{\"n\":3}\n");
	for (int i = 1; i <= 3; i++)
		assert_int_equal(next_number(&wire), i);
}

static void a_line_may_come_in_pieces(void **state)
{
	(void)state;
	_wire_ wire = wire_open();
	json_t *value = NULL;

	/* Each piece is read before the next is sent: the deadline has passed, so it returns. */
	for (const char *p = "{\"n\":"; *p; p++) {
		char piece[2] = {*p};

		say(&wire, piece);
		assert_fails(
			jsonline_receive(&wire.reader, "the peer", deadline_after_ms(5), &value),
			ERROR_TIMEOUT, "waiting for the peer");
		assert_null(value);
	}
	say(&wire, "7}\n");
	assert_int_equal(next_number(&wire), 7);
}

static void the_agents_marker_is_skipped(void **state)
{
	(void)state;
	_wire_ wire = wire_open();

	say(&wire, "\xff{\"n\":4}\n\xff\xff\n\xff{\"n\":5}\n");
	assert_int_equal(next_number(&wire), 4);
	assert_int_equal(next_number(&wire), 5);
}

static void what_is_no_object_is_refused(void **state)
{
	(void)state;
	static const char *const garbage[] = {
		"hello", "[1]", "7", "null", "{", "{}{}", "{\"n\":1}}", "{\"n\":\"\xc3\x28\"}"};

	for (size_t i = 0; i < ARRAY_SIZE(garbage); i++) {
		_wire_ wire = wire_open();
		json_t *value = NULL;

		say(&wire, garbage[i]);
		say(&wire, "\n{\"n\":9}\n");
		assert_fails(jsonline_receive(&wire.reader, "the peer", SOON, &value), ERROR_SETUP,
			"the peer sent something that is no JSON object");
		assert_null(value);
		assert_int_equal(next_number(&wire), 9); /* the next line is not lost */
	}
}

static void deep_nesting_is_refused(void **state)
{
	(void)state;
	_wire_ wire = wire_open();
	char deep[60000];
	json_t *value = NULL;

	memset(deep, '[', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	say(&wire, "{\"n\":");
	say(&wire, deep);
	say(&wire, "\n");
	assert_fails(jsonline_receive(&wire.reader, "the peer", SOON, &value), ERROR_SETUP,
		"no JSON object");
}

static void the_end_of_the_stream_is_no_error(void **state)
{
	(void)state;
	_wire_ wire = wire_open();
	json_t *value = NULL;

	say(&wire, "{\"n\":1}\n{\"n\":2"); /* cut short: never believed */
	close(take_fd(&wire.peer));
	assert_int_equal(next_number(&wire), 1);
	for (int i = 0; i < 2; i++) {
		value = json_true();
		assert_ok(jsonline_receive(&wire.reader, "the peer", SOON, &value));
		assert_null(value);
	}
}

struct flood {
	int fd;
	const char *bytes;
};

/* Writes the same again and again until the other side closes. */
static void *flood(void *context)
{
	const struct flood *self = context;

	while (send(self->fd, self->bytes, strlen(self->bytes), MSG_NOSIGNAL) > 0)
		;
	return NULL;
}

static struct error *receive_from_flood(const char *bytes, int64_t timeout_ms)
{
	_wire_ wire = wire_open();
	struct flood self = {wire.peer, bytes};
	json_t *value = NULL;
	pthread_t thread;
	struct error *err;

	assert_int_equal(pthread_create(&thread, NULL, flood, &self), 0);
	err = jsonline_receive(&wire.reader, "the peer", deadline_after_ms(timeout_ms), &value);
	close(take_fd(&wire.reader.fd));
	pthread_join(thread, NULL);
	assert_null(value);
	return err;
}

static void an_endless_line_is_refused(void **state)
{
	(void)state;
	_cleanup_free_ char *bytes = calloc(1, 65537);

	memset(bytes, 'x', 65536);
	assert_fails(receive_from_flood(bytes, TEST_TIMEOUT_MS), ERROR_SETUP,
		"the peer: received a line over 48 MiB");
}

static void the_longest_line_passes_and_no_longer_one(void **state)
{
	(void)state;
	static const size_t lengths[] = {JSONLINE_MAX, JSONLINE_MAX + 1};
	_cleanup_free_ char *path = scratch_path("line");
	_cleanup_free_ char *line = malloc(JSONLINE_MAX + 3);

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		_cleanup_(jsonline_deinit) struct jsonline reader = {.fd = -1};
		_cleanup_close_ int fd = -1;
		_cleanup_json_ json_t *value = NULL;
		FILE *file = fopen(path, "w+e");

		assert_non_null(file);
		memset(line, 'x', lengths[i]);
		memcpy(line, "{\"n\":\"", 6);
		memcpy(line + lengths[i] - 2, "\"}\n", 3);
		assert_int_equal(fwrite(line, 1, lengths[i] + 1, file), lengths[i] + 1);
		rewind(file);
		fd = dup(fileno(file));
		fclose(file);
		reader.fd = fd;
		if (i == 0) {
			assert_ok(jsonline_receive(&reader, "the peer", SOON, &value));
			assert_int_equal(
				json_string_length(json_object_get(value, "n")), lengths[i] - 8);
		} else {
			assert_fails(jsonline_receive(&reader, "the peer", SOON, &value),
				ERROR_SETUP, "over 48 MiB");
		}
	}
}

/* A peer that always has something to say must not keep us beyond the deadline. The file stands for
 * one: it is always readable. */
static void empty_lines_do_not_hold_the_deadline_up(void **state)
{
	(void)state;
	_cleanup_free_ char *path = scratch_path("empty-lines");
	_cleanup_free_ char *lines = malloc(1 << 20);
	_cleanup_(jsonline_deinit) struct jsonline reader = {.fd = -1};
	_cleanup_close_ int fd = -1;
	json_t *value = NULL;

	memset(lines, '\n', 1 << 20);
	assert_ok(fs_write_atomic(path, lines, 1 << 20));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	reader.fd = fd;
	assert_fails(jsonline_receive(&reader, "the peer", deadline_after_ms(0), &value),
		ERROR_TIMEOUT, "waiting for the peer");
	assert_ok(jsonline_receive(&reader, "the peer", SOON, &value));
	assert_null(value);
}

static void what_is_sent_arrives(void **state)
{
	(void)state;
	_wire_ wire = wire_open();
	int pipes[2];
	char text[32] = "";

	assert_ok(jsonline_send(wire.peer, json_pack("{s:i}", "n", 12), "the peer"));
	assert_int_equal(next_number(&wire), 12);
	assert_int_equal(pipe(pipes), 0); /* a pipe will do as well */
	assert_ok(jsonline_send(pipes[1], json_pack("{s:s}", "a", "\n"), "the pipe"));
	assert_int_equal(read(pipes[0], text, sizeof(text) - 1), 11);
	assert_string_equal(text, "{\"a\":\"\\n\"}\n");
	close(pipes[0]);
	close(pipes[1]);
}

static void a_closed_peer_is_an_error_and_no_signal(void **state)
{
	(void)state;
	_wire_ wire = wire_open();

	signal(SIGPIPE, SIG_DFL);
	close(take_fd(&wire.reader.fd));
	assert_fails(jsonline_send(wire.peer, json_object(), "the peer"), ERROR_SETUP,
		"cannot send to the peer: Broken pipe");
	assert_fails(jsonline_send(wire.peer, NULL, "the peer"), ERROR_INTERNAL, "the peer");
}

static void sockets_have_paths_of_bounded_length(void **state)
{
	(void)state;
	_cleanup_free_ char *path = scratch_path("socket");
	_cleanup_close_ int listener = -1;
	_cleanup_close_ int client = -1;
	char endless[200];
	int untouched = -7;

	assert_fails(unix_connect(path, &untouched), ERROR_SETUP, path);
	assert_ok(unix_listen(path, &listener));
	assert_ok(unix_connect(path, &client));
	assert_fails(unix_listen(path, &untouched), ERROR_SETUP, "in use");
	memset(endless, 'x', sizeof(endless) - 1);
	endless[sizeof(endless) - 1] = '\0';
	assert_fails(unix_listen(endless, &untouched), ERROR_SETUP, "longer than 107");
	assert_int_equal(untouched, -7);
}

static void who_does_not_accept_is_not_waited_for(void **state)
{
	(void)state;
	_cleanup_free_ char *path = scratch_path("socket");
	_cleanup_close_ int listener = -1;
	int clients[1024], count = 0;
	struct error *err = NULL;

	assert_ok(unix_listen(path, &listener));
	while (count < (int)ARRAY_SIZE(clients) &&
		!(err = unix_connect_within(path, 1, &clients[count])))
		count++;
	while (count > 0)
		close(clients[--count]);
	assert_fails(err, ERROR_TIMEOUT, path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_lines_may_come_at_once),
		cmocka_unit_test(a_line_may_come_in_pieces),
		cmocka_unit_test(the_agents_marker_is_skipped),
		cmocka_unit_test(what_is_no_object_is_refused),
		cmocka_unit_test(deep_nesting_is_refused),
		cmocka_unit_test(the_end_of_the_stream_is_no_error),
		cmocka_unit_test(an_endless_line_is_refused),
		scratch_test(the_longest_line_passes_and_no_longer_one),
		scratch_test(empty_lines_do_not_hold_the_deadline_up),
		cmocka_unit_test(what_is_sent_arrives),
		cmocka_unit_test(a_closed_peer_is_an_error_and_no_signal),
		scratch_test(sockets_have_paths_of_bounded_length),
		scratch_test(who_does_not_accept_is_not_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
