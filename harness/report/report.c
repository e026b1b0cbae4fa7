/* Which format, and nothing else: see report.h. */
#include "harness/report/report.h"

#include "harness/base/nearest.h"
#include "harness/report/formats.h"

#include <errno.h>
#include <string.h>

struct error *report_format_parse(const char *name, enum report_format *format)
{
	static const char *const names[] = {
		[REPORT_TEXT] = "text",
		[REPORT_MARKDOWN] = "markdown",
		[REPORT_CSV] = "csv",
		[REPORT_JSON] = "json",
		[REPORT_JUNIT] = "junit",
	};
	const char *near;
	struct error *err;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(names[i], name) == 0) {
			*format = (enum report_format)i;
			return NULL;
		}
	}
	err = error_new(ERROR_USAGE, "there is no format '%s'", name);
	near = nearest_name(name, names, ARRAY_SIZE(names));
	return near ? error_hint(err, "did you mean %s?", near)
		    : error_hint(err, "the formats are text, markdown, csv, json and junit");
}

struct error *report_render(const struct record *record, enum report_format format,
	const struct report_options *options, FILE *out)
{
	const struct page page = {out, page_width(options->width), options->colour};
	_cleanup_json_ json_t *view = NULL;

	try_(view_make(record, options, &view));
	switch (format) {
	case REPORT_TEXT:
		text_render(view, record->json, &page, options);
		break;
	case REPORT_MARKDOWN:
		markdown_render(view, record->json, options, out);
		break;
	case REPORT_CSV:
		csv_render(view, out);
		break;
	case REPORT_JSON:
		if (options->verbose)
			json_object_set(view, "samples", json_object_get(record->json, "trials"));
		json_dumpf(view, out, JSON_INDENT(2));
		fputc('\n', out);
		break;
	case REPORT_JUNIT:
		junit_render(view, out);
		break;
	}
	/* Flushed here: what the caller logs next shall stand below it, not in its midst. */
	if (fflush(out) != 0 || ferror(out))
		return error_errno(errno, "cannot write the report");
	return NULL;
}
