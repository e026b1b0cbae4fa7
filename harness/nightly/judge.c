/* Tonight against the nights before: see judge.h. Runs nothing itself; that is for `confirm`. */
#include "harness/base/fs.h"
#include "harness/nightly/judge.h"
#include "harness/record/samples.h"
#include "harness/watch/attribute.h"
#include "harness/watch/memory.h"
#include "harness/watch/watch.h"

#include <math.h>
#include <string.h>

/* A change point may be so many nights off its place. */
#define OFF_BY 2

struct candidate {
	json_t *row; /* borrowed */
	const char *name;
	struct watch_reading *history; /* the nights before, and tonight */
	struct watch_memory memory;
	struct watch_verdict verdict;
	bool confirmed_tonight;
	json_t *confirmation; /* owned; NULL: no fresh trials */
	const char *why_not;  /* why there are none; borrowed from the court */
};

struct court {
	const struct judging *judging;
	struct candidate *candidates;
	size_t count;
	size_t nights; /* of every history: the nights before, and tonight */
	json_t *texts; /* keeps the candidates' why_not */
};

static void court_deinit(struct court *court)
{
	for (size_t i = 0; i < court->count; i++) {
		free(court->candidates[i].history);
		json_decref(court->candidates[i].confirmation);
	}
	free(court->candidates);
	json_decref(court->texts);
}

/* ---- history ---- */

/* What a night has read of a metric; NULL: nothing. A night that ended before it was judged is none
 * to compare with: it may be the one in which something changed. */
static const json_t *row_of_night(const json_t *night, const char *name, const char *drill)
{
	const json_t *its = json_object_get(night, "drill");
	const json_t *row = NULL;

	if (drill && strcmp(json_text(its, "id"), drill) == 0)
		row = night_row(json_object_get(its, "metrics"), name);
	row = row ? row : night_row(json_object_get(night, "metrics"), name);
	return json_object_get(row, "verdict") ? row : NULL;
}

/* A ratio to one variant is no reading beside a ratio to another, or beside a bare median, and what
 * is remembered of the one is not so of the other. */
static bool same_baseline(const json_t *a, const json_t *b)
{
	const char *x = json_text(a, "baseline"), *y = json_text(b, "baseline");

	return strcmp(x, y) == 0;
}

char *judge_memory_key(const json_t *row)
{
	const char *baseline = json_text(row, "baseline");

	return *baseline ? format_string("%s / %s", json_text(row, "name"), baseline)
			 : format_string("%s", json_text(row, "name"));
}

static struct watch_reading reading_of(const json_t *night, const json_t *row)
{
	return (struct watch_reading){
		.night = json_integer_value(json_object_get(night, "night")),
		.value = json_number(row, "value", NAN),
		.aa = json_number(row, "aa", NAN),
	};
}

size_t judge_nights(const struct night_list *before, const json_t *row)
{
	size_t count = 0;

	for (size_t i = 0; i < before->count; i++) {
		const json_t *its = row_of_night(before->nights[i], json_text(row, "name"), NULL);

		count += its && same_baseline(its, row);
	}
	return count;
}

static void collect(struct court *court, json_t *row, struct candidate *candidate)
{
	const struct judging *judging = court->judging;
	const struct night_list *before = judging->before;
	_cleanup_free_ char *key = judge_memory_key(row);

	*candidate = (struct candidate){.row = row, .name = json_text(row, "name")};
	candidate->history = calloc(court->nights, sizeof(*candidate->history));
	if (!candidate->history)
		abort();
	for (size_t i = 0; i < before->count; i++) {
		const json_t *its =
			row_of_night(before->nights[i], candidate->name, judging->drill);

		candidate->history[i] =
			reading_of(before->nights[i], its && same_baseline(its, row) ? its : NULL);
	}
	candidate->history[before->count] = reading_of(judging->night, row);
	watch_memory_load(json_object_get(judging->memory, key), &candidate->memory);
}

/* ---- confirmation ---- */

static struct watch_fresh fresh_of(const json_t *row)
{
	return (struct watch_fresh){
		.value = json_number(row, "value", NAN),
		.interval = {.low = json_number(row, "low", 0),
			.high = json_number(row, "high", INFINITY),
			.level = INTERVAL_LEVEL},
		.aa = json_number(row, "aa", NAN),
	};
}

static json_t *confirmation_of(const json_t *fresh, enum watch_confirmation answer)
{
	static const char *const names[] = {
		[WATCH_IS_CONFIRMED] = "confirmed",
		[WATCH_IS_DISMISSED] = "dismissed",
		[WATCH_IS_OPEN] = "open",
	};
	static const char *const keys[] = {"run", "aa_run", "value", "low", "high", "pairs", "aa"};
	json_t *made = json_pack("{s:s}", "answer", names[answer]);

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (json_object_get(fresh, keys[i]))
			json_object_set(made, keys[i], json_object_get(fresh, keys[i]));
	}
	return made;
}

static void confirm_one(struct court *court, struct candidate *candidate, const json_t *row)
{
	struct watch_fresh fresh = fresh_of(row);
	enum watch_confirmation answer = watch_confirm(candidate->history, court->nights, &fresh,
		&watch_defaults, &candidate->memory, &candidate->verdict);

	candidate->confirmation = confirmation_of(row, answer);
	candidate->confirmed_tonight = answer == WATCH_IS_CONFIRMED;
}

static bool is_same(const struct candidate *a, const struct candidate *b)
{
	return strcmp(json_text(a->row, "mechanism"), json_text(b->row, "mechanism")) == 0 &&
	       strcmp(json_text(a->row, "experiment"), json_text(b->row, "experiment")) == 0;
}

static bool is_open(const struct court *court, const struct candidate *candidate)
{
	const struct judging *judging = court->judging;

	if (candidate->verdict.state != WATCH_SUSPECT || candidate->confirmation ||
		candidate->why_not)
		return false;
	return !judging->only_experiment ||
	       (strcmp(json_text(candidate->row, "experiment"), judging->only_experiment) == 0 &&
		       strcmp(json_text(candidate->row, "mechanism"), judging->only_mechanism) ==
			       0);
}

/* All suspects of one experiment at once: they share the boots. */
static struct error *confirm_like(struct court *court, const struct candidate *first)
{
	_cleanup_json_ json_t *rows = json_array();
	_cleanup_json_ json_t *fresh = NULL;
	_cleanup_free_ char *why_not = NULL;
	const char *kept = "no fresh trials of it";

	for (size_t i = 0; i < court->count; i++) {
		if (is_open(court, &court->candidates[i]) && is_same(&court->candidates[i], first))
			json_array_append(rows, court->candidates[i].row);
	}
	try_(court->judging->confirm(court->judging->context, rows, &fresh, &why_not));
	if (why_not) {
		json_array_append_new(court->texts, json_string(why_not));
		kept = json_string_value(
			json_array_get(court->texts, json_array_size(court->texts) - 1));
	}
	for (size_t i = 0; i < court->count; i++) {
		struct candidate *candidate = &court->candidates[i];
		const json_t *row = json_object_get(fresh, candidate->name);

		if (!is_open(court, candidate) || !is_same(candidate, first))
			continue;
		if (row && same_baseline(row, candidate->row))
			confirm_one(court, candidate, row);
		else
			candidate->why_not = kept;
	}
	return NULL;
}

static struct error *confirm(struct court *court)
{
	for (size_t i = 0; court->judging->confirm && i < court->count; i++) {
		if (is_open(court, &court->candidates[i]))
			try_(confirm_like(court, &court->candidates[i]));
	}
	return NULL;
}

/* ---- what is written down ---- */

const char *judge_direction(const json_t *row, double effect)
{
	const char *better = json_text(row, "better");

	if (strcmp(better, "less") == 0)
		return effect > 0 ? "worse" : "better";
	if (strcmp(better, "more") == 0)
		return effect < 0 ? "worse" : "better";
	return "other";
}

static void put_number(json_t *object, const char *key, double value)
{
	if (isfinite(value))
		json_object_set_new(object, key, json_real(value));
}

static void put_range(json_t *object, const char *key, struct interval range)
{
	if (isfinite(range.low) && isfinite(range.high))
		json_object_set_new(object, key, json_pack("[f,f]", range.low, range.high));
}

static const char *id_of_night(const struct judging *judging, size_t index)
{
	const json_t *night =
		index < judging->before->count ? judging->before->nights[index] : judging->night;

	return json_text(night, "id");
}

/* What else was new about then; nights are named. */
static json_t *attribution(const struct court *court, const struct watch_verdict *verdict)
{
	const struct judging *judging = court->judging;
	size_t last = court->nights - 1;
	bool change = verdict->kind == WATCH_CHANGE;
	size_t from = change && verdict->index > OFF_BY ? verdict->index - OFF_BY
		      : change				? 1
							: verdict->index;
	size_t to = change && verdict->index + OFF_BY < last ? verdict->index + OFF_BY : last;
	_cleanup_free_ json_t **fields = calloc(court->nights, sizeof(json_t *));
	json_t *changes, *change_row;
	size_t i;

	if (!fields)
		abort();
	for (i = 0; i < court->nights; i++) {
		const json_t *night = i < last ? judging->before->nights[i] : judging->night;

		fields[i] = json_object_get(json_object_get(night, "host"), "fields");
	}
	changes = attribute_changes(fields, court->nights, from, to);
	_cleanup_free_ char *text = attribute_text(changes);

	json_array_foreach (changes, i, change_row) {
		size_t index = (size_t)json_integer_value(json_object_get(change_row, "night"));

		json_object_set_new(change_row, "night", json_string(id_of_night(judging, index)));
	}
	return json_pack("{s:s, s:o}", "text", text, "changes", changes);
}

static json_t *verdict_json(const struct court *court, const struct candidate *candidate)
{
	static const char *const kinds[] = {
		[WATCH_NONE] = "none", [WATCH_CHANGE] = "change", [WATCH_TONIGHT] = "tonight"};
	const struct watch_verdict *verdict = &candidate->verdict;
	bool shifted = verdict->state == WATCH_SUSPECT || verdict->state == WATCH_CONFIRMED;
	json_t *made = json_pack("{s:s, s:s, s:b, s:I}", "state", watch_state_name(verdict->state),
		"kind", kinds[verdict->kind], "alert", (int)candidate->confirmed_tonight, "nights",
		(json_int_t)verdict->nights);
	_cleanup_free_ char *reason =
		candidate->why_not ? format_string("%s; %s", verdict->reason, candidate->why_not)
				   : format_string("%s", verdict->reason);

	json_object_set_new(made, "reason", json_string(reason));
	put_number(made, "baseline", verdict->baseline);
	put_range(made, "usual", verdict->usual);
	put_number(made, "after", verdict->after);
	put_number(made, "effect", verdict->effect);
	put_range(made, "within", verdict->within);
	put_number(made, "floor", verdict->floor);
	put_number(made, "p", verdict->p_value);
	if (shifted && verdict->kind != WATCH_NONE) {
		json_object_set_new(made, "direction",
			json_string(judge_direction(candidate->row, verdict->effect)));
		json_object_set_new(
			made, "since", json_string(id_of_night(court->judging, verdict->index)));
		json_object_set_new(made, "attribution", attribution(court, verdict));
	}
	if (candidate->confirmation)
		json_object_set(made, "confirmation", candidate->confirmation);
	return made;
}

/* A change that stands since earlier nights is described as it was told. */
static void describe_standing(const struct court *court, struct candidate *candidate, json_t *made)
{
	const struct watch_memory *memory = &candidate->memory;
	double effect = memory->after / memory->before - 1;

	if (candidate->verdict.state != WATCH_CONFIRMED || candidate->confirmed_tonight)
		return;
	put_number(made, "baseline", memory->before);
	put_range(made, "usual", memory->usual);
	put_number(made, "after", memory->after);
	put_number(made, "effect", effect);
	json_object_del(made, "within");
	json_object_set_new(
		made, "direction", json_string(judge_direction(candidate->row, effect)));
	for (size_t i = 0; i < court->nights; i++) {
		if (candidate->history[i].night == memory->changed_night)
			json_object_set_new(
				made, "since", json_string(id_of_night(court->judging, i)));
	}
}

static void write_down(struct court *court)
{
	for (size_t i = 0; i < court->count; i++) {
		struct candidate *candidate = &court->candidates[i];
		json_t *made = verdict_json(court, candidate);
		_cleanup_free_ char *key = judge_memory_key(candidate->row);

		describe_standing(court, candidate, made);
		json_object_set_new(candidate->row, "verdict", made);
		json_object_set_new(
			court->judging->memory, key, watch_memory_save(&candidate->memory));
	}
}

struct error *judge(const struct judging *judging)
{
	_cleanup_(court_deinit) struct court court = {
		.judging = judging,
		.nights = judging->before->count + 1,
		.texts = json_array(),
	};
	size_t count = json_array_size(judging->rows);
	_cleanup_free_ struct watch_metric *metrics = calloc(count + 1, sizeof(*metrics));

	court.candidates = calloc(count + 1, sizeof(*court.candidates));
	if (!court.candidates || !metrics)
		abort();
	for (; court.count < count; court.count++) {
		struct candidate *candidate = &court.candidates[court.count];

		collect(&court, json_array_get(judging->rows, court.count), candidate);
		metrics[court.count] = (struct watch_metric){
			candidate->history, court.nights, &candidate->memory, &candidate->verdict};
	}
	watch_night(metrics, count, &watch_defaults, WATCH_FALSE_DISCOVERIES);
	try_(confirm(&court));
	write_down(&court);
	return NULL;
}
