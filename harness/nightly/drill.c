/*
 * Drills: a variant is slowed down on purpose, and the watch has to find it by the same path as
 * what is real: history, judging, false discovery rate, fresh trials, nights in a row. Over several
 * nights if need be: a drill that has begun goes on until it is caught or has had its nights. Must
 * never touch the night's own rows and memory.
 */
#include "harness/base/fs.h"
#include "harness/nightly/judge.h"
#include "harness/nightly/night_internal.h"
#include "harness/record/samples.h"
#include "harness/watch/watch.h"

#include <math.h>
#include <string.h>

/* Not caught in so many nights is missed. */
#define MOST_NIGHTS 10
/* Begun so many nights ago and neither: abandoned, there was no time for it. */
#define PATIENCE 30
/* A smaller slowdown cannot be told from noise in one night. */
#define LEAST_CHECKED 1.1

static bool is_state(const json_t *drill, const char *state)
{
	return strcmp(json_text(drill, "state"), state) == 0;
}

static bool is_of(const json_t *row, const json_t *drill)
{
	return strcmp(json_text(row, "mechanism"), json_text(drill, "mechanism")) == 0 &&
	       strcmp(json_text(row, "experiment"), json_text(drill, "experiment")) == 0;
}

static bool is_slowed(const json_t *row, const json_t *drill)
{
	return is_of(row, drill) &&
	       strcmp(json_text(row, "variant"), json_text(drill, "variant")) == 0;
}

/* The drill that has begun and not ended, as its last night left it; NULL: none. */
static const json_t *open_drill(const struct night_list *before)
{
	const json_t *open = NULL;

	for (size_t i = 0; i < before->count; i++) {
		const json_t *drill = json_object_get(before->nights[i], "drill");

		if (is_state(drill, "open"))
			open = drill;
		else if (json_is_object(drill) && !is_state(drill, "skipped"))
			open = NULL;
	}
	return open;
}

static size_t nights_since(const struct night_list *before, const char *id)
{
	size_t count = 0;

	for (size_t i = 0; i < before->count; i++)
		count += strcmp(json_text(before->nights[i], "id"), id) >= 0;
	return count;
}

/* ---- beginning one ---- */

/* A subject's metric with enough nights, that a slowdown makes worse. */
static bool is_fit(const struct night *night, const json_t *row, const char *target)
{
	const struct mechanism *mechanism = mechanism_find(json_text(row, "mechanism"));
	const struct variant *variant =
		mechanism ? mechanism_variant(mechanism, json_text(row, "variant")) : NULL;
	_cleanup_free_ char *name = format_string("%s/%s/%s", json_text(row, "mechanism"),
		json_text(row, "experiment"), json_text(row, "variant"));

	if (!variant || variant->role != ROLE_SUBJECT ||
		strcmp(json_text(row, "better"), "neither") == 0 ||
		(target && strcmp(name, target) != 0))
		return false;
	return judge_nights(&night->before, row) > watch_defaults.change.least_side;
}

/* Drawn by the night's own number: another one each time, and the same after a cut. */
static const json_t *choose_target(const struct night *night)
{
	const char *target = night->options->drill_target;
	json_int_t number = json_integer_value(json_object_get(night->json, "night"));
	size_t fit = 0, chosen, i;
	const json_t *row;

	json_array_foreach (night->rows, i, row)
		fit += is_fit(night, row, target);
	if (fit == 0)
		return NULL;
	chosen = (size_t)((uint64_t)number * 2654435761u % fit);
	json_array_foreach (night->rows, i, row) {
		if (is_fit(night, row, target) && chosen-- == 0)
			return row;
	}
	return NULL;
}

static json_t *make_drill(const char *id, const char *mechanism, const char *experiment,
	const char *variant, double slowdown, size_t number)
{
	const struct mechanism *its = mechanism_find(mechanism);
	_cleanup_free_ char *how =
		its && its->handicap
			? format_string("parameter %s times %g", its->handicap, slowdown)
			: format_string("guests stopped for %.0f %% of the time",
				  100 * (1 - 1 / slowdown));

	return json_pack("{s:s, s:s, s:s, s:s, s:f, s:s, s:I, s:s, s:s, s:i, s:[], s:[], s:{}}",
		"id", id, "mechanism", mechanism, "experiment", experiment, "variant", variant,
		"slowdown", slowdown, "how", how, "night", (json_int_t)number, "state", "skipped",
		"reason", "", "controls", 0, "false_alarms", "metrics", "memory");
}

static json_t *continue_drill(const json_t *open)
{
	json_t *drill = make_drill(json_text(open, "id"), json_text(open, "mechanism"),
		json_text(open, "experiment"), json_text(open, "variant"),
		json_number(open, "slowdown", 1),
		(size_t)json_integer_value(json_object_get(open, "night")) + 1);

	json_object_set(drill, "memory", json_object_get(open, "memory"));
	return drill;
}

static json_t *begin_drill(const struct night *night)
{
	const json_t *row = choose_target(night);
	json_t *drill;

	if (row)
		return make_drill(json_text(night->json, "id"), json_text(row, "mechanism"),
			json_text(row, "experiment"), json_text(row, "variant"),
			night->options->slowdown, 0);
	drill = make_drill(
		json_text(night->json, "id"), "none", "none", "none", night->options->slowdown, 0);
	_cleanup_free_ char *reason =
		format_string("no subject%s%s has more than %zu nights to compare with yet",
			night->options->drill_target ? " " : "",
			night->options->drill_target ? night->options->drill_target : "",
			watch_defaults.change.least_side);

	json_object_set_new(drill, "reason", json_string(reason));
	return drill;
}

/* ---- its night ---- */

static json_t *rows_where(const json_t *rows, const json_t *drill, bool of)
{
	json_t *found = json_array(), *row;
	size_t i;

	json_array_foreach ((json_t *)rows, i, row) {
		json_t *copy;

		if (is_of(row, drill) != of)
			continue;
		copy = json_deep_copy(row);
		json_object_del(copy, "verdict");
		json_array_append_new(found, copy);
	}
	return found;
}

/* The A/A arm belongs to the night, not to the drill. */
static void take_aa(json_t *rows, const json_t *real)
{
	const json_t *its;
	json_t *row;
	size_t i, j;

	json_array_foreach (rows, i, row) {
		json_array_foreach (real, j, its) {
			if (strcmp(json_text(its, "name"), json_text(row, "name")) == 0 &&
				json_object_get(its, "aa"))
				json_object_set(row, "aa", json_object_get(its, "aa"));
		}
	}
}

static void end_drill(json_t *drill, const char *state, const char *reason)
{
	json_object_set_new(drill, "state", json_string(state));
	json_object_set_new(drill, "reason", json_string(reason));
}

/* Alerts of the drill's metrics: the right one catches it, any other is false. What has really
 * changed during the drill is neither control nor proof. */
static void weigh(const struct night *night, json_t *drill)
{
	json_t *false_alarms = json_array();
	json_int_t controls = 0;
	const char *confused = NULL;
	const json_t *row;
	size_t i;

	json_array_foreach (json_object_get(drill, "metrics"), i, row) {
		const json_t *verdict = json_object_get(row, "verdict");
		const char *name = json_text(row, "name");
		bool slowed = is_slowed(row, drill);
		bool real = night_really_changed(
			&night->before, night->json, drill, name, json_text(night->json, "id"));

		controls += !slowed && !real;
		if (!json_is_true(json_object_get(verdict, "alert")))
			continue;
		if (real)
			confused = slowed ? name : confused;
		else if (!slowed || strcmp(json_text(verdict, "direction"), "better") == 0)
			json_array_append(false_alarms, json_object_get(row, "name"));
		else if (!json_object_get(drill, "caught_by"))
			json_object_set(drill, "caught_by", json_object_get(row, "name"));
	}
	json_object_set_new(drill, "controls", json_integer(controls));
	json_object_set_new(drill, "false_alarms", false_alarms);
	if (json_object_get(drill, "caught_by")) {
		end_drill(drill, "caught", "");
		json_object_set(drill, "delay_nights", json_object_get(drill, "night"));
	} else if (confused) {
		_cleanup_free_ char *reason = format_string(
			"%s has really changed meanwhile: that it was found says nothing",
			confused);

		end_drill(drill, "void", reason);
	} else if (json_integer_value(json_object_get(drill, "night")) + 1 >= MOST_NIGHTS) {
		end_drill(drill, "missed", "");
	} else {
		end_drill(drill, "open", "");
	}
}

/* What the drill remembers is of its own metrics only. */
static json_t *own_memory(const json_t *drill, const json_t *memory)
{
	json_t *own = json_object();
	const json_t *row;
	size_t i;

	json_array_foreach (json_object_get(drill, "metrics"), i, row) {
		_cleanup_free_ char *key = judge_memory_key(row);

		json_object_set(own, key, json_object_get(memory, key));
	}
	return own;
}

/* How many times as long as in tonight's real runs it can have taken at the most; NaN: not known.
 */
static double most_seen(const struct night *night, const json_t *row)
{
	const json_t *real = night_row(night->rows, json_text(row, "name"));
	double without = json_number(real, "value", NAN);

	if (strcmp(json_text(real, "baseline"), json_text(row, "baseline")) != 0)
		return NAN;
	if (strcmp(json_text(row, "better"), "less") == 0)
		return json_number(row, "high", NAN) / without;
	return strcmp(json_text(row, "better"), "more") == 0
		       ? without / json_number(row, "low", NAN)
		       : NAN;
}

/* What is shorter than the brake's period is hardly ever hit by it: such a drill asks the watch for
 * what is not there. Void, when no reading can be half as much slower as was asked for. */
static bool had_no_effect(const struct night *night, json_t *drill, const json_t *rows)
{
	double slowdown = json_number(drill, "slowdown", 1), most = NAN;
	const json_t *row;
	size_t i;

	if (slowdown < LEAST_CHECKED)
		return false;
	json_array_foreach (rows, i, row) {
		if (!is_slowed(row, drill) || strcmp(json_text(row, "better"), "neither") == 0)
			continue;
		double seen = most_seen(night, row);

		if (isnan(seen) || seen >= 1 + (slowdown - 1) / 2)
			return false;
		most = fmax(most, seen);
	}
	if (isnan(most))
		return false;
	_cleanup_free_ char *reason = format_string("what is slowed down took at most %.3g times "
						    "as long, not %.4g: the slowdown does not "
						    "reach what is read",
		most, slowdown);

	end_drill(drill, "void", reason);
	return true;
}

static struct error *judge_drill(struct night *night, json_t *drill, const json_t *record)
{
	_cleanup_json_ json_t *readings = night_readings(record, NULL);
	_cleanup_json_ json_t *slowed = rows_where(readings, drill, true);
	_cleanup_json_ json_t *all = rows_where(night->rows, drill, false);
	_cleanup_json_ json_t *memory = json_deep_copy(night->memory_before);
	struct confirming confirming = {
		.night = night,
		.drill = true,
		.handicap = {json_text(drill, "variant"), json_number(drill, "slowdown", 1)},
	};
	const struct judging judging = {
		.before = &night->before,
		.drill = json_text(drill, "id"),
		.night = night->json,
		.rows = all,
		.memory = memory,
		.confirm = night_confirm,
		.context = &confirming,
		.only_mechanism = json_text(drill, "mechanism"),
		.only_experiment = json_text(drill, "experiment"),
	};

	json_object_set(drill, "metrics", slowed);
	if (had_no_effect(night, drill, slowed))
		return NULL;
	take_aa(slowed, night->rows);
	json_array_extend(all, slowed);
	json_object_update(memory, json_object_get(drill, "memory"));
	try_(judge(&judging));
	json_object_set_new(drill, "memory", own_memory(drill, memory));
	weigh(night, drill);
	return NULL;
}

/* A drill whose slowed trials do not count has slowed nothing that anybody could find. False when
 * there is nothing to judge. */
static bool has_slowed(json_t *drill, const json_t *record)
{
	_cleanup_free_ char *text = NULL;
	const json_t *trial, *first = NULL;
	size_t seen = 0, i;

	json_array_foreach (json_object_get(record, "trials"), i, trial) {
		if (!is_slowed(trial, drill))
			continue;
		if (trial_counts(trial, NULL))
			return true;
		first = seen++ ? first : trial;
	}
	if (seen == 0) {
		end_drill(drill, "skipped", "there was no time for a trial of what is slowed down");
		return false;
	}
	text = format_string("none of the %zu trials of what is slowed down counts: the first is "
			     "%s, %.1000s",
		seen, json_text(first, "outcome"), json_text(first, "reason"));
	end_drill(drill, "void", text);
	return false;
}

static struct error *spend(struct night *night, json_t *drill)
{
	const struct step step = {
		.purpose = "drill",
		.mechanism = mechanism_find(json_text(drill, "mechanism")),
		.experiment = json_text(drill, "experiment"),
		.handicap = {json_text(drill, "variant"), json_number(drill, "slowdown", 1)},
		.share = 0.5,
	};
	_cleanup_json_ json_t *record = NULL;
	_cleanup_free_ char *why_not = NULL;

	if (step.mechanism)
		try_(night_step(night, &step, &record, &why_not));
	else
		why_not = format_string("this build does not have its mechanism");
	if (!record)
		end_drill(drill, "skipped", why_not);
	else if (has_slowed(drill, record))
		return judge_drill(night, drill, record);
	return NULL;
}

struct error *night_drill(struct night *night)
{
	const json_t *open = open_drill(&night->before);
	json_t *drill;

	if (!open && !night->options->drill)
		return NULL;
	drill = open ? continue_drill(open) : begin_drill(night);
	json_object_set_new(night->json, "drill", drill);
	if (open && nights_since(&night->before, json_text(open, "id")) > PATIENCE) {
		end_drill(drill, "abandoned", "too many nights had no time for it");
	} else if (!*json_text(drill, "reason")) {
		try_(spend(night, drill));
	}
	return night_keep(night);
}
