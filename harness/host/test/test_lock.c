/* The run lock between processes: taken, named, waited for, and free again after kill -9. */
#include "harness/base/test/scratch_cache.h"
#include "harness/base/test/child.h"
#include "harness/host/lock.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* fs_runtime_dir() is fixed for root; a test must not meet a real run's lock. */
static int as_user(void **state)
{
	if (scratch_make_cache(state) < 0 || setenv("XDG_RUNTIME_DIR", scratch, 1) < 0)
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

static struct error *take_lock(const void *what)
{
	struct host_lock *lock;

	return host_lock_acquire(what, deadline_after_ms(10000), &lock);
}

static void names_its_holder(void **state)
{
	struct host_lock *lock = NULL;
	_cleanup_json_ json_t *holder = NULL;
	pid_t pid = child_holding(take_lock, "run 20260131T235959Z-1a2b (shmipc)");
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
	child_kill(pid);
}

static void ends_with_its_holder(void **state)
{
	_cleanup_host_lock_ struct host_lock *lock = NULL;
	_cleanup_json_ json_t *holder = NULL;

	(void)state;
	child_kill(child_holding(take_lock, "to be killed"));
	assert_ok(host_lock_holder(&holder));
	assert_null(holder);
	assert_ok(host_lock_acquire("next", deadline_after_ms(0), &lock));
}

/* The waiter is woken by the holder's death, long before its deadline. */
static void waits_for_its_turn(void **state)
{
	struct deadline deadline = deadline_after_ms(60000);
	_cleanup_host_lock_ struct host_lock *lock = NULL;
	pid_t pid = child_holding(take_lock, "for a while");
	pid_t killer = fork();

	(void)state;
	assert_true(killer >= 0);
	if (killer == 0) {
		kill(pid, SIGKILL);
		_exit(0);
	}
	assert_ok(host_lock_acquire("waiter", deadline, &lock));
	assert_false(deadline_passed(deadline));
	child_kill(killer);
	child_kill(pid);
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
