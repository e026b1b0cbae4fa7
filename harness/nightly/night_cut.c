/* Nights that were cut, by a kill, a reboot or ^C: they go on while there is time, and are closed
 * as what they are when there is none. */
#include "harness/base/fs.h"
#include "harness/base/log.h"
#include "harness/base/version.h"
#include "harness/nightly/night_internal.h"
#include "harness/record/samples.h"

#include <string.h>

static time_t time_of(const json_t *night, const char *key)
{
	struct tm tm = {0};

	return strptime(json_text(night, key), "%Y-%m-%dT%H:%M:%SZ", &tm) ? timegm(&tm) : 0;
}

/* When the night that was cut has to end: by the same hour, or sooner if that is asked for now.
 * Over at once where the clock is before its beginning. */
static time_t end_of(const struct night_options *options, const json_t *cut)
{
	time_t started = time_of(cut, "started"), end = time_of(cut, "end_by");

	if (started > time(NULL))
		return 0;
	end = end < started + NIGHT_MOST_S ? end : started + NIGHT_MOST_S;
	return options->end_by && options->end_by < end ? options->end_by : end;
}

static struct error *close_cut(const struct night *night, json_t *cut, size_t before)
{
	struct night closing = {.options = night->options,
		.json = cut,
		.before = {night->before.nights, before, NULL}};

	log_info("night %s was cut, and its time is over: it is incomplete", json_text(cut, "id"));
	return night_close(&closing, "incomplete",
		"it was cut, and its time was over before it could go on", NIGHT_NOTHING);
}

struct error *night_find_cut(struct night *night)
{
	struct night_list *before = &night->before;

	for (size_t i = before->count; i-- > 0;) {
		json_t *cut = before->nights[i];
		time_t end = end_of(night->options, cut);

		if (!night_is(cut, "in-progress"))
			continue;
		if (i + 1 < before->count || end <= time(NULL) + NIGHT_WORTH_S) {
			try_(close_cut(night, cut, i));
			continue;
		}
		night->json = cut;
		night->end_by = end;
		night_set_time(cut, "end_by", end);
		before->count--;
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
	_cleanup_json_ json_t *names = night_mechanisms(night->options);
	_cleanup_json_ json_t *none = json_object();
	const json_t *then = json_object_get(json_object_get(night->json, "asked"), "parameters");
	const json_t *now = night->options->overrides;

	return json_equal(names, json_object_get(night->json, "mechanisms")) &&
	       json_equal(then ? then : none, now ? now : none);
}

struct error *night_go_on(struct night *night)
{
	json_int_t resumed = json_integer_value(json_object_get(night->json, "resumed"));
	const char *commit = json_text(json_object_get(night->json, "build"), "commit");
	const char *why_not = NULL;

	if (strcmp(commit, fleetlab_commit) != 0)
		why_not = "it was cut, and fleetlab was replaced meanwhile";
	else if (!night->options->resume_only && !same_plan(night))
		why_not = "it was cut, and another set of mechanisms or parameters was asked for";
	if (why_not) {
		try_(night_close(night, "incomplete", why_not, NIGHT_NOTHING));
		night->before.nights[night->before.count++] = take_ptr(night->json);
		night->end_by = night->options->end_by;
		return NULL;
	}
	log_info("night %s goes on until %s", json_text(night->json, "id"),
		json_text(night->json, "end_by"));
	json_object_set_new(night->json, "resumed", json_integer(resumed + 1));
	night_set_text(night->json, "reason", "");
	restore_options(night);
	return night_keep(night);
}
