/* The runs of a night: each is written down before it begins, so that whoever goes on after a cut
 * finds it. */
#include "harness/base/fs.h"
#include "harness/base/log.h"
#include "harness/engine/interrupt.h"
#include "harness/engine/journal.h"
#include "harness/nightly/night_internal.h"
#include "harness/record/record.h"
#include "harness/record/samples.h"
#include "harness/watch/readings.h"

#include <math.h>
#include <string.h>
#include <sys/random.h>

/* Less than this is no time to begin anything in. */
#define LEAST_S 1.0
/* Another run of this host is waited for so long at most, and for half of the step's own time. */
#define LOCK_WAIT_S 600.0

static bool is_drill(const char *purpose)
{
	return strncmp(purpose, "drill", 5) == 0;
}

/* A drill's runs are apart: no list, index, report or history of what was measured finds them. */
static char *store_of(const struct night *night, const char *purpose)
{
	return format_string(
		"%s%s", night->options->results_dir, is_drill(purpose) ? "/nightly/drills" : "");
}

static json_t *entry_of(const struct night *night, const struct step *step)
{
	json_t *entry;
	size_t i;

	json_array_foreach (json_object_get(night->json, "runs"), i, entry) {
		if (strcmp(json_text(entry, "purpose"), step->purpose) == 0 &&
			strcmp(json_text(entry, "mechanism"),
				step->mechanism ? step->mechanism->name : "") == 0 &&
			strcmp(json_text(entry, "experiment"),
				step->experiment ? step->experiment : "") == 0)
			return entry;
	}
	return NULL;
}

static json_t *new_entry(struct night *night, const struct step *step)
{
	char id[40];
	json_t *entry;

	record_new_id(id, sizeof(id));
	entry = json_pack("{s:s, s:s, s:s*, s:s*, s:s, s:s}", "id", id, "purpose", step->purpose,
		"mechanism", step->mechanism ? step->mechanism->name : NULL, "experiment",
		step->experiment, "state", "planned", "reason", "");
	json_array_append_new(json_object_get(night->json, "runs"), entry);
	return entry;
}

static void count_trials(const json_t *record, json_t *entry)
{
	const json_t *planned = json_object_get(json_object_get(record, "plan"), "trials");
	json_t *counts = json_pack("{s:I, s:i, s:i, s:i, s:i}", "planned",
		(json_int_t)json_array_size(planned), "ok", 0, "failed", 0, "invalid", 0, "skipped",
		0);
	const json_t *trial;
	size_t i;

	json_array_foreach (json_object_get(record, "trials"), i, trial) {
		json_t *count = json_object_get(counts, json_text(trial, "outcome"));

		json_integer_set(count, json_integer_value(count) + 1);
	}
	json_object_set_new(entry, "trials", counts);
}

/* What the run's record says of it. */
static void close_entry(json_t *entry, const json_t *record, const struct step *step)
{
	const char *state = json_text(record, "state");
	_cleanup_free_ char *path = format_string("%sruns/%s.json",
		is_drill(step->purpose) ? "nightly/drills/" : "", json_text(entry, "id"));
	double wall_s = 0;
	const json_t *trial;
	size_t i;

	json_array_foreach (json_object_get(record, "trials"), i, trial)
		wall_s += json_number(trial, "wall_s", 0);
	json_object_set_new(entry, "state", json_string(state));
	json_object_set_new(entry, "record", json_string(path));
	json_object_set_new(entry, "wall_s", json_real(wall_s));
	json_object_set_new(entry, "reason",
		json_string(strcmp(state, "budget") == 0 ? "its share of the time was over" : ""));
	count_trials(record, entry);
}

static struct error *load_done(const char *store, const char *id, json_t **record)
{
	_cleanup_free_ char *path = format_string("%s/runs/%s.json", store, id);
	_cleanup_record_ struct record *loaded = NULL;

	try_(record_load(path, &loaded));
	*record = json_incref(loaded->json);
	return NULL;
}

static bool exists(const char *store, const char *id, const char *suffix)
{
	_cleanup_free_ char *path = format_string("%s/runs/%s%s", store, id, suffix);

	return access(path, R_OK) == 0;
}

static struct run_options options_of(
	const struct night *night, const struct step *step, const char *store, const char *id)
{
	const struct night_options *options = night->options;
	double limit_s = night_seconds_left(night) * step->share;
	struct run_options made = {
		.plan =
			{
				.mechanisms =
					step->mechanism ? &step->mechanism : options->mechanisms,
				.mechanism_count = step->mechanism ? 1 : options->mechanism_count,
				.profile = PROFILE_NIGHTLY,
				.overrides = options->overrides,
				.only_experiment = step->experiment,
				.only_variant = step->only_variant,
				.only_variants = step->only_variants,
				.least_blocks = step->least_blocks,
				.handicap = step->handicap,
				.aa = step->aa,
			},
		.results_dir = store,
		.wait_ms = (int64_t)(1e3 * fmin(LOCK_WAIT_S, limit_s / 2)),
		.limit_s = limit_s,
		.argc = options->argc,
		.argv = options->argv,
	};
	uint32_t random = 1;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		random = (uint32_t)time(NULL);
	made.plan.seed = random;
	if (exists(store, id, "/journal.jsonl"))
		made.resume = id;
	else
		made.id = id;
	return made;
}

/* A run that was killed before its journal had a header has left nothing but a directory. */
static struct error *clear_unbegun(struct night *night, const char *store, const char *id)
{
	_cleanup_free_ char *dir = format_string("%s/runs/%s", store, id);

	if (!exists(store, id, "/journal.jsonl") || journal_has_begun(dir))
		return NULL;
	night_note(night, "run %s was cut before it had begun: it is begun anew", id);
	return fs_remove_tree(dir);
}

static struct error *run_it(struct night *night, const struct step *step, json_t *entry,
	const char *store, json_t **record)
{
	const char *id = json_text(entry, "id");
	struct run_options options;
	_cleanup_free_ char *path = NULL;

	try_(clear_unbegun(night, store, id));
	options = options_of(night, step, store, id);
	log_info("%s%s%s%s", step->purpose, step->mechanism ? " " : "",
		step->mechanism ? step->mechanism->name : "", step->aa ? " (A/A)" : "");
	return night->options->run(night->options->context, &options, record, &path);
}

/* It ended by a signal, or because the night's time was over in the midst of a trial. */
static struct error *heed_interruption(struct night *night, json_t *entry)
{
	if (strcmp(json_text(entry, "state"), "interrupted") != 0)
		return NULL;
	if (!interrupted_by_time())
		return error_new(ERROR_INTERRUPTED, "interrupted");
	json_object_set_new(entry, "state", json_string("budget"));
	json_object_set_new(entry, "reason", json_string("the night's time was over"));
	return night_keep(night);
}

static struct error *refuse(struct night *night, json_t *entry, struct error *why, char **why_not)
{
	const char *remedy = error_remedy(why);

	*why_not = format_string(
		"%s%s%s", error_message(why), remedy ? "; try: " : "", remedy ? remedy : "");
	error_destroy(why);
	json_object_set_new(entry, "state", json_string("failed"));
	json_object_set_new(entry, "reason", json_string(*why_not));
	return night_keep(night);
}

/* The record of a run that has ended; NULL: it is to be run, or goes on. A kill may have come
 * between a run's record and what the night says of it: the record decides, but for what the
 * night's own end has interrupted, which is over. */
static struct error *find_done(const json_t *entry, const char *store, json_t **record)
{
	_cleanup_json_ json_t *made = NULL;

	*record = NULL;
	if (!entry || !exists(store, json_text(entry, "id"), ".json"))
		return NULL;
	try_(load_done(store, json_text(entry, "id"), &made));
	if (strcmp(json_text(made, "state"), "interrupted") != 0 ||
		strcmp(json_text(entry, "state"), "budget") == 0)
		*record = take_ptr(made);
	return NULL;
}

/* *record stays NULL, with *why_not, where there is no time. */
static struct error *begin_or_go_on(struct night *night, const struct step *step, json_t **entry,
	const char *store, json_t **record, char **why_not)
{
	if (interrupted() && !interrupted_by_time())
		return error_new(ERROR_INTERRUPTED, "interrupted");
	if (interrupted() || night_seconds_left(night) * step->share < LEAST_S) {
		*why_not = format_string("no time was left");
		return NULL;
	}
	*entry = *entry ? *entry : new_entry(night, step);
	try_(night_keep(night));
	return run_it(night, step, *entry, store, record);
}

struct error *night_step(
	struct night *night, const struct step *step, json_t **record, char **why_not)
{
	_cleanup_free_ char *store = store_of(night, step->purpose);
	_cleanup_json_ json_t *made = NULL;
	json_t *entry = entry_of(night, step);
	const char *state = entry ? json_text(entry, "state") : "";
	struct error *err;

	*record = NULL;
	*why_not = NULL;
	if (strcmp(state, "failed") == 0) {
		*why_not = format_string("%s", json_text(entry, "reason"));
		return NULL;
	}
	err = find_done(entry, store, &made);
	if (!err && made && strcmp(state, "budget") == 0) {
		*record = take_ptr(made);
		return NULL;
	}
	if (!err && !made)
		err = begin_or_go_on(night, step, &entry, store, &made, why_not);
	if (*why_not || (err && error_kind(err) == ERROR_INTERRUPTED && !interrupted_by_time()))
		return err;
	if (err)
		return refuse(night, entry, err, why_not);
	close_entry(entry, made, step);
	try_(night_keep(night));
	try_(heed_interruption(night, entry));
	*record = take_ptr(made);
	return NULL;
}

static void drop_logs(const struct night *night, const json_t *old)
{
	const json_t *entry;
	size_t i;

	json_array_foreach (json_object_get(old, "runs"), i, entry) {
		_cleanup_free_ char *store = store_of(night, json_text(entry, "purpose"));
		_cleanup_free_ char *dir =
			format_string("%s/runs/%s", store, json_text(entry, "id"));
		_cleanup_error_ struct error *err = fs_remove_tree(dir);

		if (err)
			log_warning("logs of an old night stay: %s", error_message(err));
	}
}

void night_drop_logs(const struct night *night)
{
	const struct night_list *before = &night->before;

	for (size_t i = 0; i + night->options->keep_logs < before->count; i++)
		drop_logs(night, before->nights[i]);
}

json_t *night_readings(const json_t *record, const json_t *aa_record)
{
	static const char *const better[] = {
		[BETTER_LESS] = "less", [BETTER_MORE] = "more", [BETTER_NEITHER] = "neither"};
	json_t *rows = watch_readings(record, aa_record), *row;
	size_t i;

	json_array_foreach (rows, i, row) {
		const struct mechanism *mechanism = mechanism_find(json_text(row, "mechanism"));
		const struct metric *metric =
			mechanism ? mechanism_metric(mechanism, json_text(row, "metric")) : NULL;
		bool ratio = json_is_string(json_object_get(row, "baseline"));

		json_object_set_new(row, "unit",
			json_string(ratio    ? "x"
				    : metric ? metric->unit
					     : ""));
		json_object_set_new(
			row, "better", json_string(metric ? better[metric->better] : "neither"));
	}
	return rows;
}
