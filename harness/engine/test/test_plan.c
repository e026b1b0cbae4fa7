/* Plans: balanced order from a seed, overrides that reach their parameters, names that are checked.
 */
#include "harness/base/test/support.h"
#include "harness/engine/plan.h"
#include "harness/record/paper.h"

static const struct mechanism *both[2];

static int find_mechanisms(void **state)
{
	(void)state;
	both[0] = mechanism_find("null");
	both[1] = mechanism_find("shmipc");
	return both[0] && both[1] ? 0 : -1;
}

static struct plan_options options_for(size_t count, enum profile profile)
{
	return (struct plan_options){
		.mechanisms = both, .mechanism_count = count, .profile = profile, .seed = 42};
}

static json_t *make_plan(struct plan_options options)
{
	json_t *plan = NULL;

	assert_ok(plan_create(&options, &plan));
	return plan;
}

static const char *text(const json_t *trial, const char *name)
{
	const char *value = json_string_value(json_object_get(trial, name));

	assert_non_null(value);
	return value;
}

static json_int_t number(const json_t *trial, const char *name)
{
	assert_true(json_is_integer(json_object_get(trial, name)));
	return json_integer_value(json_object_get(trial, name));
}

static const char *parameter(const json_t *trial, const char *name)
{
	return text(json_object_get(trial, "parameters"), name);
}

static bool same_block(const json_t *a, const json_t *b)
{
	return json_equal(json_object_get(a, "mechanism"), json_object_get(b, "mechanism")) &&
	       json_equal(json_object_get(a, "experiment"), json_object_get(b, "experiment")) &&
	       json_equal(json_object_get(a, "block"), json_object_get(b, "block"));
}

/* Trials of the block that begins at `first`. */
static size_t block_size(const json_t *trials, size_t first)
{
	size_t size = 1;

	while (first + size < json_array_size(trials) &&
		same_block(json_array_get(trials, first), json_array_get(trials, first + size)))
		size++;
	return size;
}

static void half_1_is_the_reverse_of_half_0(void **state)
{
	(void)state;
	_cleanup_json_ json_t *plan = make_plan(options_for(2, PROFILE_QUICK));
	const json_t *trials = json_object_get(plan, "trials");
	size_t size;

	assert_true(json_array_size(trials) > 0);
	for (size_t first = 0; first < json_array_size(trials); first += size) {
		size = block_size(trials, first);
		assert_int_equal(size % 2, 0);
		for (size_t i = 0; i < size; i++) {
			const json_t *trial = json_array_get(trials, first + i);
			const json_t *mirror = json_array_get(trials, first + size - 1 - i);

			assert_int_equal(number(trial, "index"), first + i);
			assert_int_equal(number(trial, "order"), i);
			assert_int_equal(number(trial, "half"), i >= size / 2);
			assert_string_equal(text(trial, "variant"), text(mirror, "variant"));
		}
	}
}

static void every_variant_runs_twice_a_block(void **state)
{
	(void)state;
	_cleanup_json_ json_t *plan = make_plan(options_for(2, PROFILE_PAPER));
	const json_t *trials = json_object_get(plan, "trials");
	size_t size;

	for (size_t first = 0; first < json_array_size(trials); first += size) {
		const json_t *trial = json_array_get(trials, first);
		const struct mechanism *mechanism = mechanism_find(text(trial, "mechanism"));
		const struct experiment *experiment =
			mechanism_experiment(mechanism, text(trial, "experiment"));
		size_t variants = 0;

		size = block_size(trials, first);
		for (; experiment->variants[variants]; variants++) {
			size_t times = 0;

			for (size_t i = 0; i < size / 2; i++)
				times += strcmp(text(json_array_get(trials, first + i), "variant"),
						 experiment->variants[variants]) == 0;
			assert_int_equal(times, 1);
		}
		assert_int_equal(size, 2 * variants);
	}
}

static void blocks_of_experiments_take_turns(void **state)
{
	(void)state;
	_cleanup_json_ json_t *plan = make_plan(options_for(2, PROFILE_QUICK));
	const json_t *trials = json_object_get(plan, "trials");
	json_int_t last = 0;
	size_t size, i;
	json_t *trial;

	/* All first blocks come before any second one, and so on. */
	json_array_foreach (trials, i, trial) {
		assert_true(number(trial, "block") >= last);
		last = number(trial, "block");
	}
	assert_true(last > 0);
	/* And no two blocks of one experiment stand beside each other while others are left. */
	for (size_t first = 0; first < json_array_size(trials); first += size) {
		size = block_size(trials, first);
		if (number(json_array_get(trials, first), "block") > 0 || first + size >= i)
			continue;
		assert_false(
			strcmp(text(json_array_get(trials, first), "experiment"),
				text(json_array_get(trials, first + size), "experiment")) == 0);
	}
}

static void a_plan_follows_from_its_seed(void **state)
{
	(void)state;
	struct plan_options options = options_for(2, PROFILE_QUICK);
	_cleanup_json_ json_t *plan = make_plan(options);
	_cleanup_json_ json_t *same = make_plan(options);

	options.seed = 43;
	_cleanup_json_ json_t *other = make_plan(options);

	assert_true(json_equal(plan, same));
	assert_false(json_equal(json_object_get(plan, "trials"), json_object_get(other, "trials")));
	assert_int_equal(number(plan, "seed"), 42);
	assert_string_equal(text(plan, "profile"), "quick");
}

static void presets_go_from_experiment_to_profile_to_variant(void **state)
{
	(void)state;
	_cleanup_json_ json_t *plan = make_plan(options_for(2, PROFILE_PAPER));
	json_t *trial;
	size_t i, seen = 0;

	json_array_foreach (json_object_get(plan, "trials"), i, trial) {
		if (strcmp(text(trial, "mechanism"), "shmipc") != 0)
			continue;
		if (strcmp(text(trial, "experiment"), "sweep") == 0) {
			assert_string_equal(parameter(trial, "workload"), "sweep");
			assert_string_equal(parameter(trial, "warmup"), "1");
			assert_string_equal(parameter(trial, "runs"), "100"); /* the profile's */
			seen |= 1;
		}
		if (strcmp(text(trial, "variant"), "tcp-e1000") == 0) {
			assert_string_equal(parameter(trial, "nic"), "e1000");
			assert_string_equal(parameter(trial, "transport"), "tcp");
			seen |= 2;
		}
		if (strcmp(text(trial, "variant"), "shm-polling") == 0)
			assert_string_equal(parameter(trial, "nic"), "virtio-net-pci");
	}
	assert_int_equal(seen, 3);
}

static void an_override_beats_presets_by_either_name(void **state)
{
	(void)state;
	struct plan_options options = options_for(2, PROFILE_QUICK);
	_cleanup_json_ json_t *overrides = json_pack("{s:s, s:s, s:s}", "memory_mib", "256",
		"null.memory_mib", "512", "null.guests", "3");
	json_t *trial;
	size_t i;

	options.overrides = overrides;
	_cleanup_json_ json_t *plan = make_plan(options);

	json_array_foreach (json_object_get(plan, "trials"), i, trial) {
		bool null = strcmp(text(trial, "mechanism"), "null") == 0;

		assert_string_equal(parameter(trial, "memory_mib"), null ? "512" : "256");
		if (null) /* also where the experiment has a preset for it */
			assert_string_equal(parameter(trial, "guests"), "3");
	}
}

static void unknown_names_are_refused_with_the_nearest(void **state)
{
	(void)state;
	static const struct {
		const char *name, *value, *says;
	} rows[] = {
		{"memory_mb", "256", "-p memory_mib=256"},
		{"shmipc.base_us", "5000", "no parameter 'shmipc.base_us'"}, /* it is null's */
		{"elephant_in_the_room", "1", "lists its parameters"},
		{"readings", "0", "a whole number from 1 to 1000"},
		{"readings", "1001", "'1001' is not"},
		{"readings", "2.5", "whole number"},
		{"readings", "5x", "whole number"},
		{"readings", "", "whole number"},
		{"readings", "nan", "whole number"},
		{"effect", "0.01", "a number from 0.1 to 100 x"},
		{"effect", "inf", "a number"},
		{"pin", "yes", "true or false"},
		/* what makes a variant what it is */
		{"transport", "tcp", "--variant tcp-nodelay"},
		{"shmipc.transport", "shm", "tells the variants of shmipc apart"},
		{"effect", "1.4", "tells the variants of null apart"},
		{"behaviour", "explode", "one of: plain crash"},
		{"behaviour", "plain crash", "one of"},
		{"behaviour", "", "one of"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct plan_options options = options_for(2, PROFILE_QUICK);
		_cleanup_json_ json_t *overrides = json_pack("{s:s}", rows[i].name, rows[i].value);
		json_t *plan = NULL;

		options.overrides = overrides;
		assert_fails(plan_create(&options, &plan), ERROR_USAGE, rows[i].says);
		assert_null(plan);
	}
}

static void the_ends_of_a_range_are_in_it(void **state)
{
	(void)state;
	for (size_t m = 0; m < 2; m++) {
		for (const struct param *param = both[m]->params; param->name; param++) {
			char value[40];

			assert_ok(param_check(both[m], param, param->initial));
			if (param->type != PARAM_INTEGER && param->type != PARAM_REAL)
				continue;
			snprintf(value, sizeof(value), "%.17g", param->min);
			assert_ok(param_check(both[m], param, value));
			snprintf(value, sizeof(value), "%.17g", param->max);
			assert_ok(param_check(both[m], param, value));
			snprintf(value, sizeof(value), "%.17g", param->max * 2 + 1);
			assert_fails(param_check(both[m], param, value), ERROR_USAGE, param->name);
			snprintf(value, sizeof(value), "%.17g", param->min - 1);
			assert_fails(param_check(both[m], param, value), ERROR_USAGE, param->name);
		}
	}
}

/* The names of the variants that a plan for this claim has, as a set: {"experiment/variant":true}.
 */
static char *variants_for(struct plan_options options, const char *claim)
{
	options.only_claim = claim;
	_cleanup_json_ json_t *plan = make_plan(options);
	_cleanup_json_ json_t *names = json_object();
	json_t *trial;
	size_t i;

	json_array_foreach (json_object_get(plan, "trials"), i, trial) {
		_cleanup_free_ char *key =
			format_string("%s/%s", text(trial, "experiment"), text(trial, "variant"));

		json_object_set_new(names, key, json_true());
	}
	return json_dumps(names, JSON_SORT_KEYS | JSON_COMPACT);
}

static void a_claim_narrows_the_plan_to_what_it_needs(void **state)
{
	(void)state;
	_cleanup_free_ char *n1 = variants_for(options_for(2, PROFILE_QUICK), "N1");
	_cleanup_free_ char *lower = variants_for(options_for(2, PROFILE_QUICK), "n1");
	_cleanup_free_ char *n3 = variants_for(options_for(2, PROFILE_QUICK), "N3");

	assert_string_equal(n1, "{\"effect/delay\":true,\"effect/none\":true}");
	assert_string_equal(lower, n1);
	assert_string_equal(n3, "{\"evidence/no-evidence\":true}");
}

static void options_that_leave_nothing_are_refused(void **state)
{
	(void)state;
	struct plan_options wrong_mechanism = options_for(1, PROFILE_QUICK);
	struct plan_options unknown = options_for(2, PROFILE_QUICK);
	struct plan_options variant = options_for(2, PROFILE_QUICK);
	struct plan_options profile = options_for(1, PROFILE_QUICK);
	json_t *plan = NULL;

	wrong_mechanism.only_claim = "C1";
	assert_fails(plan_create(&wrong_mechanism, &plan), ERROR_USAGE, "nothing to run");
	unknown.only_claim = "N9";
	assert_fails(plan_create(&unknown, &plan), ERROR_USAGE, "N");
	variant.only_variant = "no-such-variant";
	assert_fails(plan_create(&variant, &plan), ERROR_USAGE, "nothing to run");
	profile.only_experiment = "failure"; /* is in the smoke profile only */
	assert_fails(plan_create(&profile, &plan), ERROR_USAGE, "nothing to run");
	assert_null(plan);
}

/* What would have something, or why nothing has. */
static void a_refusal_tells_the_way(void **state)
{
	const struct mechanism *zerocopy = mechanism_find("zerocopy");
	struct plan_options web = options_for(1, PROFILE_QUICK);
	struct plan_options failure = options_for(1, PROFILE_QUICK);
	struct plan_options absent = options_for(2, PROFILE_QUICK);
	struct plan_options no_result = options_for(2, PROFILE_QUICK);
	struct plan_options wrong_mechanism = options_for(1, PROFILE_QUICK);
	json_t *plan = NULL;

	(void)state;
	web.mechanisms = &zerocopy;
	web.only_claim = "D8";
	assert_fails(plan_create(&web, &plan), ERROR_USAGE, "--profile paper has it");
	failure.only_experiment = "failure";
	assert_fails(plan_create(&failure, &plan), ERROR_USAGE, "--profile smoke has it");
	absent.only_claim = "A1";
	assert_fails(plan_create(&absent, &plan), ERROR_USAGE, "libdedup");
	no_result.only_claim = "C4";
	assert_fails(plan_create(&no_result, &plan), ERROR_USAGE, "states no result");
	wrong_mechanism.only_claim = "C1";
	assert_fails(
		plan_create(&wrong_mechanism, &plan), ERROR_USAGE, "fleetlab run shmipc --only C1");
	assert_null(plan);
}

/* Every claim that show says a command for is run by that command. */
static void every_claim_has_the_profile_that_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; mechanism_at(i); i++) {
		const struct mechanism *mechanism = mechanism_at(i);
		const json_t *paper = NULL, *claim;
		size_t c;

		assert_ok(paper_load(mechanism->paper, &paper));
		json_array_foreach (json_object_get(paper, "claims"), c, claim) {
			struct plan_options options = {
				.mechanisms = &mechanism, .mechanism_count = 1, .seed = 1};
			bool open = !plan_claim_without_result(claim);

			options.only_claim = text(claim, "id");
			assert_int_equal(
				open, plan_profile_of_claim(mechanism, claim, &options.profile));
			if (open)
				json_decref(make_plan(options));
		}
	}
}

static void one_variant_or_experiment_can_be_chosen(void **state)
{
	(void)state;
	struct plan_options options = options_for(2, PROFILE_QUICK);
	json_t *trial;
	size_t i;

	options.only_variant = "shm-polling";
	options.only_experiment = "roundtrip";
	_cleanup_json_ json_t *plan = make_plan(options);

	assert_int_equal(json_array_size(json_object_get(plan, "trials")), 8); /* 4 blocks */
	json_array_foreach (json_object_get(plan, "trials"), i, trial) {
		assert_string_equal(text(trial, "variant"), "shm-polling");
		assert_string_equal(text(trial, "experiment"), "roundtrip");
	}
}

/* What is expected of the whole is what is expected of its trials. */
static void assert_expects_its_trials(const json_t *plan)
{
	double seconds = 0;
	json_t *trial;
	size_t i;

	json_array_foreach (json_object_get(plan, "trials"), i, trial)
		seconds += plan_trial_seconds(trial);
	assert_true(seconds > 0);
	assert_true(json_real_value(json_object_get(plan, "expected_s")) == seconds);
}

static void a_plan_tells_time_and_disk(void **state)
{
	(void)state;
	_cleanup_json_ json_t *plan = make_plan(options_for(2, PROFILE_QUICK));

	assert_expects_its_trials(plan);
	assert_true(number(plan, "expected_disk_bytes") > 0);
	assert_null(json_object_get(plan, "budget_s")); /* none was given */
}

/* Appends one more block; returns how many trials that are. */
static size_t extend(json_t *plan, const char *mechanism, const char *experiment)
{
	_cleanup_json_ json_t *block = plan_another_block(plan, mechanism, experiment);

	plan_append(plan, block);
	return json_array_size(block);
}

static void an_extension_is_a_block_as_the_others(void **state)
{
	(void)state;
	_cleanup_json_ json_t *plan = make_plan(options_for(2, PROFILE_SMOKE));
	json_t *trials = json_object_get(plan, "trials");
	size_t before = json_array_size(trials), i;
	double expected = json_real_value(json_object_get(plan, "expected_s"));
	json_t *trial;

	assert_int_equal(extend(plan, "null", "no-such-experiment"), 0);
	assert_int_equal(extend(plan, "no-such-mechanism", "effect"), 0);
	assert_int_equal(json_array_size(trials), before);
	assert_int_equal(extend(plan, "null", "effect"), 8);
	assert_int_equal(json_array_size(trials), before + 8);
	json_array_foreach (trials, i, trial)
		assert_int_equal(number(trial, "index"), i);
	assert_int_equal(block_size(trials, before), 8);
	for (i = 0; i < 8; i++) {
		const json_t *added = json_array_get(trials, before + i);
		const json_t *mirror = json_array_get(trials, before + 7 - i);

		assert_string_equal(text(added, "experiment"), "effect");
		assert_int_equal(number(added, "block"), 3); /* smoke has 0, 1 and 2 */
		assert_int_equal(number(added, "half"), i >= 4);
		assert_int_equal(number(added, "order"), i);
		assert_string_equal(text(added, "variant"), text(mirror, "variant"));
		for (size_t k = 0; k < i && i < 4; k++)
			assert_string_not_equal(text(added, "variant"),
				text(json_array_get(trials, before + k), "variant"));
	}
	assert_true(json_real_value(json_object_get(plan, "expected_s")) > expected);
}

/* As a plan of one whole: what it is expected to take is not lost by pieces. */
static void an_extension_is_expected_to_take_its_time(void **state)
{
	(void)state;
	_cleanup_json_ json_t *plan = make_plan(options_for(2, PROFILE_SMOKE));

	extend(plan, "null", "effect");
	extend(plan, "shmipc", "roundtrip");
	assert_expects_its_trials(plan);
	assert_int_equal(number(plan, "expected_disk_bytes") %
				 (json_int_t)json_array_size(json_object_get(plan, "trials")),
		0);
}

enum { ADDED_BLOCKS = 12 };

/* The variants of twelve added blocks' first halves, in their order; the blocks before them are the
 * same for all seeds. `between` is added before the last one. */
static json_t *added_orders(uint64_t seed, const char *between)
{
	_cleanup_json_ json_t *plan = make_plan(options_for(2, PROFILE_SMOKE));
	json_t *orders = json_array();

	json_object_set_new(plan, "seed", json_integer((json_int_t)seed));
	for (int block = 0; block < ADDED_BLOCKS; block++) {
		if (between && block == ADDED_BLOCKS - 1)
			assert_true(extend(plan, "null", between) > 0);
		_cleanup_json_ json_t *added = plan_another_block(plan, "null", "effect");
		json_t *order = json_array();

		for (size_t i = 0; i < json_array_size(added) / 2; i++)
			json_array_append(
				order, json_object_get(json_array_get(added, i), "variant"));
		json_array_append_new(orders, order);
		plan_append(plan, added);
	}
	return orders;
}

/* What comes first in every block would meet a host that what comes last does not. */
static void added_blocks_have_orders_of_their_own(void **state)
{
	(void)state;
	_cleanup_json_ json_t *orders = added_orders(42, NULL);
	_cleanup_json_ json_t *again = added_orders(42, "evidence");
	_cleanup_json_ json_t *other = added_orders(43, NULL);
	size_t different = 0;

	for (size_t i = 0; i < ADDED_BLOCKS; i++) {
		size_t k = 0;

		while (!json_equal(json_array_get(orders, i), json_array_get(orders, k)))
			k++;
		different += k == i;
	}
	assert_true(different >= ADDED_BLOCKS / 2); /* of 24 that there are */
	assert_true(json_equal(orders, again));
	assert_false(json_equal(orders, other));
}

/* A budget of half a day is enough for more, and all of it would be lost. */
static void a_plan_gets_no_more_than_a_record_can_hold(void **state)
{
	(void)state;
	_cleanup_json_ json_t *plan = make_plan(options_for(1, PROFILE_SMOKE));
	_cleanup_json_ json_t *other = json_object();
	json_t *trials = json_object_get(plan, "trials");

	while (json_array_size(trials) < 100000 - 8)
		json_array_append(trials, other);
	assert_int_equal(extend(plan, "null", "effect"), 8);
	assert_int_equal(extend(plan, "null", "effect"), 0);
	assert_int_equal(extend(plan, "null", "evidence"), 0);
}

static void what_no_plan_is_is_not_appended(void **state)
{
	(void)state;
	_cleanup_json_ json_t *plan = make_plan(options_for(1, PROFILE_SMOKE));
	_cleanup_json_ json_t *same = json_deep_copy(plan);
	_cleanup_json_ json_t *no_list = json_object();
	_cleanup_json_ json_t *no_trials = json_pack("{s:i}", "trials", 5);
	_cleanup_json_ json_t *no_trial = json_pack("[i, {s:i}]", 5, "mechanism", 5);
	size_t before = json_array_size(json_object_get(plan, "trials"));

	plan_append(plan, no_list);
	plan_append(plan, NULL);
	assert_true(json_equal(plan, same));
	plan_append(no_trials, json_object_get(plan, "trials"));
	assert_int_equal(json_object_size(no_trials), 1);
	plan_append(NULL, json_object_get(plan, "trials"));
	plan_append(plan, no_trial);
	assert_int_equal(json_array_size(json_object_get(plan, "trials")), before + 2);
	assert_int_equal(extend(plan, "null", "effect"), 8);
}

/* One variant an experiment, as two arms that are balanced over halves and change places. */
static void an_aa_plan_is_one_variant_in_two_arms(void **state)
{
	struct plan_options options = options_for(2, PROFILE_QUICK);
	size_t first_a = 0, blocks = 0, i;
	const json_t *trial;

	(void)state;
	options.aa = true;
	_cleanup_json_ json_t *plan = make_plan(options);
	const json_t *trials = json_object_get(plan, "trials");

	assert_true(json_is_true(json_object_get(plan, "aa")));
	assert_int_equal(json_array_size(trials) % 4, 0);
	for (i = 0; i < json_array_size(trials); i += 4) {
		const json_t *row[4];

		for (size_t k = 0; k < 4; k++) {
			row[k] = json_array_get(trials, i + k);
			assert_true(same_block(row[0], row[k]));
			assert_string_equal(text(row[0], "variant"), text(row[k], "variant"));
			assert_true(json_equal(json_object_get(row[0], "parameters"),
				json_object_get(row[k], "parameters")));
			assert_int_equal(number(row[k], "half"), k / 2);
		}
		assert_string_not_equal(text(row[0], "arm"), text(row[1], "arm"));
		assert_string_equal(text(row[0], "arm"), text(row[3], "arm"));
		assert_string_equal(text(row[1], "arm"), text(row[2], "arm"));
		first_a += text(row[0], "arm")[0] == 'A';
		blocks++;
	}
	assert_true(first_a > 0 && first_a < blocks);
	json_array_foreach (trials, i, trial) {
		const struct mechanism *mechanism = mechanism_find(text(trial, "mechanism"));

		if (strcmp(text(trial, "experiment"), "effect") == 0)
			assert_string_equal(text(trial, "variant"), "none");
		if (strcmp(text(trial, "experiment"), "roundtrip") == 0)
			assert_int_equal(mechanism_variant(mechanism, text(trial, "variant"))->role,
				ROLE_BASELINE);
	}
}

/* What fresh trials of a suspect are: some variants, with enough blocks to decide. */
static void variants_and_blocks_can_be_chosen(void **state)
{
	static const char *const names[] = {"none", "delay", NULL};
	struct plan_options options = options_for(1, PROFILE_NIGHTLY);
	const json_t *trial;
	size_t i;

	(void)state;
	options.only_experiment = "effect";
	options.only_variants = names;
	options.least_blocks = 5;
	_cleanup_json_ json_t *plan = make_plan(options);

	assert_int_equal(json_array_size(json_object_get(plan, "trials")), 5 * 2 * 2);
	json_array_foreach (json_object_get(plan, "trials"), i, trial)
		assert_true(strcmp(text(trial, "variant"), "none") == 0 ||
			    strcmp(text(trial, "variant"), "delay") == 0);
	options.least_blocks = 1; /* fewer than the profile has */
	_cleanup_json_ json_t *as_profile = make_plan(options);

	assert_int_equal(json_array_size(json_object_get(as_profile, "trials")), 3 * 2 * 2);
}

/* A drill slows one variant down, by a parameter or by the engine, and says so. */
static void a_peer_is_for_those_with_two_machines(void **state)
{
	const struct mechanism *zerocopy = mechanism_find("zerocopy");
	struct plan_options options = {.mechanisms = &zerocopy,
		.mechanism_count = 1,
		.profile = PROFILE_QUICK,
		.peer = "qemu+ssh://other/system"};
	size_t with_peer = 0, i;
	const json_t *trial;

	(void)state;
	_cleanup_json_ json_t *plan = make_plan(options);

	assert_string_equal(text(plan, "peer"), options.peer);
	json_array_foreach (json_object_get(plan, "trials"), i, trial) {
		bool has_two = strcmp(text(trial, "variant"), "phys") == 0;

		assert_int_equal(json_object_get(trial, "peer") != NULL, has_two);
		with_peer += has_two;
	}
	assert_true(with_peer > 0);
	options.peer = NULL;
	_cleanup_json_ json_t *plain = make_plan(options);

	assert_null(json_object_get(plain, "peer"));
}

static void a_drill_handicaps_one_variant(void **state)
{
	struct plan_options options = options_for(2, PROFILE_SMOKE);
	size_t of_null = 0, of_shmipc = 0, i;
	const json_t *trial;

	(void)state;
	options.handicap = (struct handicap){"delay", 2};
	_cleanup_json_ json_t *plan = make_plan(options);

	assert_true(json_is_true(json_object_get(plan, "drill")));
	json_array_foreach (json_object_get(plan, "trials"), i, trial) {
		bool slow = strcmp(text(trial, "variant"), "delay") == 0;

		assert_int_equal(json_object_get(trial, "handicap") != NULL, slow);
		of_null += slow;
		if (slow)
			assert_string_equal(parameter(trial, "effect"), "3"); /* of 1.5 */
	}
	options.handicap = (struct handicap){"shm-polling", 1.5};
	_cleanup_json_ json_t *braked = make_plan(options);
	options.handicap = (struct handicap){0};
	_cleanup_json_ json_t *plain = make_plan(options);

	/* Nothing but the mark: the engine brakes the guests. */
	assert_null(json_object_get(plain, "drill"));
	json_array_foreach (json_object_get(braked, "trials"), i, trial) {
		const json_t *same = json_array_get(json_object_get(plain, "trials"), i);

		of_shmipc += json_object_get(trial, "handicap") != NULL;
		assert_true(json_equal(
			json_object_get(trial, "parameters"), json_object_get(same, "parameters")));
	}
	assert_true(of_null > 0 && of_shmipc > 0);
}

static void an_aa_plan_of_a_named_variant(void **state)
{
	struct plan_options options = options_for(1, PROFILE_SMOKE);
	const json_t *trial;
	size_t i;

	(void)state;
	options.aa = true;
	options.only_variant = "delay";
	_cleanup_json_ json_t *plan = make_plan(options);
	size_t before = json_array_size(json_object_get(plan, "trials"));

	assert_int_equal(before, 12);
	assert_int_equal(extend(plan, "null", "effect"), 4);
	json_array_foreach (json_object_get(plan, "trials"), i, trial) {
		assert_string_equal(text(trial, "variant"), "delay");
		assert_non_null(strchr("AB", text(trial, "arm")[0]));
	}
}

/* A profile may run a part of an experiment's variants; who names one of the others gets it. */
static void a_profile_can_have_a_part_of_the_variants(void **state)
{
	(void)state;
	const struct mechanism *zerocopy = mechanism_find("zerocopy");
	struct plan_options options = options_for(1, PROFILE_QUICK);
	_cleanup_json_ json_t *some = NULL;
	_cleanup_json_ json_t *named = NULL;
	const json_t *trial;
	size_t i, phys = 0;

	options.mechanisms = &zerocopy;
	options.only_experiment = "migration";
	some = make_plan(options);
	json_array_foreach (json_object_get(some, "trials"), i, trial) {
		assert_string_not_equal(text(trial, "variant"), "nest");
		phys += strcmp(text(trial, "variant"), "phys") == 0;
	}
	assert_true(phys > 0 && phys < i);
	options.only_variant = "nest";
	named = make_plan(options);
	json_array_foreach (json_object_get(named, "trials"), i, trial)
		assert_string_equal(text(trial, "variant"), "nest");
	assert_int_equal(i, phys);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_profile_can_have_a_part_of_the_variants),
		cmocka_unit_test(half_1_is_the_reverse_of_half_0),
		cmocka_unit_test(every_variant_runs_twice_a_block),
		cmocka_unit_test(blocks_of_experiments_take_turns),
		cmocka_unit_test(a_plan_follows_from_its_seed),
		cmocka_unit_test(presets_go_from_experiment_to_profile_to_variant),
		cmocka_unit_test(an_override_beats_presets_by_either_name),
		cmocka_unit_test(unknown_names_are_refused_with_the_nearest),
		cmocka_unit_test(the_ends_of_a_range_are_in_it),
		cmocka_unit_test(a_claim_narrows_the_plan_to_what_it_needs),
		cmocka_unit_test(options_that_leave_nothing_are_refused),
		cmocka_unit_test(a_refusal_tells_the_way),
		cmocka_unit_test(every_claim_has_the_profile_that_is_named),
		cmocka_unit_test(one_variant_or_experiment_can_be_chosen),
		cmocka_unit_test(a_plan_tells_time_and_disk),
		cmocka_unit_test(an_extension_is_a_block_as_the_others),
		cmocka_unit_test(an_extension_is_expected_to_take_its_time),
		cmocka_unit_test(added_blocks_have_orders_of_their_own),
		cmocka_unit_test(a_plan_gets_no_more_than_a_record_can_hold),
		cmocka_unit_test(what_no_plan_is_is_not_appended),
		cmocka_unit_test(an_aa_plan_is_one_variant_in_two_arms),
		cmocka_unit_test(an_aa_plan_of_a_named_variant),
		cmocka_unit_test(variants_and_blocks_can_be_chosen),
		cmocka_unit_test(a_peer_is_for_those_with_two_machines),
		cmocka_unit_test(a_drill_handicaps_one_variant),
	};

	return cmocka_run_group_tests(tests, find_mechanisms, NULL);
}
