/* Errors tell their story in order, keep the hint nearest to the cause, and know the exit status.
 */
#include "harness/base/test/support.h"

#include <errno.h>

static void a_prefix_goes_before_the_message(void **state)
{
	(void)state;
	_cleanup_error_ struct error *err = error_new(ERROR_GUEST, "it has %d faults", 2);

	err = error_prefix(err, "guest %s", "g0");
	err = error_prefix(err, "fleet");
	assert_string_equal(error_message(err), "fleet: guest g0: it has 2 faults");
	assert_int_equal(error_kind(err), ERROR_GUEST);
	assert_null(error_remedy(err));
}

static void errno_is_told_in_words(void **state)
{
	(void)state;
	_cleanup_error_ struct error *err = error_errno(ENOENT, "cannot open %s", "/x");

	assert_string_equal(error_message(err), "cannot open /x: No such file or directory");
	assert_int_equal(error_kind(err), ERROR_SETUP);
}

static void the_hint_nearest_to_the_cause_stays(void **state)
{
	(void)state;
	_cleanup_error_ struct error *err = error_new(ERROR_USAGE, "no");

	err = error_hint(err, "try %s", "this");
	err = error_hint(err, "try that");
	err = error_prefix(err, "outer");
	assert_string_equal(error_remedy(err), "try this");
	assert_string_equal(error_message(err), "outer: no");
}

static void only_an_interruption_exits_with_130(void **state)
{
	(void)state;
	for (int kind = ERROR_USAGE; kind <= ERROR_INTERNAL; kind++) {
		_cleanup_error_ struct error *err = error_new((enum error_kind)kind, "x");

		assert_int_equal(error_exit_status(err), kind == ERROR_INTERRUPTED ? 130 : 1);
	}
}

static void a_percent_sign_in_an_argument_is_only_text(void **state)
{
	(void)state;
	_cleanup_error_ struct error *err = error_new(ERROR_USAGE, "%s", "100%s%n");

	err = error_prefix(err, "%s", "%d");
	assert_string_equal(error_message(err), "%d: 100%s%n");
}

static struct error *first_of_two(int *reached)
{
	try_(error_new(ERROR_USAGE, "first"));
	*reached = 1;
	return NULL;
}

static void try_returns_at_once_and_nothing_is_fine(void **state)
{
	(void)state;
	int reached = 0;

	assert_fails(first_of_two(&reached), ERROR_USAGE, "first");
	assert_int_equal(reached, 0);
	error_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_prefix_goes_before_the_message),
		cmocka_unit_test(errno_is_told_in_words),
		cmocka_unit_test(the_hint_nearest_to_the_cause_stays),
		cmocka_unit_test(only_an_interruption_exits_with_130),
		cmocka_unit_test(a_percent_sign_in_an_argument_is_only_text),
		cmocka_unit_test(try_returns_at_once_and_nothing_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
