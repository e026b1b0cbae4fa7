/* A store where inotify says nothing: what comes and goes is seen all the same. */
#include "harness/base/test/support.h"

#include "dashboard/server/test/http.h"
#include "harness/record/record.h"
#include "harness/record/synthetic.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* As for a user who has no instance of it left. */
static int forbid_inotify(void **state)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_inotify_init1, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EMFILE),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {ARRAY_SIZE(filter), filter};

	(void)state;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
			       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0
		       ? 0
		       : -1;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(records_come_and_go),
		scratch_test(a_record_is_changed_in_its_place),
	};

	return cmocka_run_group_tests(tests, forbid_inotify, NULL);
}
