/* What is written down of a night: how it begins, what it comes to, how it ends. */
#include "harness/base/fs.h"
#include "harness/base/version.h"
#include "harness/nightly/night_internal.h"
#include "harness/record/record.h"
#include "harness/record/samples.h"

#include <stdarg.h>
#include <string.h>

struct error *night_keep(struct night *night)
{
	return night_save(night->json, night->options->results_dir);
}

void night_note(struct night *night, const char *format, ...)
{
	json_t *notes = json_object_get(night->json, "notes"), *one;
	_cleanup_free_ char *text = NULL;
	va_list args;
	size_t i;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		abort();
	va_end(args);
	json_array_foreach (notes, i, one) {
		if (strcmp(json_string_value(one), text) == 0)
			return; /* a night that goes on finds it again */
	}
	json_array_append_new(notes, json_string(text));
}

double night_seconds_left(const struct night *night)
{
	return difftime(night->end_by, time(NULL)) - NIGHT_LAST_S;
}

void night_set_text(json_t *object, const char *key, const char *text)
{
	json_object_set_new(object, key, json_string(text));
}

void night_set_time(json_t *object, const char *key, time_t when)
{
	char text[24];

	clock_format_utc(when, false, text, sizeof(text));
	night_set_text(object, key, text);
}

void night_set_exit(struct night *night, enum night_exit status)
{
	json_object_set_new(night->json, "exit_status", json_integer(status));
}

/* Ascending from night to night, whatever the clock does. */
static int64_t next_night(const struct night_list *before)
{
	int64_t now = time(NULL);

	for (size_t i = 0; i < before->count; i++) {
		int64_t its = json_integer_value(json_object_get(before->nights[i], "night"));

		now = its >= now ? its + 1 : now;
	}
	return now;
}

json_t *night_mechanisms(const struct night_options *options)
{
	json_t *names = json_array();

	for (size_t i = 0; i < options->mechanism_count; i++)
		json_array_append_new(names, json_string(options->mechanisms[i]->name));
	return names;
}

static json_t *words_of(const struct night_options *options)
{
	json_t *words = json_array();

	for (int i = 0; i < options->argc; i++)
		json_array_append_new(words, json_string(options->argv[i]));
	return words;
}

void night_begin_record(struct night *night, json_t *use, bool forced)
{
	int64_t when = next_night(&night->before);
	char utc[24], random[40];

	record_new_id(random, sizeof(random));
	clock_format_utc((time_t)when, true, utc, sizeof(utc));
	_cleanup_free_ char *id = format_string("%s%s", utc, strrchr(random, '-'));

	night->json = json_pack("{s:s, s:s, s:s, s:s, s:I, s:{s:s, s:s}, s:o, s:s, s:o, s:b, s:O, "
				"s:{s:[]}, s:[], s:[], s:n, s:[]}",
		"schema", "fleetlab.night/1", "id", id, "state", "in-progress", "reason", "",
		"night", (json_int_t)when, "build", "version", fleetlab_version, "commit",
		fleetlab_commit, "command", words_of(night->options), "profile",
		profile_name(PROFILE_NIGHTLY), "mechanisms", night_mechanisms(night->options),
		"forced", (int)forced, "use", use, "host", "changed", "runs", "metrics", "drill",
		"notes");
	night_set_time(night->json, "started", time(NULL));
	night_set_time(night->json, "end_by", night->end_by);
}

static size_t count_if(const json_t *rows, const char *key, const char *value)
{
	const json_t *row;
	size_t count = 0, i;

	json_array_foreach (rows, i, row)
		count += strcmp(json_text(json_object_get(row, "verdict"), key), value) == 0;
	return count;
}

static size_t count_alerts(const json_t *rows, const char *direction)
{
	const json_t *row;
	size_t count = 0, i;

	json_array_foreach (rows, i, row) {
		const json_t *verdict = json_object_get(row, "verdict");

		count += json_is_true(json_object_get(verdict, "alert")) &&
			 strcmp(json_text(verdict, "direction"), direction) == 0;
	}
	return count;
}

void night_put_totals(struct night *night)
{
	static const char *const states[] = {
		"learning", "quiet", "suspect", "confirmed", "recovered"};
	const json_t *rows = json_object_get(night->json, "metrics"), *entry;
	json_t *totals = json_pack("{s:I}", "metrics", (json_int_t)json_array_size(rows));
	double trials = 0, failed = 0, wall_s = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(states); i++)
		json_object_set_new(totals, states[i],
			json_integer((json_int_t)count_if(rows, "state", states[i])));
	json_object_set_new(
		totals, "regressions", json_integer((json_int_t)count_alerts(rows, "worse")));
	json_object_set_new(
		totals, "improvements", json_integer((json_int_t)count_alerts(rows, "better")));
	json_object_set_new(
		totals, "changes", json_integer((json_int_t)count_alerts(rows, "other")));
	json_array_foreach (json_object_get(night->json, "runs"), i, entry) {
		const json_t *counts = json_object_get(entry, "trials");
		double bad = json_number(counts, "failed", 0) + json_number(counts, "invalid", 0);

		wall_s += json_number(entry, "wall_s", 0);
		trials += bad + json_number(counts, "ok", 0);
		failed += strncmp(json_text(entry, "purpose"), "drill", 5) == 0 ? 0 : bad;
	}
	json_object_set_new(totals, "trials", json_integer((json_int_t)trials));
	json_object_set_new(totals, "trials_failed", json_integer((json_int_t)failed));
	json_object_set_new(totals, "wall_s", json_real(wall_s));
	json_object_set_new(night->json, "totals", totals);
}

/* A regression wins over all, also in a night that was cut after it had been confirmed. */
static enum night_exit status_of(const struct night *night, enum night_exit otherwise)
{
	const json_t *totals = json_object_get(night->json, "totals");

	if (json_number(totals, "regressions", 0) > 0)
		return NIGHT_REGRESSION;
	return otherwise == NIGHT_QUIET && json_number(totals, "trials_failed", 0) > 0
		       ? NIGHT_TRIALS_FAILED
		       : otherwise;
}

struct error *night_close(
	struct night *night, const char *state, const char *reason, enum night_exit status)
{
	night_set_text(night->json, "state", state);
	night_set_text(night->json, "reason", reason);
	night_set_time(night->json, "finished", time(NULL));
	json_object_set_new(night->json, "untold", json_true());
	night_put_totals(night);
	night_set_exit(night, status_of(night, status));
	json_object_set_new(night->json, "ledger", night_ledger(&night->before, night->json));
	return night_keep(night);
}
