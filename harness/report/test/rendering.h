/* Records and their reports, for tests of what a report says. Include once in a test file. */
#pragma once

#include "harness/base/test/support.h"
#include "harness/report/report.h"

/* Takes `json` over; the record is the caller's. */
static inline struct record *made(json_t *json)
{
	struct record *record = NULL;

	assert_ok(record_from_json(json, &record));
	json_decref(json);
	return record;
}

/* The text is the caller's. Not inline: GCC would take it for what open_memstream() was given. */
__attribute__((noinline, unused)) static char *render(const struct record *record,
	enum report_format format, const struct report_options *options)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_ok(report_render(record, format, options, out));
	fclose(out);
	return text;
}

/* The same of a record that is needed no longer: takes `json` over. */
static inline char *render_json(
	json_t *json, enum report_format format, const struct report_options *options)
{
	_cleanup_record_ struct record *record = made(json);

	return render(record, format, options);
}
