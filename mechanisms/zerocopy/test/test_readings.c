/* The readings of a move of several guests. */
#include "harness/base/test/support.h"
#include "harness/base/jsonline.h"

#include "harness/engine/plan.h"
#include "harness/engine/trial_internal.h"
#include "mechanisms/zerocopy/observe.h"

#include <math.h>
#include <sys/socket.h>

/* What read_times() says of a metric of these reports; NaN: nothing. */
static double time_of(const struct move_seen *seen, size_t count, const char *metric)
{
	const struct mechanism *mechanism = mechanism_find("zerocopy");
	const struct plan_options options = {
		.mechanisms = &mechanism, .mechanism_count = 1, .profile = PROFILE_SMOKE};
	struct watch watch = {.count = count};
	_cleanup_json_ json_t *plan = NULL;
	double value = NAN;
	int pair[2];

	assert_ok(plan_create(&options, &plan));
	json_t *planned = json_array_get(json_object_get(plan, "trials"), 0);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	struct trial trial = {.mechanism = mechanism,
		.parameters = json_object_get(planned, "parameters"),
		.out_fd = pair[1]};
	_cleanup_(jsonline_deinit) struct jsonline reader = {.fd = pair[0]};

	assert_ok(read_times(&trial, &watch, seen, NULL));
	close(pair[1]);
	for (;;) {
		_cleanup_json_ json_t *line = NULL;

		assert_ok(jsonline_receive(
			&reader, "the readings", deadline_after_ms(TEST_TIMEOUT_MS), &line));
		if (!line)
			break;
		const json_t *sample = json_object_get(line, "sample");

		if (strcmp(json_string_value(json_object_get(sample, "metric")), metric) == 0)
			value = json_number_value(json_object_get(sample, "value"));
	}
	close(pair[0]);
	return value;
}

/* One without a reading hides no other's, wherever it stands. */
static void the_longest_of_several_guests_is_read(void **state)
{
	static const double rows[][3] = {
		{30, NAN, 20}, {NAN, 20, 30}, {20, 30, NAN}, {30, 20, NAN}, {30, NAN, NAN}};
	struct move_seen seen = {.begin_ns = 0, .end_ns = 1};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (size_t guest = 0; guest < 3; guest++)
			seen.reports[guest].total_ms = rows[i][guest];
		assert_float_equal(time_of(&seen, 3, "migration_time"), 0.03, 1e-9);
	}
}

static void without_a_reading_nothing_is_said(void **state)
{
	struct move_seen seen = {.reports = {{.total_ms = NAN}, {.total_ms = NAN}}};

	(void)state;
	assert_true(isnan(time_of(&seen, 2, "migration_time")));
	assert_false(isnan(time_of(&seen, 2, "command_time")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_longest_of_several_guests_is_read),
		cmocka_unit_test(without_a_reading_nothing_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
