/* What the workloads throughput and web make of what they are told. */
#include "harness/base/test/support.h"
#include "harness/engine/trial_internal.h"
#include "mechanisms/zerocopy/zerocopy.h"
#include "workloads/host/web.h"

#define S NSEC_PER_SEC
#define MIB ((uint64_t)1 << 20)

/* A trial of which only what is pure is called; it borrows what is planned. */
static struct trial *trial_of(
	const char *workload, const char *param, const char *value, json_t **planned)
{
	const struct mechanism *mechanism = mechanism_find("zerocopy");
	_cleanup_json_ json_t *parameters = json_object();
	struct fleet_spec spec;
	struct trial *trial;

	for (const struct param *one = mechanism->params; one->name; one++)
		json_object_set_new(parameters, one->name, json_string(one->initial));
	json_object_set_new(parameters, "workload", json_string(workload));
	json_object_set_new(parameters, param, json_string(value));
	*planned = json_pack("{s:s, s:s, s:s, s:O}", "mechanism", "zerocopy", "experiment",
		"throughput", "variant", "vmbeam", "parameters", parameters);
	assert_ok(trial_fleet_spec(*planned, &trial, &spec));
	return trial;
}

static struct web_segment run(int from_s, int to_s, unsigned int replies, unsigned int errors)
{
	return (struct web_segment){.start_ns = from_s * S,
		.end_ns = to_s * S,
		.duration_s = to_s - from_s,
		.replies = replies,
		.errors = errors};
}

/* Seven runs end before the move, of which five count; a move from 8.2 s to 8.8 s makes the run
 * around it "during", the one from 8.5 s to 9.5 s two of them. */
static void runs_that_touch_the_move_are_during_it(void **state)
{
	(void)state;
	const struct web_segment runs[] = {run(0, 1, 7, 7), run(1, 2, 50, 9), run(2, 3, 100, 0),
		run(3, 4, 110, 0), run(4, 6, 220, 1), run(6, 7, 100, 0), run(7, 8, 120, 0),
		run(8, 9, 40, 3), run(9, 10, 80, 1), run(10, 11, 90, 0)};
	struct web_accounts one = web_account(runs, ARRAY_SIZE(runs), 82 * S / 10, 88 * S / 10);
	struct web_accounts two = web_account(runs, ARRAY_SIZE(runs), 85 * S / 10, 95 * S / 10);

	assert_int_equal(one.before.segments, 5);
	assert_float_equal(one.before.replies, 650, 0);
	assert_float_equal(one.before.seconds, 6, 0);
	assert_int_equal(one.before.errors, 1);
	assert_int_equal(one.during.segments, 1);
	assert_int_equal(one.during.errors, 3);
	assert_int_equal(one.after.segments, 2);
	assert_int_equal(two.during.segments, 2);
	assert_float_equal(two.during.replies, 120, 0);
	assert_int_equal(two.during.errors, 4);
	assert_int_equal(two.after.segments, 1);
}

/* A reply with another status than 2xx is none, and is told of. */
static void refusals_are_errors(void **state)
{
	(void)state;
	struct web_segment one = run(1, 2, 100, 1);

	one.refused = 5;
	assert_int_equal(web_account(&one, 1, 9 * S, 10 * S).before.errors, 6);
	assert_int_equal(web_account(&one, 0, 9 * S, 10 * S).before.segments, 0);
}

static void the_channel_is_used_for_as_long_as_iperf3(void **state)
{
	(void)state;
	_cleanup_json_ json_t *planned = NULL;
	_cleanup_(cleanup_trial) struct trial *trial =
		trial_of("throughput", "transfer_s", "5", &planned);

	/* 64 MiB in half a second: five seconds are ten times as much. */
	assert_int_equal(throughput_channel_bytes(trial, 64 * MIB, 0.5), 640 * MIB);
	/* Times come from an L1 guest and may be anything above 0. */
	assert_int_equal(throughput_channel_bytes(trial, 64 * MIB, 1e300), MIB);
	assert_int_equal(throughput_channel_bytes(trial, 64 * MIB, 1e-300), 64 * 1024 * MIB);
}

/* Only guests with a web server have one in their image. */
static void the_image_is_the_workloads(void **state)
{
	(void)state;
	_cleanup_json_ json_t *first = NULL;
	_cleanup_json_ json_t *second = NULL;
	_cleanup_(cleanup_trial) struct trial *web = trial_of("web", "memory_mib", "384", &first);
	_cleanup_(cleanup_trial) struct trial *idle =
		trial_of("idle", "memory_mib", "384", &second);

	assert_int_equal(zerocopy_image(web).package_count, 1);
	assert_string_equal(zerocopy_image(web).packages[0], web_packages[0]);
	assert_int_equal(zerocopy_image(idle).package_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_that_touch_the_move_are_during_it),
		cmocka_unit_test(refusals_are_errors),
		cmocka_unit_test(the_channel_is_used_for_as_long_as_iperf3),
		cmocka_unit_test(the_image_is_the_workloads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
