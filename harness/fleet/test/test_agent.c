/* The guest agent with a guest that lies, is late, is slow, or dies. */
#include "harness/fleet/test/peer.h"
#include "harness/fleet/agent.h"

#define SOON deadline_after_ms(TEST_TIMEOUT_MS)
#define SYNC "\xff{\"return\":" PEER_ID "}\n"
#define OK "{\"return\":{}}\n"
#define PID "{\"return\":{\"pid\":7}}\n"

struct talk {
	struct peer peer;
	struct agent *agent;
};

static void talk_end(struct talk *talk)
{
	agent_close(take_ptr(talk->agent));
	peer_end(&talk->peer);
	peer_deinit(&talk->peer);
}

#define SCRIPT(...) ((const char *const[]){__VA_ARGS__, NULL})
/* Opens an agent whose guest answers the sync and then plays the script. */
#define _talk_(name, ...)                                                                          \
	_cleanup_(talk_end) struct talk name = {0};                                                \
	talk_begin(&name, SCRIPT(SYNC, __VA_ARGS__))

static struct error *talk_open(struct talk *talk, const char *const *script, int64_t timeout_ms)
{
	_cleanup_free_ char *path = scratch_path("agent.sock");

	unlink(path);
	peer_listen(&talk->peer, path, script);
	return agent_open(path, "g0", deadline_after_ms(timeout_ms), &talk->agent);
}

static void talk_begin(struct talk *talk, const char *const *script)
{
	assert_ok(talk_open(talk, script, TEST_TIMEOUT_MS));
}

static const char *const argv[] = {"/bin/echo", "a b", "", NULL};

static void answers_to_an_earlier_client_are_discarded(void **state)
{
	(void)state;
	_cleanup_(talk_end) struct talk talk = {0};

	talk_begin(&talk,
		SCRIPT("{\"return\":12345678901}\n{\"error\":{\"desc\":\"x\"}}\n{\"return\":{}}\n"
		       "{\"return\":true}\n" SYNC,
			"{\"return\":{\"n\":1}}\n"));
	_cleanup_json_ json_t *result = NULL;

	assert_ok(agent_execute(talk.agent, "guest-info", NULL, SOON, &result));
	assert_int_equal(json_integer_value(json_object_get(result, "n")), 1);
}

static void a_guest_that_never_answers_is_a_timeout(void **state)
{
	(void)state;
	_cleanup_(talk_end) struct talk talk = {0};

	assert_fails(
		talk_open(&talk, SCRIPT(PEER_WAITS), 20), ERROR_TIMEOUT, "the guest agent of g0");
	assert_null(talk.agent);
}

static void a_guest_that_dies_is_told_with_a_remedy(void **state)
{
	(void)state;
	_cleanup_(talk_end) struct talk at_once = {0};

	assert_fails(
		talk_open(&at_once, SCRIPT("{\"ret"), TEST_TIMEOUT_MS), ERROR_GUEST, "console log");
	_talk_(later, "{\"return\":");

	assert_fails(agent_execute(later.agent, "guest-info", NULL, SOON, NULL), ERROR_GUEST,
		"the guest has ended");
}

static void nothing_to_connect_to_names_the_socket(void **state)
{
	(void)state;
	_cleanup_free_ char *path = scratch_path("none.sock");
	struct agent *agent = NULL;

	assert_fails(agent_open(path, "g0", SOON, &agent), ERROR_SETUP, path);
}

static void a_program_runs_to_its_end(void **state)
{
	(void)state;
	_talk_(talk, PID, "{\"return\":{\"exited\":false}}\n",
		"{\"return\":{\"exited\":true,\"exitcode\":3,\"out-data\":\"b3V0AA==\","
		"\"err-data\":\"ZXJy\"}}\n");
	_cleanup_(exec_result_deinit) struct exec_result result = {0};

	assert_ok(agent_exec(talk.agent, argv, "in\0put", 6, SOON, &result));
	assert_int_equal(result.exit_status, 3);
	assert_int_equal(result.output_size, 4);
	assert_memory_equal(result.output, "out\0", 5);
	assert_string_equal(result.errors, "err");
	agent_close(take_ptr(talk.agent));
	peer_end(&talk.peer);
	_cleanup_json_ json_t *wanted = json_pack("{s:s, s:{s:s, s:b, s:[s,s], s:s}}", "execute",
		"guest-exec", "arguments", "path", "/bin/echo", "capture-output", 1, "arg", "a b",
		"", "input-data", "aW4AcHV0");

	assert_true(json_equal(talk.peer.received[1], wanted));
}

/* Each answer to guest-exec-status with what must come of it: an error, or an exit status. */
static void hostile_statuses_are_survived(void **state)
{
	(void)state;
	static const struct {
		const char *status;
		int exit_status; /* -1: an error */
		const char *says;
	} rows[] = {
		{"{\"exited\":true}", -1, "told no exit status"},
		{"{\"exited\":true,\"exitcode\":\"0\"}", -1, "told no exit status"},
		{"{\"exited\":true,\"exitcode\":0,\"out-truncated\":true}", -1, "16 MiB"},
		{"{\"exited\":true,\"exitcode\":0,\"err-truncated\":true}", -1, "16 MiB"},
		{"{\"exited\":true,\"signal\":9}", 137, NULL},
		{"{\"exited\":true,\"signal\":9223372036854775807}", 255, NULL},
		{"{\"exited\":true,\"signal\":-128}", 128, NULL}, /* never a success */
		{"{\"exited\":true,\"exitcode\":-1}", 255, NULL},
		{"{\"exited\":true,\"exitcode\":256}", 255, NULL}, /* nor this */
		{"{\"exited\":true,\"exitcode\":0,\"out-data\":7,\"err-data\":[]}", 0, NULL},
		{"{\"exited\":true,\"exitcode\":0,\"out-data\":\"!?=\"}", 0, NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *reply = format_string("{\"return\":%s}\n", rows[i].status);
		_talk_(talk, PID, reply);
		_cleanup_(exec_result_deinit) struct exec_result result = {.exit_status = -7};

		if (rows[i].says) {
			assert_fails(agent_exec(talk.agent, argv, NULL, 0, SOON, &result),
				ERROR_GUEST, rows[i].says);
			assert_int_equal(result.exit_status, -7);
			continue;
		}
		assert_ok(agent_exec(talk.agent, argv, NULL, 0, SOON, &result));
		assert_int_equal(result.exit_status, rows[i].exit_status);
		assert_int_equal(result.output_size, strlen(result.output));
	}
}

static void answers_of_a_wrong_shape_are_errors(void **state)
{
	(void)state;
	static const struct {
		const char *reply, *says;
	} rows[] = {
		{"{\"return\":{}}\n", "gave no pid"},
		{"{\"return\":{\"pid\":\"7\"}}\n", "gave no pid"},
		{"{\"return\":[]}\n", "gave no pid"},
		{"{\"return\":null}\n", "gave no pid"},
		{"{\"event\":\"x\"}\n", "refused 'guest-exec'"},
		{"{\"error\":{\"desc\":\"no such program\"}}\n", "cannot run /bin/echo"},
		{"{\"error\":{\"desc\":\"no such program\"}}\n", "no such program"},
		{"{\"error\":[]}\n", "no description"},
		{"garbage\n", "no JSON object"},
		{"[]\n", "no JSON object"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_talk_(talk, rows[i].reply);
		_cleanup_(exec_result_deinit) struct exec_result result = {0};
		_cleanup_error_ struct error *err =
			agent_exec(talk.agent, argv, NULL, 0, SOON, &result);

		assert_non_null(err);
		if (!strstr(error_message(err), rows[i].says))
			fail_msg("no '%s' in '%s'", rows[i].says, error_message(err));
	}
}

static void a_program_that_never_ends_is_a_timeout(void **state)
{
	(void)state;
	const char *script[40] = {SYNC, PID};
	_cleanup_(talk_end) struct talk talk = {0};
	_cleanup_(exec_result_deinit) struct exec_result result = {0};

	for (size_t i = 2; i < 38; i++)
		script[i] = "{\"return\":{\"exited\":\"yes\"}}\n"; /* not a true one */
	script[38] = PEER_WAITS;
	talk_begin(&talk, script);
	assert_fails(agent_exec(talk.agent, argv, NULL, 0, deadline_after_ms(50), &result),
		ERROR_TIMEOUT, "the guest agent of g0");
}

/* JSON is UTF-8; a word that is not must not get lost on the way. */
static void a_word_that_cannot_be_sent_is_refused(void **state)
{
	(void)state;
	const char *const bad[] = {"/bin/echo", "\xff", NULL};
	const char *const bad_program[] = {"/bin/\xc3\x28", NULL};
	_talk_(talk, PEER_WAITS);
	int64_t pid = -7;

	assert_fails(agent_exec_start(talk.agent, bad, NULL, 0, deadline_after_ms(50), &pid),
		ERROR_USAGE, "UTF-8");
	assert_fails(
		agent_exec_start(talk.agent, bad_program, NULL, 0, deadline_after_ms(50), &pid),
		ERROR_USAGE, "UTF-8");
	assert_int_equal(pid, -7);
}

static void a_file_is_written_in_chunks(void **state)
{
	(void)state;
	/* The guest takes two bytes of five first. */
	_talk_(talk, "{\"return\":1000}\n", "{\"return\":{\"count\":2}}\n",
		"{\"return\":{\"count\":3}}\n", OK);

	assert_ok(agent_file_write(talk.agent, "/tmp/x", "12345", 5, SOON));
	agent_close(take_ptr(talk.agent));
	peer_end(&talk.peer);
	assert_int_equal(talk.peer.count, 5);
	const char *buffer = NULL;

	assert_int_equal(
		json_unpack(talk.peer.received[3], "{s:{s:s}}", "arguments", "buf-b64", &buffer),
		0);
	assert_string_equal(buffer, "MzQ1");
}

static void a_guest_cannot_write_more_than_it_got(void **state)
{
	(void)state;
	static const char *const counts[] = {"6", "0", "-1", "9223372036854775807", "\"5\""};

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		_cleanup_free_ char *reply =
			format_string("{\"return\":{\"count\":%s}}\n", counts[i]);
		_talk_(talk, "{\"return\":1000}\n", reply, OK);

		assert_fails(agent_file_write(talk.agent, "/tmp/x", "12345", 5, SOON), ERROR_GUEST,
			"cannot write /tmp/x");
	}
	_talk_(no_handle, "{\"return\":{}}\n");

	assert_fails(agent_file_write(no_handle.agent, "/tmp/x", "12345", 5, SOON), ERROR_GUEST,
		"gave no handle");
}

static void a_file_is_read_up_to_a_bound(void **state)
{
	(void)state;
	_cleanup_free_ char *data = NULL;
	char *untouched = scratch;
	size_t size = 0;
	_talk_(fits, "{\"return\":1}\n", "{\"return\":{\"buf-b64\":\"MTIz\"}}\n",
		"{\"return\":{\"buf-b64\":\"NDU=\",\"eof\":true}}\n", OK);

	assert_ok(agent_file_read(fits.agent, "/x", 5, SOON, &data, &size));
	assert_int_equal(size, 5);
	assert_string_equal(data, "12345");
	_talk_(endless, "{\"return\":1}\n", "{\"return\":{\"buf-b64\":\"MTIz\"}}\n",
		"{\"return\":{\"buf-b64\":\"MTIz\"}}\n", OK);

	assert_fails(agent_file_read(endless.agent, "/x", 5, SOON, &untouched, &size), ERROR_GUEST,
		"cannot read /x: file is larger than 5 bytes");
	assert_ptr_equal(untouched, scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(answers_to_an_earlier_client_are_discarded),
		scratch_test(a_guest_that_never_answers_is_a_timeout),
		scratch_test(a_guest_that_dies_is_told_with_a_remedy),
		scratch_test(nothing_to_connect_to_names_the_socket),
		scratch_test(a_program_runs_to_its_end),
		scratch_test(hostile_statuses_are_survived),
		scratch_test(answers_of_a_wrong_shape_are_errors),
		scratch_test(a_program_that_never_ends_is_a_timeout),
		scratch_test(a_word_that_cannot_be_sent_is_refused),
		scratch_test(a_file_is_written_in_chunks),
		scratch_test(a_guest_cannot_write_more_than_it_got),
		scratch_test(a_file_is_read_up_to_a_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
