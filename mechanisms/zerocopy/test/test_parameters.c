/* Each parameter of zerocopy reaches something outside the mechanism: the fleet that is asked for,
 * the way of moving, or the words that a guest is told. */
#include "harness/base/test/support.h"
#include "harness/engine/trial_internal.h"
#include "mechanisms/zerocopy/zerocopy.h"

/* A parameter may matter only here. */
static const char *const contexts[][4] = {
	{"workload", "idle"},
	{"workload", "dirty"},
	{"workload", "stack"},
	{"workload", "throughput"},
	{"topology", "machines"},
	{"topology", "nested"},
};

static json_t *describe_fleet(const struct fleet_spec *spec)
{
	json_t *sizes = json_array();

	for (unsigned int i = 0; i < spec->count; i++)
		json_array_append_new(sizes,
			json_integer(
				(json_int_t)(spec->memory_bytes_each ? spec->memory_bytes_each[i]
								     : spec->memory_bytes)));
	/* of nested systems: their NVDIMMs */
	for (size_t i = 0; spec->qemu_args && spec->qemu_args[i]; i++)
		json_array_append_new(sizes, json_string(spec->qemu_args[i]));
	return json_pack("{s:o, s:s, s:i, s:i, s:i, s:i, s:I, s:I}", "sizes", sizes, "nic",
		spec->nics[0].model, "start", spec->start, "ram", spec->ram, "backing",
		spec->ram_backing, "stacks", spec->stack_count, "disk",
		(json_int_t)spec->disk_bytes, "cable",
		(json_int_t)(spec->machine ? spec->machine->rate_kbit_s : 0));
}

static json_t *describe_words(const struct trial *trial)
{
	_cleanup_(words_deinit) struct words words = {0};
	json_t *told = json_array();

	echo_words(trial, &words);
	fill_words(trial, 0, (uint64_t)1 << 30, &words);
	for (int64_t i = 0; i < trial_integer(trial, "dirty_steps"); i++)
		dirty_words(trial, zerocopy_dirty_rate(trial, i), (uint64_t)1 << 30, &words);
	for (size_t i = 0; i < words.count; i++)
		json_array_append_new(told, json_string(words.words[i]));
	return told;
}

static json_t *fingerprint(json_t *parameters)
{
	_cleanup_json_ json_t *planned = json_pack("{s:s, s:s, s:s, s:O}", "mechanism", "zerocopy",
		"experiment", "flat", "variant", "flat-zerocopy", "parameters", parameters);
	_cleanup_(cleanup_trial) struct trial *trial = NULL;
	struct move_options options;
	struct fleet_spec spec;

	assert_ok(trial_fleet_spec(planned, &trial, &spec));
	options = zerocopy_move_options(trial);
	return json_pack("{s:o, s:o, s:i, s:b, s:b, s:s, s:f}", "fleet", describe_fleet(&spec),
		"words", describe_words(trial), "method", options.method, "digest_all",
		(int)options.digest_all, "populate", (int)options.populate, "topology",
		zerocopy_topology(trial)->name, "transfer", throughput_seconds(trial));
}

static json_t *parameters_in(size_t context)
{
	const struct mechanism *mechanism = mechanism_find("zerocopy");
	json_t *parameters = json_object();

	for (const struct param *param = mechanism->params; param->name; param++)
		json_object_set_new(parameters, param->name, json_string(param->initial));
	for (size_t i = 0; i < 4 && contexts[context][i]; i += 2)
		json_object_set_new(
			parameters, contexts[context][i], json_string(contexts[context][i + 1]));
	return parameters;
}

/* Sets the parameter to the value in every context; does that show in one of them? */
static bool shows(const char *param, const char *value)
{
	for (size_t i = 0; i < ARRAY_SIZE(contexts); i++) {
		_cleanup_json_ json_t *parameters = parameters_in(i);
		_cleanup_json_ json_t *plain = fingerprint(parameters);
		_cleanup_json_ json_t *again = fingerprint(parameters);
		_cleanup_json_ json_t *flipped = NULL;

		assert_true(json_equal(plain, again)); /* or every flip would "show" */
		json_object_set_new(parameters, param, json_string(value));
		flipped = fingerprint(parameters);
		if (!json_equal(flipped, plain))
			return true;
	}
	return false;
}

/* The workload is what runs: scenario_zerocopy.sh sees each of them do so. */
static bool is_elsewhere(const struct param *param)
{
	return strcmp(param->name, "workload") == 0;
}

static void every_parameter_shows(void **state)
{
	(void)state;
	const struct mechanism *mechanism = mechanism_find("zerocopy");

	for (const struct param *param = mechanism->params; param->name; param++) {
		_cleanup_free_ char *choices =
			format_string("%s", param->choices ? param->choices : "");
		char *save = NULL, number[40];

		if (is_elsewhere(param))
			continue;
		for (char *value = strtok_r(choices, " ", &save); value;
			value = strtok_r(NULL, " ", &save)) {
			if (strcmp(value, param->initial) != 0 && !shows(param->name, value))
				fail_msg("%s=%s changes nothing", param->name, value);
		}
		/* Twice as much: the next size of a sweep that goes by doubling. Of nothing, the
		 * half of what is most. */
		snprintf(number, sizeof(number), "%.0f",
			strtod(param->initial, NULL) > 0 ? 2 * strtod(param->initial, NULL)
							 : param->max / 2);
		if (param->type == PARAM_BOOLEAN)
			snprintf(number, sizeof(number), "%s",
				strcmp(param->initial, "true") == 0 ? "false" : "true");
		if (param->type != PARAM_CHOICE && !shows(param->name, number))
			fail_msg("parameter %s changes nothing", param->name);
	}
}

/* The sweep is by doubling, from the smallest, and never beyond the largest. */
static void sizes_double_up_to_the_largest(void **state)
{
	(void)state;
	_cleanup_json_ json_t *parameters = parameters_in(0);
	_cleanup_json_ json_t *planned = json_pack("{s:s, s:s, s:s, s:O}", "mechanism", "zerocopy",
		"experiment", "flat", "variant", "flat-zerocopy", "parameters", parameters);
	_cleanup_(cleanup_trial) struct trial *trial = NULL;
	struct fleet_spec spec;

	json_object_set_new(parameters, "memory_least_mib", json_string("128"));
	json_object_set_new(parameters, "memory_most_mib", json_string("1000"));
	assert_ok(trial_fleet_spec(planned, &trial, &spec));
	assert_int_equal(spec.count, 3);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(spec.memory_bytes_each[i], (uint64_t)128 << (20 + i));
}

/* What warms up with time must not look like what comes with size. */
static void the_second_half_walks_a_sweep_from_its_other_end(void **state)
{
	(void)state;
	for (int64_t half = 0; half < 2; half++) {
		_cleanup_json_ json_t *parameters = parameters_in(0);
		_cleanup_json_ json_t *planned = json_pack("{s:s, s:s, s:s, s:I, s:O}", "mechanism",
			"zerocopy", "experiment", "flat", "variant", "flat-zerocopy", "half",
			(json_int_t)half, "parameters", parameters);
		_cleanup_(cleanup_trial) struct trial *trial = NULL;
		struct fleet_spec spec;

		assert_ok(trial_fleet_spec(planned, &trial, &spec));
		for (int64_t i = 0; i < 3; i++)
			assert_int_equal(zerocopy_sweep_step(trial, i, 3), half == 0 ? i : 2 - i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_second_half_walks_a_sweep_from_its_other_end),
		cmocka_unit_test(every_parameter_shows),
		cmocka_unit_test(sizes_double_up_to_the_largest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
