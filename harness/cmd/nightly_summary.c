/* Writing and handing on a night's summary: see nightly_summary.h. */
#include "harness/cmd/nightly_summary.h"
#include "harness/base/fs.h"
#include "harness/base/log.h"
#include "harness/nightly/hook.h"
#include "harness/nightly/store.h"
#include "harness/record/samples.h"
#include "harness/report/night.h"

#include <errno.h>
#include <string.h>

enum { FILES = 3 };

static const char *const suffixes[FILES] = {
	[NIGHT_MARKDOWN] = ".md", [NIGHT_HTML] = ".html", [NIGHT_JUNIT] = ".xml"};

struct paths {
	char *of[FILES]; /* by format */
};

static void paths_deinit(struct paths *paths)
{
	for (size_t i = 0; i < FILES; i++)
		free(paths->of[i]);
}

static struct error *render(const json_t *night, enum night_format format, char **text)
{
	_cleanup_free_ char *made = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&made, &size);

	if (!out)
		return error_errno(errno, "cannot make the summary");
	struct error *err = night_report(night, format, out);

	if (fclose(out) != 0 && !err)
		err = error_errno(errno, "cannot make the summary");
	if (!err)
		*text = take_ptr(made);
	return err;
}

static struct error *write_files(const json_t *night, const struct paths *paths)
{
	for (size_t i = 0; i < FILES; i++) {
		_cleanup_free_ char *text = NULL;

		try_(render(night, (enum night_format)i, &text));
		if (text)
			try_(fs_write_atomic(paths->of[i], text, strlen(text)));
	}
	return NULL;
}

static bool hook_is_ok(const json_t *night)
{
	return json_is_true(json_object_get(json_object_get(night, "hook"), "ok"));
}

static struct error *hook_failed(const json_t *night)
{
	return error_hint(error_new(ERROR_SETUP, "the hook failed: %s; nobody was told",
				  json_text(json_object_get(night, "hook"), "reason")),
		"mend it, then: fleetlab nightly --resume --hook COMMAND; the next night tells it, "
		"too");
}

static struct error *tell(
	const struct summary_options *options, json_t *night, const struct paths *paths)
{
	const char *id = json_string_value(json_object_get(night, "id"));
	_cleanup_free_ char *record = night_path(options->results_dir, id, ".json");
	_cleanup_free_ char *headline = night_headline(night);
	_cleanup_free_ char *text = NULL;

	/* What an earlier hook has said is no part of what is told. */
	json_object_del(night, "hook");
	try_(render(night, NIGHT_MARKDOWN, &text));
	const struct hook hook = {
		.command = options->hook,
		.summary = text,
		.headline = headline,
		.record = record,
		.markdown = paths->of[NIGHT_MARKDOWN],
		.html = paths->of[NIGHT_HTML],
		.junit = paths->of[NIGHT_JUNIT],
	};

	hook_run(&hook, night);
	if (hook_is_ok(night))
		json_object_del(night, "untold");
	struct error *err = night_save(night, options->results_dir);

	if (!err)
		err = write_files(night, paths);
	if (hook_is_ok(night))
		return err;
	error_destroy(err);
	return hook_failed(night);
}

/* One that was begun with a hook, or that a hook has failed of, is told by a hook. */
static bool wants_hook(const json_t *night)
{
	return json_object_get(night, "untold") &&
	       (json_is_true(json_object_get(json_object_get(night, "asked"), "hook")) ||
		       (json_object_get(night, "hook") && !hook_is_ok(night)));
}

static struct error *write_all(
	const struct summary_options *options, const json_t *night, struct paths *paths)
{
	_cleanup_free_ char *dir = options->dir ? format_string("%s", options->dir)
						: format_string("%s/nightly", options->results_dir);

	for (size_t i = 0; i < FILES; i++)
		paths->of[i] = format_string("%s/%s%s", dir, json_text(night, "id"), suffixes[i]);
	try_(fs_make_dirs(dir));
	return write_files(night, paths);
}

struct error *summary_write(const struct summary_options *options, json_t *night, bool *told)
{
	_cleanup_(paths_deinit) struct paths paths = {0};
	/* People are told also where the summary's files cannot be written. */
	_cleanup_error_ struct error *unwritten = write_all(options, night, &paths);

	*told = options->hook || !wants_hook(night);
	if (!*told)
		log_warning("night %s was to be told by a hook, and nobody has heard of it: "
			    "fleetlab nightly --resume --hook COMMAND",
			json_text(night, "id"));
	if (options->hook && !night_is(night, "in-progress"))
		try_(tell(options, night, &paths));
	if (unwritten)
		return take_ptr(unwritten);
	log_info("summary: %s", paths.of[NIGHT_MARKDOWN]);
	return NULL;
}

void summary_tell_error(const struct summary_options *options, const struct error *why)
{
	const char *remedy = error_remedy(why);
	_cleanup_json_ json_t *night = json_pack("{s:s, s:s, s:i}", "id", "", "state",
		"not-started", "exit_status", error_exit_status(why));
	_cleanup_free_ char *headline = format_string("there is no night: %s", error_message(why));
	_cleanup_free_ char *text = format_string("# fleetlab nightly\n\n**%s**\n%s%s%s", headline,
		remedy ? "\n- try: " : "", remedy ? remedy : "", remedy ? "\n" : "");
	const struct hook hook = {
		.command = options->hook,
		.summary = text,
		.headline = headline,
		.record = "",
		.markdown = "",
		.html = "",
		.junit = "",
	};

	hook_run(&hook, night);
	if (!hook_is_ok(night))
		log_warning(
			"the hook failed: %s", json_text(json_object_get(night, "hook"), "reason"));
}
