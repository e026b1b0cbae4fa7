/* Jobs behind the barrier, with guests that are threads and control ports that say anything. */
#include "harness/fleet/test/fake_guests.h"

#define SOON deadline_after_ms(TEST_TIMEOUT_MS)

static const char *const argv[] = {"/sbin/fleetlab-guest", "selftest", NULL};

static void a_job_is_prepared_released_and_finished(void **state)
{
	(void)state;
	_cleanup_(fake_guests_deinit) struct fake_guests all = {0};
	_cleanup_json_ json_t *result = NULL;

	fake_guests_start(&all, -1);
	assert_ok(fleet_run_json(&all.fleet, 2, argv, SOON, &result));
	assert_int_equal(json_integer_value(json_object_get(result, "n")), 5);
	char byte = 0;

	assert_int_equal(recv(all.fakes[2].control_fd, &byte, 1, MSG_DONTWAIT), 1);
	assert_int_equal(byte, 'g'); /* it was let go */
	fake_guests_stop(&all);
	_cleanup_json_ json_t *wanted = json_pack("[[s,s,s,s,s]]", "/sbin/fleetlab-guest", "await",
		"--", "/sbin/fleetlab-guest", "selftest");

	assert_true(json_equal(all.fakes[2].asked, wanted));
	assert_int_equal(json_array_size(all.fakes[1].asked), 0);
}

static void a_guest_that_refuses_is_an_error(void **state)
{
	(void)state;
	_cleanup_(fake_guests_deinit) struct fake_guests all = {0};
	struct guest_job job;

	fake_guests_start(&all, 1);
	assert_fails(fleet_prepare(&all.fleet, 1, argv, SOON, &job), ERROR_GUEST, "runs nothing");
}

static void a_guest_that_dies_at_the_barrier_is_an_error(void **state)
{
	(void)state;
	_cleanup_(fake_guests_deinit) struct fake_guests all = {0};
	_cleanup_(exec_result_deinit) struct exec_result result = {0};
	struct guest_job job = {.guest = 0, .what = "selftest"};

	fake_guests_start(&all, -1);
	shutdown(all.fakes[0].control_fd, SHUT_WR);
	assert_fails(fleet_finish(&all.fleet, &job, SOON, &result), ERROR_GUEST,
		"guest g0 ended while selftest ran in it");
}

/* Whatever a guest writes there, it must not keep us beyond the deadline. */
static void noise_on_the_control_port_does_not_hold_the_deadline_up(void **state)
{
	(void)state;
	_cleanup_(fake_guests_deinit) struct fake_guests all = {0};
	_cleanup_(exec_result_deinit) struct exec_result result = {0};
	struct guest_job job = {.guest = 0, .what = "selftest"};
	char noise[4096], left[sizeof(noise)];

	fake_guests_start(&all, -1);
	memset(noise, 'x', sizeof(noise));
	assert_int_equal(send(all.fakes[0].control_fd, noise, sizeof(noise), 0), sizeof(noise));
	assert_fails(fleet_finish(&all.fleet, &job, deadline_after_ms(0), &result), ERROR_TIMEOUT,
		"selftest in guest g0");
	/* It stopped listening at once. */
	assert_int_equal(
		recv(all.guests[0].control_fd, left, sizeof(left), MSG_DONTWAIT), sizeof(noise));
	shutdown(all.fakes[0].control_fd, SHUT_WR);
}

static void too_many_words_are_refused_not_cut(void **state)
{
	(void)state;
	_cleanup_(fake_guests_deinit) struct fake_guests all = {0};
	const char *many[101] = {NULL};
	struct guest_job job;

	for (size_t i = 0; i < 100; i++)
		many[i] = "word";
	fake_guests_start(&all, -1);
	assert_fails(fleet_prepare(&all.fleet, 0, many, SOON, &job), ERROR_INTERNAL, "words");
}

static void what_a_job_prints_is_checked(void **state)
{
	(void)state;
	static const struct {
		const char *output, *errors;
		int status;
		const char *says; /* NULL: it is fine */
	} rows[] = {
		{"{\"n\":1}", "", 0, NULL},
		{"{\"n\":1}", "", 1, "failed with status 1"},
		{"{\"error\":\"no device\"}", "", 0, "no device"},
		{"[1]", "", 0, "it printed no JSON object"},
		{"", "cannot map", 139, "status 139: cannot map"},
		{"{\"n\":", "", 0, "it printed no JSON object"},
	};
	struct guest guest = {.name = (char *)"g0"};
	struct fleet fleet = {.guests = &guest, .count = 1};
	struct guest_job job = {.what = "selftest"};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct exec_result result = {
			.exit_status = rows[i].status,
			.output = (char *)rows[i].output,
			.output_size = strlen(rows[i].output),
			.errors = (char *)rows[i].errors,
			.errors_size = strlen(rows[i].errors),
		};
		_cleanup_json_ json_t *value = NULL;

		if (rows[i].says) {
			assert_fails(
				job_json(&fleet, &job, &result, &value), ERROR_GUEST, rows[i].says);
			assert_null(value);
		} else {
			assert_ok(job_json(&fleet, &job, &result, &value));
			assert_int_equal(json_integer_value(json_object_get(value, "n")), 1);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(a_job_is_prepared_released_and_finished),
		scratch_test(a_guest_that_refuses_is_an_error),
		scratch_test(a_guest_that_dies_at_the_barrier_is_an_error),
		scratch_test(noise_on_the_control_port_does_not_hold_the_deadline_up),
		scratch_test(too_many_words_are_refused_not_cut),
		scratch_test(what_a_job_prints_is_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
