/* A store where inotify says nothing: what comes and goes is seen all the same. */
#include "harness/base/test/support.h"

#include "dashboard/server/test/http.h"
#include "dashboard/server/test/replaced.h"
#include "harness/base/test/refused_call.h"
#include "harness/record/record.h"
#include "harness/record/synthetic.h"

/* As for a user who has no instance of it left. */
static int forbid_inotify(void **state)
{
	(void)state;
	return refuse_call(__NR_inotify_init1, EMFILE) ? 0 : -1;
}

static void records_come_and_go(void **state)
{
	const struct synthetic_options options = {.seed = 5, .count = 3};
	char **paths;
	size_t count;

	(void)state;
	start();
	wait_for_runs(0);
	assert_ok(synthetic_store(&options, scratch, NULL));
	wait_for_runs(3);
	assert_ok(record_list(scratch, &paths, &count));
	assert_int_equal(unlink(paths[0]), 0);
	wait_for_runs(2);
	record_list_destroy(paths, count);
	stop();
}

/* Which changes no directory. */
static void a_record_is_changed_in_its_place(void **state)
{
	const struct synthetic_options options = {.seed = 5, .count = 2};
	char **paths;
	size_t count;

	(void)state;
	assert_ok(synthetic_store(&options, scratch, NULL));
	start();
	wait_for_runs(2);
	assert_ok(record_list(scratch, &paths, &count));
	assert_int_equal(truncate(paths[0], 100), 0);
	wait_for_runs(1);
	record_list_destroy(paths, count);
	stop();
}

/* Another store comes to its path. */
static void the_directory_is_replaced(void **state)
{
	(void)state;
	another_store_comes();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(records_come_and_go),
		scratch_test(a_record_is_changed_in_its_place),
		scratch_test(the_directory_is_replaced),
	};

	return cmocka_run_group_tests(tests, forbid_inotify, NULL);
}
