/* Writing and handing on a night's summary: see nightly_summary.h. */
#include "harness/cmd/nightly_summary.h"
#include "harness/base/fs.h"
#include "harness/base/log.h"
#include "harness/nightly/hook.h"
#include "harness/nightly/store.h"
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

static struct error *tell(
	const struct summary_options *options, json_t *night, const struct paths *paths)
{
	const char *id = json_string_value(json_object_get(night, "id"));
	_cleanup_free_ char *record = night_path(options->results_dir, id, ".json");
	_cleanup_free_ char *headline = night_headline(night);
	_cleanup_free_ char *text = NULL;

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
	json_object_del(night, "untold");
	const json_t *said = json_object_get(night, "hook");

	if (!json_is_true(json_object_get(said, "ok")))
		log_warning(
			"the hook failed: %s", json_string_value(json_object_get(said, "reason")));
	try_(night_save(night, options->results_dir));
	return write_files(night, paths);
}

struct error *summary_write(const struct summary_options *options, json_t *night)
{
	_cleanup_free_ char *dir = options->dir ? format_string("%s", options->dir)
						: format_string("%s/nightly", options->results_dir);
	const char *id = json_string_value(json_object_get(night, "id"));
	_cleanup_(paths_deinit) struct paths paths = {0};

	for (size_t i = 0; i < FILES; i++)
		paths.of[i] = format_string("%s/%s%s", dir, id, suffixes[i]);
	try_(fs_make_dirs(dir));
	/* People are told also where the summary's files cannot be written. */
	_cleanup_error_ struct error *unwritten = write_files(night, &paths);

	if (options->hook && !night_is(night, "in-progress"))
		try_(tell(options, night, &paths));
	if (unwritten)
		return take_ptr(unwritten);
	log_info("summary: %s", paths.of[NIGHT_MARKDOWN]);
	return NULL;
}
