/* A night from beginning to end: see night.h. Every step is in the record before and after it. */
#include "harness/base/fs.h"
#include "harness/base/log.h"
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
#include <string.h>

/* Earlier nights are told for so long: a hook that hangs must not take the night's time. */
#define TELL_EARLIER_MS 120000
/* How often a host in use is looked at again. */
#define LOOK_AGAIN_MS 2000

static void night_deinit(struct night *night)
{
	night_list_deinit(&night->before);
	json_decref(night->json);
	json_decref(night->memory_before);
	cleanup_close(&night->lock_fd);
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

/* A night that was cut has the host for itself until its end, unless it is told otherwise: the load
 * of a minute is at first its own, and who uses the host for a while is no reason to end it. */
static time_t waits_until(const struct night *night)
{
	time_t start_by = night->options->start_by;
	time_t latest = night->end_by - (night->json ? NIGHT_WORTH_S : 0);

	if (start_by == 0)
		return night->json ? latest : 0;
	return start_by < latest ? start_by : latest;
}

static void say_waiting(const struct night *night, const json_t *use, time_t start_by)
{
	char until[24];

	clock_format_utc(start_by, false, until, sizeof(until));
	log_info("waiting for the host, until %s at the latest: it is in use: %s%s", until,
		json_string_value(json_array_get(json_object_get(use, "reasons"), 0)),
		night->json ? "; some of its load may be the night's own, from before it was cut"
			    : "");
}

/* Waits for a quiet host, at least until killed labs are gone. */
static json_t *wait_for_host(const struct night *night)
{
	const struct night_options *options = night->options;
	time_t start_by = waits_until(night);
	struct deadline lab_end = deadline_after_ms(NIGHT_LAB_END_MS);
	json_t *use = look_at_use(options);

	if (is_used(use) && !options->force_busy && start_by > time(NULL))
		say_waiting(night, use, start_by);
	while (is_used(use) && !options->force_busy && !interrupted()) {
		bool waits = start_by > time(NULL);
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
	night_put_totals(night);
	return night_keep(night);
}

/* Verdicts and memory are written at once and once, whatever cuts the night afterwards: memory of
 * an alert without its verdict would be an alert that nobody hears of. */
static bool is_judged(const struct night *night)
{
	return json_is_object(json_object_get(night->json, "memory"));
}

static struct error *spend(struct night *night)
{
	_cleanup_free_ char *why_not = NULL;

	night->memory_before = last_memory(&night->before);
	night->rows = json_object_get(night->json, "metrics");
	try_(interrupt_at(night->end_by - NIGHT_LAST_S));
	if (!is_judged(night)) {
		try_(measure(night, &why_not));
		if (why_not)
			return night_close(night, "incomplete", why_not, NIGHT_NOTHING);
		try_(judge_tonight(night));
	}
	try_(night_drill(night));
	return night_close(night, "complete", "", NIGHT_QUIET);
}

/* ^C, TERM: the record stays in progress, so that the night can go on. */
static struct error *leave(struct night *night)
{
	night_set_text(night->json, "reason",
		"interrupted; it goes on with fleetlab nightly --resume while there is time");
	night_set_exit(night, NIGHT_INTERRUPTED);
	night_put_totals(night);
	return night_keep(night);
}

/* ---- which night ---- */

static struct error *take_lock(struct night *night)
{
	_cleanup_free_ char *dir = format_string("%s/nightly", night->options->results_dir);
	_cleanup_free_ char *path = format_string("%s/lock", dir);

	struct error *err = fs_make_dirs(dir);

	if (!err) {
		night->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
		err = night->lock_fd < 0 ? error_errno(errno, "cannot open %s", path) : NULL;
	}
	if (err)
		return error_hint(
			err, "make room in %s, or --results DIR", night->options->results_dir);
	err = file_lock(night->lock_fd, path, deadline_after_ms(NIGHT_LAB_END_MS));

	if (!err)
		return NULL;
	error_destroy(err);
	return error_hint(error_new(ERROR_SETUP, "another fleetlab nightly is at work in %s", dir),
		"wait for it, or end it with ^C");
}

static void put_asked(struct night *night)
{
	const struct night_options *options = night->options;

	json_object_set_new(night->json, "asked",
		json_pack("{s:b, s:s*, s:f, s:O*, s:b}", "drill", (int)options->drill,
			"drill_target", options->drill_target, "slowdown", options->slowdown,
			"parameters", options->overrides, "hook", (int)options->has_hook));
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

/* A night that was cut found the host in use: it stays as it is while there is time. */
static struct error *stay_cut(struct night *night, const char *why_not)
{
	_cleanup_free_ char *reason = format_string(
		"%s; it goes on with fleetlab nightly --resume while there is time", why_not);

	if (night->end_by <= time(NULL) + NIGHT_WORTH_S)
		return night_close(night, "incomplete", why_not, NIGHT_NOT_STARTED);
	night_set_text(night->json, "reason", reason);
	night_set_exit(night, NIGHT_NOT_STARTED);
	return night_keep(night);
}

/* *refused: there is nothing to be spent. */
static struct error *begin(struct night *night, bool *refused)
{
	_cleanup_json_ json_t *use = wait_for_host(night);
	_cleanup_free_ char *why_not = NULL;

	/* Who interrupts the waiting has not found the host in use: the first step heeds it. */
	*refused = is_used(use) && !night->options->force_busy && !interrupted();
	if (*refused)
		why_not = reasons_text(use);
	if (night->json)
		return *refused ? stay_cut(night, why_not) : NULL;
	night_begin_record(night, use, is_used(use) && night->options->force_busy);
	put_asked(night);
	night_put_totals(night);
	return *refused ? night_close(night, "not-started", why_not, NIGHT_NOT_STARTED)
			: night_keep(night);
}

/* ---- telling ---- */

/* "untold" stays in the record until people have been told, whatever happens in between. */
static struct error *tell_of(struct night *night, json_t *ended)
{
	const struct night_options *options = night->options;
	bool told = true;

	if (!options->tell)
		return NULL;
	try_(options->tell(options->context, ended, &told));
	if (!told)
		return NULL;
	return json_object_del(ended, "untold") == 0 ? night_save(ended, options->results_dir)
						     : NULL;
}

static void tell(struct night *night, json_t *ended)
{
	_cleanup_error_ struct error *err = tell_of(night, ended);

	if (!err)
		return;
	err = error_prefix(err, "night %s", json_text(ended, "id"));
	log_error(err);
	night->untold++;
}

/* Nights that ended, and then the machine did, or somebody's patience, or the hook failed. */
static void tell_earlier(struct night *night)
{
	struct deadline deadline = deadline_after_ms(TELL_EARLIER_MS);

	for (size_t i = 0; i < night->before.count; i++) {
		json_t *ended = night->before.nights[i];

		if (!json_object_get(ended, "untold"))
			continue;
		if (interrupted() || deadline_passed(deadline)) {
			log_warning("nights from %s on are not told yet: the next one goes on "
				    "telling",
				json_text(ended, "id"));
			return;
		}
		log_info("night %s was not told yet", json_text(ended, "id"));
		tell(night, ended);
	}
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

struct error *night_run(const struct night_options *options, json_t **out, size_t *untold)
{
	_cleanup_(night_deinit) struct night night = {
		.options = options,
		.lock_fd = -1,
		.end_by = options->end_by,
	};
	bool refused;
	struct error *err;

	*out = NULL;
	*untold = 0;
	try_(check_store(options));
	if (!options->resume_only)
		try_(check_plan(options));
	try_(take_lock(&night));
	interrupt_catch();
	try_(night_list_load(options->results_dir, NULL, &night.before));
	try_(night_find_cut(&night));
	if (night.json)
		try_(night_go_on(&night));
	tell_earlier(&night);
	*untold = night.untold;
	if (!night.json && options->resume_only)
		return NULL;
	night_drop_logs(&night); /* first: there may be no room for another */
	if (night.end_by == 0)
		night.end_by = time(NULL) + NIGHT_USUAL_S;
	try_(begin(&night, &refused));
	if (!refused) {
		err = spend(&night);
		error_destroy(interrupt_at(0));
		if (err && error_kind(err) == ERROR_INTERRUPTED) {
			error_destroy(err);
			err = leave(&night);
		}
		try_(err);
	}
	for (size_t i = 0; i < json_array_size(night.before.damaged); i++)
		log_warning("a damaged night is left out: %s",
			json_string_value(json_array_get(night.before.damaged, i)));
	tell(&night, night.json);
	*untold = night.untold;
	*out = json_incref(night.json);
	return NULL;
}
