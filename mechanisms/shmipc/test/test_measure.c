/* What guests print is checked where it is taken. The guests are threads, which print anything. */
#include "harness/fleet/test/fake_guests.h"
#include "harness/engine/trial_internal.h"

/* A trial whose guests both print this; *said is what it told the run. */
static struct error *measure(const char *workload, const char *prints, json_t **said)
{
	const struct mechanism *shmipc = mechanism_find("shmipc");
	_cleanup_(fake_guests_deinit) struct fake_guests all = {0};
	_cleanup_json_ json_t *parameters = json_object();
	struct trial trial = {.mechanism = shmipc,
		.parameters = parameters,
		.deadline = deadline_after_ms(TEST_TIMEOUT_MS)};
	struct error *err;
	int pair[2];

	for (const struct param *param = shmipc->params; param->name; param++)
		json_object_set_new(parameters, param->name, json_string(param->initial));
	json_object_set_new(parameters, "workload", json_string(workload));
	fake_guests_start(&all, -1);
	for (size_t i = 0; i < FAKE_GUESTS; i++)
		all.fakes[i].prints = prints;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	trial.fleet = &all.fleet;
	trial.out_fd = pair[1];
	err = shmipc->measure(&trial);
	close(pair[1]);
	_cleanup_(jsonline_deinit) struct jsonline reader = {.fd = pair[0]};
	json_t *line;

	*said = json_array();
	do {
		assert_ok(jsonline_receive(&reader, "the readings", trial.deadline, &line));
		if (line)
			json_array_append_new(*said, line);
	} while (line);
	close(pair[0]);
	return err;
}

static void an_address_is_a_number(void **state)
{
	static const char *const bad[] = {"{\"checksum\":\"0x5\"}", "{\"address\":{}}",
		"{\"address\":[1]}", "{\"address\":5}", "{\"address\":\"here\"}",
		"{\"address\":\"\"}", "{\"address\":\"0x7e0000000000 \"}"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_json_ json_t *said = NULL;

		assert_fails(measure("pointers", bad[i], &said), ERROR_GUEST,
			"printed no proper address");
		assert_int_equal(json_array_size(said), 0);
	}
	_cleanup_json_ json_t *said = NULL;

	assert_ok(measure(
		"pointers", "{\"checksum\":\"0x5\", \"address\":\"0x7e0000000000\"}", &said));
	_cleanup_json_ json_t *wanted =
		json_pack("{s:{s:s}}", "effective", "address", "0x7e0000000000");
	const json_t *sample = json_object_get(json_array_get(said, 1), "sample");

	assert_int_equal(json_array_size(said), 2);
	assert_true(json_equal(json_array_get(said, 0), wanted));
	assert_true(json_number_value(json_object_get(sample, "value")) == 1);
}

static void a_value_that_could_not_be_made_is_told(void **state)
{
	struct trial trial = {.mechanism = mechanism_find("shmipc"), .out_fd = -1};

	(void)state;
	assert_fails(trial_effective(&trial, "address", json_string("\xff")), ERROR_INTERNAL,
		"cannot be told");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(an_address_is_a_number),
		cmocka_unit_test(a_value_that_could_not_be_made_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
