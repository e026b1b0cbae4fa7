/* What a run will do: see plan.h. Pure: it must not look at the host. */
#include "harness/engine/plan.h"
#include "harness/base/nearest.h"
#include "harness/base/fs.h"
#include "harness/record/paper.h"

#include <string.h>

/* A lab costs this much besides the experiment's own expected time. */
#define LAB_OVERHEAD_S 0.3
/* Console logs and journal of one trial, as measured over runs of all profiles. */
#define TRIAL_DISK_BYTES (48 << 10)
enum { MAX_VARIANTS = 32, MAX_EXPERIMENTS = 64 };
/* As many as a record can hold (results/schema/run.schema.json). */
#define MAX_TRIALS 100000

/* splitmix64: a few lines, the same on every machine. (Steele, Lea, Flood 2014.) */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* A block's order: which of its `count` variants are the first half; the second is the reverse. */
static void draw_order(size_t order[], size_t count, uint64_t *state)
{
	for (size_t i = 0; i < count; i++)
		order[i] = i;
	for (size_t i = count; i > 1; i--) {
		size_t j = (size_t)(next_random(state) % i);
		size_t swapped = order[i - 1];

		order[i - 1] = order[j];
		order[j] = swapped;
	}
}

/* The variant in this place of the block's 2 * count. */
static size_t at_place(const size_t order[], size_t count, size_t place)
{
	return order[place < count ? place : 2 * count - 1 - place];
}

/* ---- parameters ---- */

static void apply_presets(json_t *parameters, const struct preset *presets)
{
	for (; presets && presets->param; presets++)
		json_object_set_new(parameters, presets->param, json_string(presets->value));
}

/* The user's value for a parameter of this mechanism, by its plain or its qualified name. */
static const char *override_of(
	const json_t *overrides, const struct mechanism *mechanism, const char *param)
{
	_cleanup_free_ char *qualified = format_string("%s.%s", mechanism->name, param);
	const char *value = json_string_value(json_object_get(overrides, qualified));

	return value ? value : json_string_value(json_object_get(overrides, param));
}

static json_t *parameters_of(const struct plan_options *options, const struct mechanism *mechanism,
	const struct experiment *experiment, const struct variant *variant)
{
	json_t *parameters = json_object();

	for (const struct param *param = mechanism->params; param->name; param++)
		json_object_set_new(parameters, param->name, json_string(param->initial));
	apply_presets(parameters, experiment->presets);
	apply_presets(parameters, experiment->sizes[options->profile].presets);
	apply_presets(parameters, variant->presets);
	for (const struct param *param = mechanism->params; param->name; param++) {
		const char *value = override_of(options->overrides, mechanism, param->name);

		if (value)
			json_object_set_new(parameters, param->name, json_string(value));
	}
	return parameters;
}

/* What a variant presets is what it is: with another value, results would stand under its name that
 * are not its own. */
static struct error *check_not_preset(
	const struct mechanism *mechanism, const char *param, const char *value)
{
	const char *having = NULL;
	bool preset = false;

	for (const struct variant *variant = mechanism->variants; variant->name; variant++) {
		for (const struct preset *p = variant->presets; p && p->param; p++) {
			if (strcmp(p->param, param) != 0)
				continue;
			preset = true;
			if (!having && strcmp(p->value, value) == 0)
				having = variant->name;
		}
	}
	if (!preset)
		return NULL;
	struct error *err = error_new(ERROR_USAGE,
		"-p %s=%s: this parameter tells the variants of %s apart and cannot be set", param,
		value, mechanism->name);

	return having ? error_hint(err, "--variant %s", having)
		      : error_hint(err, "fleetlab show %s lists the variants", mechanism->name);
}

static struct error *check_override(
	const struct plan_options *options, const char *name, const char *value)
{
	const char *names[256];
	size_t count = 0;
	bool known = false;

	for (size_t i = 0; i < options->mechanism_count; i++) {
		const struct mechanism *mechanism = options->mechanisms[i];

		for (const struct param *param = mechanism->params; param->name; param++) {
			_cleanup_free_ char *qualified =
				format_string("%s.%s", mechanism->name, param->name);

			if (count < ARRAY_SIZE(names))
				names[count++] = param->name;
			if (strcmp(name, param->name) != 0 && strcmp(name, qualified) != 0)
				continue;
			known = true;
			try_(param_check(mechanism, param, value));
			try_(check_not_preset(mechanism, param->name, value));
		}
	}
	if (known)
		return NULL;
	const char *near = nearest_name(name, names, count);
	struct error *err = error_new(ERROR_USAGE, "there is no parameter '%s'", name);

	return near ? error_hint(err, "-p %s=%s", near, value)
		    : error_hint(err, "fleetlab show MECHANISM lists its parameters");
}

static struct error *check_overrides(const struct plan_options *options)
{
	const char *name;
	json_t *value;

	json_object_foreach ((json_t *)options->overrides, name, value)
		try_(check_override(options, name, json_string_value(value)));
	return NULL;
}

/* ---- which variants ---- */

static bool selector_names(const json_t *selector, const char *variant)
{
	const char *name = json_string_value(json_object_get(selector, "variant"));
	json_t *best = json_object_get(selector, "best_of");
	json_t *row;
	size_t i;

	if (!name && !best)
		return json_is_object(selector); /* any variant of the experiment */
	if (name && strcmp(name, variant) == 0)
		return true;
	json_array_foreach (best, i, row) {
		if (strcmp(json_string_value(row), variant) == 0)
			return true;
	}
	return false;
}

/* Does the claim need this variant of this experiment? */
static bool claim_needs(const json_t *claim, const char *experiment, const char *variant)
{
	json_t *test, *selector;
	size_t i, j;

	json_array_foreach (json_object_get(claim, "tests"), i, test) {
		const char *its = json_string_value(json_object_get(test, "experiment"));

		if (!its || strcmp(its, experiment) != 0)
			continue;
		if (selector_names(json_object_get(test, "of"), variant) ||
			selector_names(json_object_get(test, "to"), variant))
			return true;
		json_array_foreach (json_object_get(test, "ascending"), j, selector) {
			if (selector_names(selector, variant))
				return true;
		}
	}
	return false;
}

static bool is_among(const char *const *names, const char *name)
{
	while (*names && strcmp(*names, name) != 0)
		names++;
	return *names != NULL;
}

static size_t choose_variants(const struct plan_options *options, const json_t *claim,
	const struct experiment *experiment, const char *names[MAX_VARIANTS])
{
	const char *const *part = experiment->sizes[options->profile].variants;
	/* Who asks for a variant or a claim by name gets what that needs, also in a small profile.
	 */
	bool all = !part || options->only_variant || options->only_variants || claim;
	const char *const *variants = all ? experiment->variants : part;
	size_t count = 0;

	if (options->only_experiment && strcmp(options->only_experiment, experiment->name) != 0)
		return 0;
	for (size_t i = 0; variants[i] && count < MAX_VARIANTS; i++) {
		const char *name = variants[i];

		if (options->only_variant && strcmp(options->only_variant, name) != 0)
			continue;
		if (options->only_variants && !is_among(options->only_variants, name))
			continue;
		if (claim && !claim_needs(claim, experiment->name, name))
			continue;
		names[count++] = name;
	}
	return count;
}

/* ---- trials ---- */

struct planned_experiment {
	const struct mechanism *mechanism;
	const struct experiment *experiment;
	const char *variants[MAX_VARIANTS];
	size_t variant_count;
};

/* One variant is left: a baseline, where there is one. */
static void keep_one(struct planned_experiment *planned)
{
	for (size_t i = 0; i < planned->variant_count; i++) {
		const char *name = planned->variants[i];

		if (mechanism_variant(planned->mechanism, name)->role != ROLE_BASELINE)
			continue;
		planned->variants[0] = name;
		break;
	}
	planned->variant_count = 1;
}

/* Where a mechanism has a parameter for it, a drill's slowdown is in that; else the engine brakes
 * the trial's guests (handicap.h). */
static json_t *handicapped(
	const struct plan_options *options, const struct mechanism *mechanism, json_t *parameters)
{
	const char *param = mechanism->handicap;
	const char *value = param ? json_string_value(json_object_get(parameters, param)) : NULL;
	_cleanup_free_ char *slower =
		value ? format_string("%.17g", strtod(value, NULL) * options->handicap.slowdown)
		      : NULL;

	if (slower)
		json_object_set_new(parameters, param, json_string(slower));
	return parameters;
}

static bool is_handicapped(const struct plan_options *options, const char *variant)
{
	return options->handicap.variant && strcmp(options->handicap.variant, variant) == 0;
}

static bool has_two_machines(const struct mechanism *mechanism, const char *variant)
{
	const char *const *name = mechanism->two_machines;

	while (name && *name && strcmp(*name, variant) != 0)
		name++;
	return name && *name;
}

static void add_trial(const struct plan_options *options, json_t *trials,
	const struct planned_experiment *planned, const char *name, const char *arm, int block,
	int half, size_t order)
{
	const struct variant *variant = mechanism_variant(planned->mechanism, name);
	json_t *parameters =
		parameters_of(options, planned->mechanism, planned->experiment, variant);
	bool slow = is_handicapped(options, name);

	if (slow)
		parameters = handicapped(options, planned->mechanism, parameters);
	json_array_append_new(trials,
		json_pack("{s:I, s:s, s:s, s:i, s:i, s:I, s:s, s:s*, s:o*, s:s*, s:o}", "index",
			(json_int_t)json_array_size(trials), "mechanism", planned->mechanism->name,
			"experiment", planned->experiment->name, "block", block, "half", half,
			"order", (json_int_t)order, "variant", name, "arm", arm, "handicap",
			slow ? json_real(options->handicap.slowdown) : NULL, "peer",
			has_two_machines(planned->mechanism, name) ? options->peer : NULL,
			"parameters", parameters));
}

static void add_block(const struct plan_options *options, json_t *trials,
	const struct planned_experiment *planned, int block, uint64_t *random)
{
	const char *names[MAX_VARIANTS] = {"A", "B"}; /* the arms, in an A/A plan */
	size_t count = options->aa ? 2 : planned->variant_count;
	size_t order[MAX_VARIANTS];

	if (!options->aa)
		memcpy(names, planned->variants, sizeof(names));
	draw_order(order, count, random);
	for (size_t i = 0; i < 2 * count; i++) {
		const char *name = names[at_place(order, count, i)];

		add_trial(options, trials, planned, options->aa ? planned->variants[0] : name,
			options->aa ? name : NULL, block, i >= count, i);
	}
}

double plan_trial_seconds(const json_t *planned)
{
	const char *mechanism = json_string_value(json_object_get(planned, "mechanism"));
	const char *experiment = json_string_value(json_object_get(planned, "experiment"));
	const struct mechanism *m = mechanism ? mechanism_find(mechanism) : NULL;
	const struct experiment *e = m && experiment ? mechanism_experiment(m, experiment) : NULL;

	return e ? e->trial_s + LAB_OVERHEAD_S : LAB_OVERHEAD_S;
}

/* Of trials that have been appended to the plan's. */
static void add_expectations(json_t *plan, const json_t *added)
{
	double seconds = json_number_value(json_object_get(plan, "expected_s"));
	size_t count = json_array_size(json_object_get(plan, "trials")), i;
	const json_t *trial;

	json_array_foreach (added, i, trial)
		seconds += plan_trial_seconds(trial);
	json_object_set_new(plan, "expected_s", json_real(seconds));
	json_object_set_new(
		plan, "expected_disk_bytes", json_integer((json_int_t)count * TRIAL_DISK_BYTES));
}

static size_t choose_experiments(const struct plan_options *options, const char *paper_id,
	const json_t *claim, struct planned_experiment chosen[MAX_EXPERIMENTS])
{
	size_t count = 0;

	for (size_t i = 0; i < options->mechanism_count; i++) {
		const struct mechanism *mechanism = options->mechanisms[i];

		for (const struct experiment *e = mechanism->experiments; e->name; e++) {
			struct planned_experiment *row = &chosen[count];

			if (claim && strcmp(mechanism->paper, paper_id) != 0)
				continue;
			if (count == MAX_EXPERIMENTS || e->sizes[options->profile].blocks == 0)
				continue;
			*row = (struct planned_experiment){.mechanism = mechanism, .experiment = e};
			row->variant_count = choose_variants(options, claim, e, row->variants);
			if (options->aa && row->variant_count > 0)
				keep_one(row);
			count += row->variant_count > 0;
		}
	}
	return count;
}

static int blocks_of(const struct plan_options *options, const struct experiment *experiment)
{
	int blocks = experiment->sizes[options->profile].blocks;

	return blocks < options->least_blocks ? options->least_blocks : blocks;
}

static void add_blocks(const struct plan_options *options, json_t *trials,
	const struct planned_experiment *chosen, size_t count)
{
	uint64_t random = options->seed;
	bool more = true;

	for (int block = 0; more; block++) {
		more = false;
		for (size_t i = 0; i < count; i++) {
			if (block >= blocks_of(options, chosen[i].experiment))
				continue;
			add_block(options, trials, &chosen[i], block, &random);
			more = true;
		}
	}
}

/* ---- nothing to run ---- */

/* The profile that has most of what is asked for; a larger one only where it has more, and smoke,
 * which decides nothing, last. */
static bool profile_with_most(const struct plan_options *options, const char *paper_id,
	const json_t *claim, enum profile *profile)
{
	static const enum profile order[] = {
		PROFILE_QUICK, PROFILE_PAPER, PROFILE_NIGHTLY, PROFILE_SMOKE};
	struct planned_experiment chosen[MAX_EXPERIMENTS];
	struct plan_options other = *options;
	size_t most = 0;

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		other.profile = order[i];
		size_t count = choose_experiments(&other, paper_id, claim, chosen);

		if (count <= most)
			continue;
		most = count;
		*profile = order[i];
	}
	return most > 0;
}

bool plan_profile_of_claim(
	const struct mechanism *mechanism, const json_t *claim, enum profile *profile)
{
	const struct plan_options options = {.mechanisms = &mechanism, .mechanism_count = 1};

	return profile_with_most(&options, mechanism->paper, claim, profile);
}

const char *plan_claim_without_result(const json_t *claim)
{
	const json_t *test;
	const char *reason = NULL;
	size_t i;

	json_array_foreach (json_object_get(claim, "tests"), i, test) {
		if (json_object_get(test, "experiment"))
			return NULL;
		reason = json_string_value(json_object_get(test, "reason"));
	}
	return reason ? reason : "nothing of it can be measured";
}

/* Why no options at all would run this claim with these mechanisms; NULL when it is the others. */
static struct error *claim_not_to_be_run(const struct plan_options *options, const json_t *paper,
	const char *paper_id, const json_t *claim)
{
	const char *name = json_string_value(json_object_get(paper, "mechanism"));
	const char *id = json_string_value(json_object_get(claim, "id"));
	const char *reason = plan_claim_without_result(claim);

	if (!mechanism_find(name))
		return error_hint(error_new(ERROR_USAGE,
					  "nothing to run: mechanism %s, which claim %s is about, "
					  "is not in this build",
					  name, id),
			"fleetlab list shows what this build has");
	if (reason)
		return error_hint(
			error_new(ERROR_USAGE, "nothing to run for claim %s: %s", id, reason),
			"fleetlab show %s", id);
	for (size_t i = 0; i < options->mechanism_count; i++) {
		if (strcmp(options->mechanisms[i]->paper, paper_id) == 0)
			return NULL;
	}
	return error_hint(error_new(ERROR_USAGE, "nothing to run: claim %s is about %s", id, name),
		"fleetlab run %s --only %s", name, id);
}

static struct error *nothing_to_run(const struct plan_options *options, const json_t *paper,
	const char *paper_id, const json_t *claim)
{
	struct error *err = claim ? claim_not_to_be_run(options, paper, paper_id, claim) : NULL;
	enum profile other;

	if (err)
		return err;
	err = error_new(ERROR_USAGE, "nothing to run: no experiment of profile %s fits the options",
		profile_name(options->profile));
	if (profile_with_most(options, paper_id, claim, &other))
		return error_hint(err, "--profile %s has it", profile_name(other));
	return error_hint(err, "fleetlab show MECHANISM lists experiments, variants and profiles");
}

struct error *plan_create(const struct plan_options *options, json_t **plan)
{
	struct planned_experiment chosen[MAX_EXPERIMENTS];
	const json_t *paper = NULL;
	const json_t *claim = NULL;
	const char *paper_id = NULL;
	json_t *made, *trials;
	size_t count;

	if (options->only_claim) {
		try_(paper_find_claim(options->only_claim, &paper_id));
		try_(paper_load(paper_id, &paper));
		claim = paper_claim(paper, options->only_claim);
	}
	try_(check_overrides(options));
	trials = json_array();
	made = json_pack("{s:I, s:s, s:[], s:o*, s:o*, s:o*, s:o*, s:s*, s:o}", "seed",
		(json_int_t)options->seed, "profile", profile_name(options->profile), "mechanisms",
		"budget_s", options->budget_s > 0 ? json_real(options->budget_s) : NULL,
		"until_decided", options->until_decided ? json_true() : NULL, "aa",
		options->aa ? json_true() : NULL, "drill",
		options->handicap.variant ? json_true() : NULL, "peer", options->peer, "trials",
		trials);
	for (size_t i = 0; i < options->mechanism_count; i++)
		json_array_append_new(json_object_get(made, "mechanisms"),
			json_string(options->mechanisms[i]->name));
	count = choose_experiments(options, paper_id, claim, chosen);
	add_blocks(options, trials, chosen, count);
	add_expectations(made, trials);
	if (json_array_size(trials) > 0) {
		*plan = made;
		return NULL;
	}
	json_decref(made);
	return nothing_to_run(options, paper, paper_id, claim);
}

/* ---- more of it ---- */

static bool is_of(const json_t *trial, const char *mechanism, const char *experiment)
{
	const char *its_mechanism = json_string_value(json_object_get(trial, "mechanism"));
	const char *its_experiment = json_string_value(json_object_get(trial, "experiment"));

	return its_mechanism && its_experiment && strcmp(its_mechanism, mechanism) == 0 &&
	       strcmp(its_experiment, experiment) == 0;
}

static json_int_t block_of(const json_t *trial)
{
	return json_integer_value(json_object_get(trial, "block"));
}

/* The first half of the experiment's last block: each of its variants, or arms, once. */
static size_t last_half(const json_t *plan, const char *mechanism, const char *experiment,
	json_t *half[MAX_VARIANTS])
{
	size_t count = 0, i;
	json_t *trial;

	json_array_foreach (json_object_get(plan, "trials"), i, trial) {
		if (!is_of(trial, mechanism, experiment) ||
			json_integer_value(json_object_get(trial, "half")) != 0)
			continue;
		if (count > 0 && block_of(trial) != block_of(half[0]))
			count = 0;
		if (count < MAX_VARIANTS)
			half[count++] = trial;
	}
	return count;
}

/* The same whatever else was added before. */
static uint64_t seed_of_block(
	const json_t *plan, const char *mechanism, const char *experiment, json_int_t block)
{
	_cleanup_free_ char *name = format_string("%s %s", mechanism, experiment);
	uint64_t state = (uint64_t)json_integer_value(json_object_get(plan, "seed"));

	for (const char *p = name; *p; p++) {
		state ^= (unsigned char)*p;
		state = next_random(&state);
	}
	return state ^ (uint64_t)block;
}

json_t *plan_another_block(const json_t *plan, const char *mechanism, const char *experiment)
{
	json_t *half[MAX_VARIANTS], *added = json_array();
	size_t count = last_half(plan, mechanism, experiment, half), order[MAX_VARIANTS];
	size_t before = json_array_size(json_object_get(plan, "trials"));
	json_int_t block = count > 0 ? block_of(half[0]) + 1 : 0;
	uint64_t random = seed_of_block(plan, mechanism, experiment, block);

	if (before + 2 * count > MAX_TRIALS)
		return added;
	draw_order(order, count, &random);
	for (size_t i = 0; i < 2 * count; i++) {
		json_t *trial = json_deep_copy(half[at_place(order, count, i)]);

		json_object_set_new(trial, "index", json_integer((json_int_t)(before + i)));
		json_object_set_new(trial, "block", json_integer(block));
		json_object_set_new(trial, "half", json_integer(i >= count));
		json_object_set_new(trial, "order", json_integer((json_int_t)i));
		json_array_append_new(added, trial);
	}
	return added;
}

void plan_append(json_t *plan, const json_t *trials)
{
	if (json_array_extend(json_object_get(plan, "trials"), (json_t *)trials) == 0)
		add_expectations(plan, trials);
}
