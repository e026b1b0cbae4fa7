/* A night from beginning to end: see night.h. Every step is in the record before and after it. */
#include "harness/base/fs.h"
#include "harness/base/log.h"
#include "harness/base/version.h"
#include "harness/engine/interrupt.h"
#include "harness/host/file_lock.h"
#include "harness/host/installed.h"
#include "harness/host/lock.h"
#include "harness/host/use.h"
#include "harness/nightly/judge.h"
#include "harness/nightly/night_internal.h"
#include "harness/record/record.h"
#include "harness/record/samples.h"
#include "harness/record/synthetic.h"
#include "harness/watch/attribute.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>

/* How often a host in use is looked at again. */
#define LOOK_AGAIN_MS 2000
/* Labs of a night that was killed are gone after this long. */
#define LAB_END_MS 2000
/* A night that was cut is worth going on with for this long at least. */
#define WORTH_S 10
/* Time to take a lab down and to write the record and the summary. */
#define LAST_MS 3000

static void night_deinit(struct night *night)
{
	night_list_deinit(&night->before);
	json_decref(night->json);
	json_decref(night->memory_before);
	json_decref(night->untold);
	cleanup_close(&night->lock_fd);
}

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
	return difftime(night->end_by, time(NULL)) - LAST_MS / 1e3;
}

static void set_text(json_t *object, const char *key, const char *text)
{
	json_object_set_new(object, key, json_string(text));
}

static void set_time(json_t *object, const char *key, time_t when)
{
	char text[24];

	clock_format_utc(when, false, text, sizeof(text));
	set_text(object, key, text);
}

static void set_exit(struct night *night, enum night_exit status)
{
	json_object_set_new(night->json, "exit_status", json_integer(status));
}

/* ---- a host in use ---- */

static json_t *look_at_use(const struct night_options *options)
{
	json_t *use = host_use(options->proc, options->most_load);
	_cleanup_json_ json_t *holder = NULL;

	error_destroy(host_lock_holder(&holder));
	if (holder) {
		_cleanup_free_ char *text = format_string(
			"fleetlab itself is at work: %.200s", json_text(holder, "what"));

		json_array_append_new(json_object_get(use, "reasons"), json_string(text));
	}
	return use;
}

static bool is_used(const json_t *use)
{
	return json_array_size(json_object_get(use, "reasons")) > 0;
}

/* Waits for a quiet host as long as the options allow; at least until killed labs are gone. */
static json_t *wait_for_host(const struct night_options *options)
{
	struct deadline lab_end = deadline_after_ms(LAB_END_MS);
	json_t *use = look_at_use(options);

	if (is_used(use) && !options->force_busy && options->start_by > time(NULL))
		log_info("waiting for the host, which is in use: %s",
			json_string_value(json_array_get(json_object_get(use, "reasons"), 0)));
	while (is_used(use) && !options->force_busy && !interrupted()) {
		bool waits = options->start_by > time(NULL);
		struct pollfd pfd = {.fd = interrupt_fd(), .events = POLLIN};

		if (!waits && deadline_passed(lab_end))
			break;
		poll(&pfd, 1, waits ? LOOK_AGAIN_MS : 100);
		json_decref(use);
		use = look_at_use(options);
	}
	return use;
}

static char *reasons_text(const json_t *use)
{
	const json_t *reasons = json_object_get(use, "reasons");
	size_t more = json_array_size(reasons);
	_cleanup_free_ char *rest =
		more > 1 ? format_string(", and %zu more", more - 1) : format_string("%s", "");

	return format_string("the host is in use: %s%s",
		more ? json_string_value(json_array_get(reasons, 0)) : "", rest);
}

/* ---- the record's beginning and end ---- */

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

static json_t *names_of(const struct night_options *options)
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

static void begin_record(struct night *night, json_t *use)
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
		profile_name(PROFILE_NIGHTLY), "mechanisms", names_of(night->options), "forced",
		is_used(use) && night->options->force_busy, "use", use, "host", "changed", "runs",
		"metrics", "drill", "notes");
	set_time(night->json, "started", time(NULL));
	set_time(night->json, "end_by", night->end_by);
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

static void put_totals(struct night *night)
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

static struct error *close_night(
	struct night *night, const char *state, const char *reason, enum night_exit status)
{
	set_text(night->json, "state", state);
	set_text(night->json, "reason", reason);
	set_time(night->json, "finished", time(NULL));
	set_exit(night, status);
	put_totals(night);
	json_object_set_new(night->json, "ledger", night_ledger(&night->before, night->json));
	return night_keep(night);
}

/* ---- what was measured ---- */

/* Host, build, images and packages, and what of them is new since the last night. */
static void put_host(struct night *night, const json_t *record)
{
	_cleanup_json_ json_t *fields = attribute_fields(record);
	_cleanup_json_ json_t *packages = host_installed(deadline_after_ms(20000));
	json_t *pair[2] = {NULL, fields}, *host, *value;
	const char *name;
	char hex[33];

	json_object_foreach (packages, name, value) {
		_cleanup_free_ char *key = strcmp(name, "all") == 0
						   ? format_string("%s", "packages")
						   : format_string("package.%.100s", name);

		json_object_set(fields, key, value);
	}
	for (size_t i = 0; i < night->before.count; i++) {
		value = json_object_get(json_object_get(night->before.nights[i], "host"), "fields");
		pair[0] = value ? value : pair[0];
	}
	attribute_fingerprint(fields, hex);
	host = json_pack("{s:s, s:O, s:o}", "fingerprint", hex, "fields", fields, "changed",
		attribute_changes(pair, 2, 1, 1));
	json_t *changed = json_object_get(host, "changed");
	size_t i;

	json_array_foreach (changed, i, value)
		json_object_set(value, "night", json_object_get(night->json, "id"));
	json_object_set_new(night->json, "host", host);
}

static void note_cut(struct night *night, const json_t *record, const char *what)
{
	size_t planned =
		json_array_size(json_object_get(json_object_get(record, "plan"), "trials"));
	size_t done = json_array_size(json_object_get(record, "trials"));

	if (done < planned)
		night_note(night, "%s was cut by the time: %zu of %zu trials", what, done, planned);
}

/* *why_not is set when there is nothing to judge. */
static struct error *measure(struct night *night, char **why_not)
{
	const struct step main_step = {.purpose = "measure", .share = 0.55};
	const struct step aa_step = {.purpose = "aa", .aa = true, .share = 0.5};
	_cleanup_json_ json_t *record = NULL;
	_cleanup_json_ json_t *aa_record = NULL;
	_cleanup_free_ char *no_aa = NULL;

	try_(night_step(night, &main_step, &record, why_not));
	if (!record)
		return NULL;
	note_cut(night, record, "what is measured");
	put_host(night, record);
	try_(night_step(night, &aa_step, &aa_record, &no_aa));
	if (no_aa)
		night_note(night, "there is no A/A arm tonight: %s", no_aa);
	else
		note_cut(night, aa_record, "the A/A arm");
	json_object_set_new(night->json, "metrics", night_readings(record, aa_record));
	night->rows = json_object_get(night->json, "metrics");
	if (json_array_size(night->rows) == 0)
		*why_not = format_string("no trial gave a reading");
	return night_keep(night);
}

/* The last night that was judged keeps what the watch remembers. */
static json_t *last_memory(const struct night_list *before)
{
	for (size_t i = before->count; i-- > 0;) {
		const json_t *memory = json_object_get(before->nights[i], "memory");

		if (json_is_object(memory))
			return json_deep_copy(memory);
	}
	return json_object();
}

static struct error *judge_tonight(struct night *night)
{
	_cleanup_json_ json_t *memory = json_deep_copy(night->memory_before);
	struct confirming confirming = {.night = night};
	const struct judging judging = {
		.before = &night->before,
		.night = night->json,
		.rows = night->rows,
		.memory = memory,
		.confirm = night_confirm,
		.context = &confirming,
	};

	try_(judge(&judging));
	json_object_set(night->json, "memory", memory);
	put_totals(night);
	return night_keep(night);
}

static enum night_exit status_of(const struct night *night)
{
	const json_t *totals = json_object_get(night->json, "totals");

	if (json_number(totals, "regressions", 0) > 0)
		return NIGHT_REGRESSION;
	return json_number(totals, "trials_failed", 0) > 0 ? NIGHT_TRIALS_FAILED : NIGHT_QUIET;
}

static struct error *spend(struct night *night)
{
	_cleanup_free_ char *why_not = NULL;

	night->memory_before = last_memory(&night->before);
	interrupt_after_ms((int64_t)(night_seconds_left(night) * 1e3));
	try_(measure(night, &why_not));
	if (why_not)
		return close_night(night, "incomplete", why_not, 1);
	try_(judge_tonight(night));
	try_(night_drill(night));
	return close_night(night, "complete", "", status_of(night));
}

/* ^C, TERM: the record stays in progress, so that the night can go on. */
static struct error *leave(struct night *night)
{
	set_text(night->json, "reason",
		"interrupted; it goes on with fleetlab nightly --resume while there is time");
	set_exit(night, NIGHT_INTERRUPTED);
	put_totals(night);
	return night_keep(night);
}

/* ---- which night ---- */

static struct error *take_lock(struct night *night)
{
	_cleanup_free_ char *dir = format_string("%s/nightly", night->options->results_dir);
	_cleanup_free_ char *path = format_string("%s/lock", dir);

	try_(fs_make_dirs(dir));
	night->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (night->lock_fd < 0)
		return error_errno(errno, "cannot open %s", path);
	struct error *err = file_lock(night->lock_fd, path, deadline_after_ms(LAB_END_MS));

	if (!err)
		return NULL;
	error_destroy(err);
	return error_hint(error_new(ERROR_SETUP, "another fleetlab nightly is at work in %s", dir),
		"wait for it, or end it with ^C");
}

static time_t time_of(const json_t *night, const char *key)
{
	struct tm tm = {0};

	return strptime(json_text(night, key), "%Y-%m-%dT%H:%M:%SZ", &tm) ? timegm(&tm) : 0;
}

/* It had confirmed something, and never told it. */
static void keep_untold(struct night *night, const json_t *cut)
{
	const json_t *row;
	size_t i;

	json_array_foreach (json_object_get(cut, "metrics"), i, row) {
		const json_t *verdict = json_object_get(row, "verdict");

		if (!json_is_true(json_object_get(verdict, "alert")))
			continue;
		_cleanup_free_ char *text = format_string(
			"night %s was cut after it had confirmed: %s, %+.1f %%, %s",
			json_text(cut, "id"), json_text(row, "name"),
			100 * json_number(verdict, "effect", 0), json_text(verdict, "direction"));

		json_array_append_new(night->untold, json_string(text));
	}
}

/* Takes the last night out of the list if it was cut and its time is not over; earlier ones, and
 * one whose time is over, are closed as what they are. */
static struct error *find_cut(struct night *night)
{
	struct night_list *before = &night->before;
	const struct night_options *options = night->options;

	for (size_t i = before->count; i-- > 0;) {
		json_t *cut = before->nights[i];
		struct night closing = {
			.options = options, .json = cut, .before = {before->nights, i, NULL}};

		if (!night_is(cut, "in-progress"))
			continue;
		if (i + 1 == before->count && time_of(cut, "end_by") > time(NULL) + WORTH_S) {
			night->json = cut;
			night->end_by = time_of(cut, "end_by");
			before->count--;
			continue;
		}
		try_(close_night(&closing, "incomplete",
			"it was cut, and its time was over before it could go on", 1));
		keep_untold(night, cut);
	}
	return NULL;
}

/* From now on the night's options are those that its record has. */
static void restore_options(struct night *night)
{
	const json_t *asked = json_object_get(night->json, "asked"), *name;
	size_t i;

	night->own = *night->options;
	night->own.mechanism_count = 0;
	night->own.mechanisms = night->mechanisms;
	json_array_foreach (json_object_get(night->json, "mechanisms"), i, name) {
		const struct mechanism *mechanism = mechanism_find(json_string_value(name));

		if (mechanism && night->own.mechanism_count < MOST_MECHANISMS)
			night->mechanisms[night->own.mechanism_count++] = mechanism;
	}
	night->own.overrides = json_object_get(asked, "parameters");
	night->own.drill = json_is_true(json_object_get(asked, "drill"));
	night->own.drill_target = json_string_value(json_object_get(asked, "drill_target"));
	night->own.slowdown = json_number(asked, "slowdown", night->options->slowdown);
	night->options = &night->own;
}

/* A night goes on as it was begun: another set of mechanisms is another night. */
static bool same_plan(const struct night *night)
{
	_cleanup_json_ json_t *names = names_of(night->options);
	_cleanup_json_ json_t *none = json_object();
	const json_t *then = json_object_get(json_object_get(night->json, "asked"), "parameters");
	const json_t *now = night->options->overrides;

	return json_equal(names, json_object_get(night->json, "mechanisms")) &&
	       json_equal(then ? then : none, now ? now : none);
}

static struct error *go_on(struct night *night)
{
	json_int_t resumed = json_integer_value(json_object_get(night->json, "resumed"));
	const char *commit = json_text(json_object_get(night->json, "build"), "commit");
	const char *why_not = NULL;

	if (strcmp(commit, fleetlab_commit) != 0)
		why_not = "it was cut, and fleetlab was replaced meanwhile";
	else if (!night->options->resume_only && !same_plan(night))
		why_not = "it was cut, and another set of mechanisms or parameters was asked for";
	if (why_not) {
		try_(close_night(night, "incomplete", why_not, 1));
		keep_untold(night, night->json);
		night->before.nights[night->before.count++] = take_ptr(night->json);
		night->end_by = night->options->end_by;
		return NULL;
	}
	log_info("night %s goes on until %s", json_text(night->json, "id"),
		json_text(night->json, "end_by"));
	json_object_set_new(night->json, "resumed", json_integer(resumed + 1));
	set_text(night->json, "reason", "");
	restore_options(night);
	return night_keep(night);
}

static void put_asked(struct night *night)
{
	const struct night_options *options = night->options;

	json_object_set_new(night->json, "asked",
		json_pack("{s:b, s:s*, s:f, s:O*}", "drill", (int)options->drill, "drill_target",
			options->drill_target, "slowdown", options->slowdown, "parameters",
			options->overrides));
}

/* A word that no night could be made of is the user's to mend, and no night. */
static struct error *check_plan(const struct night_options *options)
{
	const struct plan_options plan_options = {
		.mechanisms = options->mechanisms,
		.mechanism_count = options->mechanism_count,
		.profile = PROFILE_NIGHTLY,
		.overrides = options->overrides,
	};
	_cleanup_json_ json_t *plan = NULL;

	return plan_create(&plan_options, &plan);
}

static struct error *begin(struct night *night)
{
	_cleanup_json_ json_t *use = wait_for_host(night->options);
	_cleanup_free_ char *why_not = NULL;
	bool refused = is_used(use) && !night->options->force_busy;

	if (refused)
		why_not = reasons_text(use);
	if (night->json && !refused)
		return NULL;
	if (night->json) /* a night that was cut; it stays so */
		return close_night(night, "incomplete", why_not, NIGHT_NOT_STARTED);
	begin_record(night, use);
	put_asked(night);
	put_totals(night);
	json_array_extend(json_object_get(night->json, "notes"), night->untold);
	return refused ? close_night(night, "not-started", why_not, NIGHT_NOT_STARTED)
		       : night_keep(night);
}

static struct error *check_store(const struct night_options *options)
{
	if (!store_is_synthetic(options->results_dir))
		return NULL;
	return error_hint(error_new(ERROR_USAGE,
				  "%s is a store of synthetic records: what is measured does not "
				  "belong there",
				  options->results_dir),
		"--results DIR");
}

struct error *night_run(const struct night_options *options, json_t **out)
{
	_cleanup_(night_deinit) struct night night = {
		.options = options,
		.lock_fd = -1,
		.end_by = options->end_by,
		.untold = json_array(),
	};
	struct error *err;

	*out = NULL;
	try_(check_store(options));
	if (!options->resume_only)
		try_(check_plan(options));
	try_(take_lock(&night));
	interrupt_catch();
	try_(night_list_load(options->results_dir, NULL, &night.before));
	try_(find_cut(&night));
	if (night.json)
		try_(go_on(&night));
	if (!night.json && options->resume_only)
		return NULL;
	try_(begin(&night));
	if (night_is(night.json, "in-progress")) {
		err = spend(&night);
		interrupt_after_ms(0);
		if (err && error_kind(err) == ERROR_INTERRUPTED) {
			error_destroy(err);
			err = leave(&night);
		}
		try_(err);
	}
	for (size_t i = 0; i < json_array_size(night.before.damaged); i++)
		log_warning("a damaged night is left out: %s",
			json_string_value(json_array_get(night.before.damaged, i)));
	*out = json_incref(night.json);
	return NULL;
}
