/* `fleetlab run --peer` with real guests: what a trial on a real second machine proves, and that a
 * machine which cannot be had is told before anything is measured. The other machine is an SSH
 * server of the lab in which all of this runs. */
#include "harness/base/fs.h"
#include "harness/fleet/test/live.h"
#include "harness/fleet/test/other_machine.h"
#include "harness/record/samples.h"

#include <sched.h>
#include <sys/mount.h>

#define ADDRESS "127.0.0.1"
#define MAX_OUTPUT ((size_t)1 << 20)

static char results[] = "/tmp/test-live-peer-XXXXXX";

static struct process_result run(const char *uri, const char *variant, const char *experiment)
{
	const char *const argv[] = {FLEETLAB, "run", "zerocopy", "--profile", "quick", "--variant",
		variant, "--experiment", experiment, "-p", "memory_mib=128", "-p", "dirty_steps=1",
		"--peer", uri, "--results", results, NULL};
	struct process_result result;

	assert_ok(process_run(argv, NULL, MAX_OUTPUT, LIVE_DEADLINE, &result));
	return result;
}

static void assert_ok_evidence(const json_t *trial, const char *name)
{
	json_t *row;
	size_t i;

	json_array_foreach (json_object_get(trial, "evidence"), i, row) {
		if (strcmp(json_string_value(json_object_get(row, "name")), name) == 0) {
			assert_true(json_is_true(json_object_get(row, "ok")));
			return;
		}
	}
	fail_msg("no evidence '%s'", name);
}

static bool has_sample(const json_t *trial, const char *metric)
{
	json_t *row;
	size_t i;

	json_array_foreach (json_object_get(trial, "samples"), i, row) {
		if (strcmp(json_string_value(json_object_get(row, "metric")), metric) == 0)
			return true;
	}
	return false;
}

static void check_trials(const json_t *record, const char *uri)
{
	static const char *const evidence[] = {
		"moves", "one-side", "link", "boot-id", "connection", "stream"};
	static const char *const metrics[] = {"migration_time", "downtime", "downtime_tcp",
		"downtime_qmp", "downtime_qemu", "network_bytes", "cpu_time", "cpu_time_source",
		"cpu_time_destination"};
	const json_t *trials = json_object_get(record, "trials");
	json_t *trial;
	size_t i;

	assert_true(json_array_size(trials) >= 2);
	json_array_foreach (trials, i, trial) {
		if (strcmp(json_text(trial, "outcome"), "ok") != 0)
			fail_msg("%s: %s", json_text(trial, "outcome"), json_text(trial, "reason"));
		assert_string_equal(json_text(trial, "peer"), uri);
		/* Here it is this host, which must not be taken for two. */
		assert_non_null(strstr(json_text(json_object_get(trial, "parameters"), "emulated"),
			"two labs of one host"));
		assert_true(json_is_null(
			json_object_get(json_object_get(trial, "parameters"), "link_mbit")));
		for (size_t n = 0; n < ARRAY_SIZE(evidence); n++)
			assert_ok_evidence(trial, evidence[n]);
		for (size_t n = 0; n < ARRAY_SIZE(metrics); n++)
			assert_true(has_sample(trial, metrics[n]));
	}
}

static void check_run(const char *uri)
{
	static const char said[] = "record: ";
	_cleanup_(process_result_deinit) struct process_result result = run(uri, "phys", "dirty");
	char *path = strstr(result.errors, said);
	_cleanup_json_ json_t *record = NULL;

	if (result.exit_status != 0 || !path)
		fail_msg("status %d: %s", result.exit_status, result.errors);
	path += strlen(said);
	path[strcspn(path, "\n")] = '\0';
	record = json_load_file(path, 0, NULL);
	check_trials(record, uri);
	assert_string_equal(json_text(json_object_get(record, "plan"), "peer"), uri);
	assert_non_null(json_object_get(json_object_get(record, "peer"), "kernel"));
	assert_non_null(strstr(result.output, "\npeer: "));
	assert_non_null(strstr(result.output, "; this host itself"));
}

static void check_refusals(const struct other *other)
{
	_cleanup_free_ char *nobody = other_uri(other, ADDRESS, OTHER_PORT + 1);
	_cleanup_free_ char *uri = other_uri(other, ADDRESS, OTHER_PORT);
	_cleanup_(process_result_deinit) struct process_result refused =
		run(nobody, "phys", "dirty");
	_cleanup_(process_result_deinit) struct process_result alone =
		run(uri, "flat-precopy", "flat");

	assert_int_equal(refused.exit_status, 1);
	if (!strstr(refused.errors, "Connection refused"))
		fail_msg("%s", refused.errors);
	assert_int_equal(alone.exit_status, 1);
	assert_non_null(strstr(alone.errors, "nothing in this plan uses a second machine"));
}

static void with_other(void **state)
{
	_cleanup_free_ char *uri = NULL;
	struct other other;

	(void)state;
	assert_ok(make_other_with(FLEETLAB, NULL, ADDRESS, &other));
	uri = other_uri(&other, ADDRESS, OTHER_PORT);
	check_run(uri);
	check_refusals(&other);
	place_stop(&other.sshd, LIVE_DEADLINE);
}

static int in_lab(void *context)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(with_other)};

	(void)context;
	cmocka_set_message_output(CM_OUTPUT_STDOUT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A place for the run's lock that no other run of this host knows. */
static void enter_own_runtime(void)
{
	_cleanup_free_ char *runtime = fs_runtime_dir();

	assert_int_equal(unshare(CLONE_NEWNS), 0);
	assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	assert_ok(fs_make_dirs(runtime));
	assert_int_equal(mount("test", runtime, "tmpfs", 0, "mode=0755"), 0);
}

static void a_run_has_a_real_second_machine(void **state)
{
	_cleanup_error_ struct error *none = sshd_provide(LIVE_DEADLINE, NULL, NULL);
	struct lab_options options = {
		.name = "test", .mask_kvm = strcmp(live_accelerator, "kvm") != 0, .body = in_lab};
	struct lab lab;
	int status = -1;

	(void)state;
	if (none) {
		print_message("skipped: %s\n", error_message(none));
		skip();
	}
	enter_own_runtime();
	assert_non_null(mkdtemp(results));
	assert_ok(lab_open(&options, &lab));
	if (!lab_wait(&lab, deadline_after_ms(4 * LIVE_TIMEOUT_MS), &status)) {
		lab_kill(&lab);
		fail_msg("the lab's body hangs");
	}
	assert_ok(fs_remove_tree(results));
	assert_int_equal(status, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_has_a_real_second_machine),
	};

	return live_main(argc, argv, "a run with a peer", tests, ARRAY_SIZE(tests));
}
