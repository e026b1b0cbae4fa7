/* Each parameter of shmipc reaches something outside the mechanism: the fleet that is asked for, or
 * the words that a guest is told. The guests are threads, which note these words. */
#include "harness/fleet/test/fake_guests.h"
#include "harness/engine/trial_internal.h"

/* A parameter may matter only here. */
static const char *const contexts[][4] = {
	{"transport", "shm"},
	{"mode", "doorbell"},
	{"transport", "tcp"},
	{"transport", "udp"},
	{"workload", "sweep"},
	{"workload", "handoff"},
	{"workload", "threads"},
	{"workload", "pointers"},
	{"workload", "access"},
	{"workload", "iperf3", "transport", "tcp"},
};

static json_t *describe_fleet(const struct fleet_spec *spec)
{
	json_t *plugs = json_array();

	for (size_t i = 0; i < spec->plug_count; i++)
		json_array_append_new(plugs,
			json_pack("[s, s, I]", spec->plugs[i].command, spec->plugs[i].arguments,
				(json_int_t)spec->plugs[i].guests));
	return json_pack("{s:i, s:I, s:i, s:i, s:b, s:s, s:s*, s:s*, s:o}", "count", spec->count,
		"memory", (json_int_t)spec->memory_bytes, "vcpus", spec->vcpus, "start",
		spec->start, "pin", spec->pin, "nic", spec->nics[0].model, "kernel_args",
		spec->kernel_args, "qemu", spec->qemu_args ? spec->qemu_args[1] : NULL, "plugs",
		plugs);
}

/* What both guests were told, without what depends on the clock. */
static json_t *describe_words(const struct fake_guests *all)
{
	json_t *told = json_array();

	for (int guest = 0; guest < FAKE_GUESTS; guest++) {
		json_t *program, *word;
		size_t i, j;

		json_array_foreach (all->fakes[guest].asked, i, program) {
			json_array_foreach (program, j, word) {
				if (strncmp(json_string_value(word), "--deadline-ms=", 14) != 0)
					json_array_append(told, word);
			}
		}
	}
	return told;
}

/* The fleet and the first programs of a trial with these parameters. */
static json_t *fingerprint(json_t *parameters)
{
	const struct mechanism *shmipc = mechanism_find("shmipc");
	_cleanup_(fake_guests_deinit) struct fake_guests all = {0};
	_cleanup_json_ json_t *planned = json_pack("{s:s, s:s, s:s, s:O}", "mechanism", "shmipc",
		"experiment", "roundtrip", "variant", "shm-polling", "parameters", parameters);
	_cleanup_(cleanup_trial) struct trial *trial = NULL;
	struct fleet_spec spec;
	json_t *fleet;

	assert_ok(trial_fleet_spec(planned, &trial, &spec));
	fleet = describe_fleet(&spec);
	fake_guests_start(&all, 0); /* the asker refuses: nothing is measured */
	trial->fleet = &all.fleet;
	trial->deadline = deadline_after_ms(TEST_TIMEOUT_MS);
	assert_fails(shmipc->measure(trial), ERROR_GUEST, "runs nothing");
	trial->fleet = NULL;
	fake_guests_stop(&all);
	return json_pack("[o, o]", fleet, describe_words(&all));
}

static json_t *parameters_in(const struct mechanism *mechanism, size_t context)
{
	json_t *parameters = json_object();

	for (const struct param *param = mechanism->params; param->name; param++)
		json_object_set_new(parameters, param->name, json_string(param->initial));
	for (size_t i = 0; i < 4 && contexts[context][i]; i += 2)
		json_object_set_new(
			parameters, contexts[context][i], json_string(contexts[context][i + 1]));
	return parameters;
}

/* Sets the parameter to the value in every context; does that show in one of them? */
static bool shows(const struct mechanism *mechanism, const struct param *param, const char *value,
	json_t *const plain[])
{
	for (size_t i = 0; i < ARRAY_SIZE(contexts); i++) {
		_cleanup_json_ json_t *parameters = parameters_in(mechanism, i);
		_cleanup_json_ json_t *flipped = NULL;

		if (strcmp(json_string_value(json_object_get(parameters, param->name)), value) == 0)
			continue;
		json_object_set_new(parameters, param->name, json_string(value));
		flipped = fingerprint(parameters);
		if (!json_equal(flipped, plain[i]))
			return true;
	}
	return false;
}

static void check_choices(
	const struct mechanism *mechanism, const struct param *param, json_t *const plain[])
{
	_cleanup_free_ char *choices = format_string("%s", param->choices);
	char *save = NULL;

	for (char *value = strtok_r(choices, " ", &save); value;
		value = strtok_r(NULL, " ", &save)) {
		/* The way back from another choice is the same as the way there. */
		if (strcmp(value, param->initial) != 0 && !shows(mechanism, param, value, plain))
			fail_msg("%s=%s changes nothing", param->name, value);
	}
}

static void every_parameter_shows(void **state)
{
	(void)state;
	const struct mechanism *shmipc = mechanism_find("shmipc");
	json_t *plain[ARRAY_SIZE(contexts)];
	char number[40];

	for (size_t i = 0; i < ARRAY_SIZE(contexts); i++) {
		_cleanup_json_ json_t *parameters = parameters_in(shmipc, i);
		_cleanup_json_ json_t *again = fingerprint(parameters);

		plain[i] = fingerprint(parameters);
		assert_true(json_equal(plain[i], again)); /* or every flip would "show" */
	}
	for (const struct param *param = shmipc->params; param->name; param++) {
		if (param->type == PARAM_CHOICE) {
			check_choices(shmipc, param, plain);
			continue;
		}
		snprintf(number, sizeof(number), "%.0f", strtod(param->initial, NULL) + 1);
		if (!shows(shmipc, param,
			    param->type != PARAM_BOOLEAN	  ? number
			    : strcmp(param->initial, "true") == 0 ? "false"
								  : "true",
			    plain))
			fail_msg("parameter %s changes nothing", param->name);
	}
	for (size_t i = 0; i < ARRAY_SIZE(contexts); i++)
		json_decref(plain[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(every_parameter_shows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
