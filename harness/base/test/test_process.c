/* Running programs: whole input and output, bounds, deadlines, and no survivors. */
#include "harness/base/test/support.h"
#include "harness/base/process.h"
#include "harness/base/process_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>

#define SOON deadline_after_ms(TEST_TIMEOUT_MS)
#define SHELL(script) ((const char *const[]){"sh", "-c", script, NULL})

static void output_and_errors_are_kept_apart(void **state)
{
	(void)state;
	_cleanup_(process_result_deinit) struct process_result result = {0};

	assert_ok(process_run(SHELL("cat; echo no >&2; exit 3"), "in", 100, SOON, &result));
	assert_int_equal(result.exit_status, 3);
	assert_string_equal(result.output, "in");
	assert_int_equal(result.output_size, 2);
	assert_string_equal(result.errors, "no\n");
}

static void a_signal_is_128_and_its_number(void **state)
{
	(void)state;
	_cleanup_(process_result_deinit) struct process_result result = {0};

	assert_ok(process_run(SHELL("kill -TERM $$"), NULL, 100, SOON, &result));
	assert_int_equal(result.exit_status, 128 + SIGTERM);
	assert_string_equal(result.output, "");
}

static void a_missing_program_is_named(void **state)
{
	(void)state;
	const char *const missing[] = {"no-such-program", NULL};
	_cleanup_(process_result_deinit) struct process_result result = {0};

	assert_fails(process_run(missing, NULL, 100, SOON, &result), ERROR_SETUP,
		"'no-such-program' is not installed");
	assert_true(process_in_path("sh"));
	assert_true(process_in_path("/bin/sh"));
	assert_false(process_in_path("/etc/passwd"));
}

static void much_goes_in_and_out_at_once(void **state)
{
	(void)state;
	const char *const cat[] = {"cat", NULL};
	_cleanup_(process_result_deinit) struct process_result result = {0};
	size_t size = 2 << 20; /* far more than both pipes hold */
	_cleanup_free_ char *input = malloc(size + 1);

	for (size_t i = 0; i < size; i++)
		input[i] = (char)('a' + i % 26);
	input[size] = '\0';
	assert_ok(process_run(cat, input, size, SOON, &result));
	assert_int_equal(result.output_size, size);
	assert_memory_equal(result.output, input, size + 1);
}

static void output_beyond_the_bound_is_an_error(void **state)
{
	(void)state;
	_cleanup_(process_result_deinit) struct process_result result = {0};

	assert_ok(process_run(SHELL("printf 12345"), NULL, 5, SOON, &result));
	process_result_deinit(&result);
	assert_fails(process_run(SHELL("printf 123456"), NULL, 5, SOON, &result), ERROR_SETUP,
		"more than 5 bytes");
	assert_null(result.output);
}

static void endless_errors_are_cut_but_no_failure(void **state)
{
	(void)state;
	_cleanup_(process_result_deinit) struct process_result result = {0};

	assert_ok(process_run(
		SHELL("head -c 200000 /dev/zero | tr '\\0' e >&2"), NULL, 9, SOON, &result));
	assert_int_equal(strlen(result.errors), 64 << 10);
}

/* Input that nobody reads must neither fail nor kill us by SIGPIPE. */
static void a_program_need_not_read_its_input(void **state)
{
	(void)state;
	_cleanup_(process_result_deinit) struct process_result result = {0};
	_cleanup_free_ char *input = calloc(1, (1 << 20) + 1);

	memset(input, 'x', 1 << 20);
	assert_ok(process_run(SHELL("exec <&-; echo deaf"), input, 100, SOON, &result));
	assert_int_equal(result.exit_status, 0);
	assert_string_equal(result.output, "deaf\n");
}

static void a_program_starts_with_plain_signals(void **state)
{
	(void)state;
	_cleanup_(process_result_deinit) struct process_result result = {0};
	sigset_t blocked, before;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	assert_ok(process_run(SHELL("grep SigBlk /proc/self/status"), NULL, 1000, SOON, &result));
	sigprocmask(SIG_SETMASK, &before, NULL);
	assert_string_equal(result.output, "SigBlk:\t0000000000000000\n");
}

/* The program and its child hold a FIFO open: its end is the end of both. */
static void the_deadline_ends_the_whole_group(void **state)
{
	(void)state;
	_cleanup_free_ char *fifo = scratch_path("alive");
	_cleanup_free_ char *script = format_string("exec 9>%s; sleep 1000 & sleep 1000", fifo);
	_cleanup_(process_result_deinit) struct process_result result = {0};
	_cleanup_close_ int alive = -1;
	char byte;

	assert_int_equal(mkfifo(fifo, 0600), 0);
	alive = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(alive >= 0);
	assert_fails(process_run(SHELL(script), NULL, 100, deadline_after_ms(300), &result),
		ERROR_TIMEOUT, "'sh' did not end before its deadline");
	struct pollfd pfd = {.fd = alive, .events = POLLIN};

	assert_int_equal(poll(&pfd, 1, TEST_TIMEOUT_MS), 1);
	assert_int_equal(read(alive, &byte, 1), 0);
}

static void a_failure_carries_the_last_line_of_its_errors(void **state)
{
	(void)state;
	_cleanup_free_ char *output = NULL;
	char *untouched = scratch;

	assert_ok(process_check(SHELL("echo fine"), NULL, SOON, &output));
	assert_string_equal(output, "fine\n");
	assert_ok(process_check(SHELL("echo fine"), NULL, SOON, NULL));
	assert_fails(process_check(SHELL("echo first >&2; echo the reason >&2; exit 7"), NULL, SOON,
			     &untouched),
		ERROR_SETUP, "'sh' failed with status 7: the reason");
	assert_ptr_equal(untouched, scratch);
}

/* /dev/zero always has more: it is never the lack of something to read that ends it. */
static void the_deadline_ends_what_never_stops_printing(void **state)
{
	struct process_stream out = {.fd = open("/dev/zero", O_RDONLY | O_CLOEXEC), .max = 100};
	struct process_stream err = {.fd = -1};

	(void)state;
	assert_true(out.fd >= 0);
	alarm(TEST_TIMEOUT_MS / 1000); /* it would hang for ever */
	assert_false(process_pump(-1, NULL, &out, &err, deadline_after_ms(20)));
	alarm(0);
	assert_true(out.used <= 100);
	close(out.fd);
	free(out.data);
}

static void waiting_ends_with_the_deadline(void **state)
{
	(void)state;
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		for (;;)
			pause();
	}
	assert_false(process_wait(pid, deadline_after_ms(0), &status));
	kill(pid, SIGKILL);
	assert_true(process_wait(pid, SOON, &status));
	assert_int_equal(status, SIGKILL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(output_and_errors_are_kept_apart),
		cmocka_unit_test(a_signal_is_128_and_its_number),
		cmocka_unit_test(a_missing_program_is_named),
		cmocka_unit_test(much_goes_in_and_out_at_once),
		cmocka_unit_test(output_beyond_the_bound_is_an_error),
		cmocka_unit_test(endless_errors_are_cut_but_no_failure),
		cmocka_unit_test(a_program_need_not_read_its_input),
		cmocka_unit_test(a_program_starts_with_plain_signals),
		scratch_test(the_deadline_ends_the_whole_group),
		cmocka_unit_test(a_failure_carries_the_last_line_of_its_errors),
		cmocka_unit_test(the_deadline_ends_what_never_stops_printing),
		cmocka_unit_test(waiting_ends_with_the_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
