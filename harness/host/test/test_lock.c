/* The run lock between processes: taken, named, waited for, and free again after kill -9. */
#include "harness/host/test/scratch.h"
#include "harness/base/process.h"
#include "harness/host/lock.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* fs_runtime_dir() is fixed for root; a test must not meet a real run's lock. */
static int as_user(void **state)
{
	if (scratch_make(state) < 0 || setenv("XDG_RUNTIME_DIR", scratch, 1) < 0)
		return -1;
	if (geteuid() == 0 && (chown(scratch, 65534, 65534) < 0 || seteuid(65534) < 0))
		return -1;
	return 0;
}

static int as_before(void **state)
{
	if (getuid() == 0 && seteuid(0) < 0)
		return -1;
	return scratch_remove(state);
}

/* A child that takes the lock, says so through the pipe, and holds it until it is killed. */
static pid_t start_holder(const char *what)
{
	int pipes[2];
	char byte = 0;

	assert_int_equal(pipe(pipes), 0);
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct host_lock *lock = NULL;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (host_lock_acquire(what, deadline_after_ms(10000), &lock) ||
			write(pipes[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(pipes[1]);
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	close(pipes[0]);
	return pid;
}

static void end(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	assert_true(process_wait(pid, deadline_after_ms(10000), &status));
}

static void names_its_holder(void **state)
{
	struct host_lock *lock = NULL;
	_cleanup_json_ json_t *holder = NULL;
	pid_t pid = start_holder("run 20260131T235959Z-1a2b (shmipc)");
	char pid_text[24];

	(void)state;
	snprintf(pid_text, sizeof(pid_text), "pid %d", (int)pid);
	_cleanup_error_ struct error *err =
		host_lock_acquire("second", deadline_after_ms(0), &lock);

	assert_non_null(err);
	assert_null(lock);
	assert_int_equal(error_kind(err), ERROR_TIMEOUT);
	assert_non_null(strstr(error_message(err), "20260131T235959Z-1a2b"));
	assert_non_null(strstr(error_message(err), pid_text));
	assert_non_null(strstr(error_remedy(err), "--wait"));
	assert_ok(host_lock_holder(&holder));
	assert_int_equal(json_integer_value(json_object_get(holder, "pid")), pid);
	end(pid);
}

static void ends_with_its_holder(void **state)
{
	_cleanup_host_lock_ struct host_lock *lock = NULL;
	_cleanup_json_ json_t *holder = NULL;

	(void)state;
	end(start_holder("to be killed"));
	assert_ok(host_lock_holder(&holder));
	assert_null(holder);
	assert_ok(host_lock_acquire("next", deadline_after_ms(0), &lock));
}

/* The waiter is woken by the holder's death, long before its deadline. */
static void waits_for_its_turn(void **state)
{
	struct deadline deadline = deadline_after_ms(60000);
	_cleanup_host_lock_ struct host_lock *lock = NULL;
	pid_t pid = start_holder("for a while");
	pid_t killer = fork();

	(void)state;
	assert_true(killer >= 0);
	if (killer == 0) {
		kill(pid, SIGKILL);
		_exit(0);
	}
	assert_ok(host_lock_acquire("waiter", deadline, &lock));
	assert_false(deadline_passed(deadline));
	end(killer);
	end(pid);
}

static void released_and_taken_again(void **state)
{
	_cleanup_json_ json_t *holder = NULL;

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct host_lock *lock = NULL;

		assert_ok(host_lock_acquire("again", deadline_after_ms(0), &lock));
		host_lock_release(lock);
	}
	host_lock_release(NULL);
	assert_ok(host_lock_holder(&holder));
	assert_null(holder);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, as_user, as_before)
	const struct CMUnitTest tests[] = {
		TEST(names_its_holder),
		TEST(ends_with_its_holder),
		TEST(waits_for_its_turn),
		TEST(released_and_taken_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
