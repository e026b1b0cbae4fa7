/* What is sent as it is: logs, reports, the record itself: see api.h. */
#include "dashboard/server/api.h"

#include "dashboard/server/run_logs.h"
#include "harness/base/fs.h"
#include "harness/record/archive.h"
#include "harness/record/samples.h"
#include "harness/report/report.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

/* Of a log, in one answer. */
#define LOG_CHUNK ((size_t)1 << 20)

struct error *api_logs_get(struct ask *ask, struct answer **answer)
{
	_cleanup_free_ char *id = NULL;

	try_(api_run_id(ask, ask->captured[0], &id));
	*answer = answer_json(json_pack("{s:o}", "logs", run_logs(store_root(ask->store), id)),
		ANSWER_REVALIDATE);
	return NULL;
}

/* "trial-0003/g0.console" of the segments where "**" begins; NULL unless all are plain. */
static char *log_name(const struct request *request)
{
	GString *name = g_string_new("");

	for (size_t i = 5; i < request->count; i++) /* api v1 runs ID logs … */
		g_string_append_printf(name, "%s%s", i > 5 ? "/" : "", request->segments[i]);
	if (!archive_name_is_plain(name->str)) {
		g_string_free(name, TRUE);
		return NULL;
	}
	return g_string_free(name, FALSE);
}

static struct error *read_chunk(int fd, int64_t offset, char **text, size_t *size)
{
	char *bytes = malloc(LOG_CHUNK);
	size_t got = 0;
	ssize_t n = 1;

	if (!bytes)
		abort();
	while (got < LOG_CHUNK && n > 0) {
		n = pread(fd, bytes + got, LOG_CHUNK - got, offset + (off_t)got);
		if (n < 0 && errno != EINTR) {
			free(bytes);
			return error_errno(errno, "cannot read the log");
		}
		got += n > 0 ? (size_t)n : 0;
	}
	*text = bytes;
	*size = got;
	return NULL;
}

struct error *api_log_get(struct ask *ask, struct answer **answer)
{
	_cleanup_free_ char *id = NULL;
	_cleanup_free_ char *name = log_name(ask->request);
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	int64_t offset;
	char *text;
	size_t size;
	struct error *err;

	if (!request_number(ask->request, "offset", INT64_MAX / 2, 0, &offset))
		return error_new(ERROR_USAGE, "offset is no whole number");
	try_(api_run_id(ask, ask->captured[0], &id));
	if (!name)
		return api_not_found(ask, error_new(ERROR_USAGE, "there is no such log"));
	path = format_string("runs/%s/%s", id, name);
	err = fs_open_beneath(store_root(ask->store), path, &fd, NULL);
	if (err) {
		error_destroy(err);
		return api_not_found(ask, error_new(ERROR_USAGE, "run %s has no log %s", id, name));
	}
	try_(read_chunk(fd, offset, &text, &size));
	/* what a guest wrote need not be text; nobody is to take it for anything else */
	*answer =
		answer_new(MHD_HTTP_OK, "text/plain; charset=utf-8", text, size, ANSWER_REVALIDATE);
	return NULL;
}

static const struct {
	const char *name, *type;
	enum report_format format;
} reports[] = {
	{"report.md", "text/markdown; charset=utf-8", REPORT_MARKDOWN},
	{"report.txt", "text/plain; charset=utf-8", REPORT_TEXT},
	{"report.csv", "text/csv; charset=utf-8", REPORT_CSV},
	{"report.json", "application/json; charset=utf-8", REPORT_JSON},
	{"report.xml", "text/xml; charset=utf-8", REPORT_JUNIT},
};

static struct error *send_report(const struct record *record, size_t which, struct answer **answer)
{
	const struct report_options options = {.width = 100};
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	struct error *err;

	if (!out)
		return error_errno(errno, "cannot hold the report");
	err = report_render(record, reports[which].format, &options, out);
	if (fclose(out) != 0 && !err)
		err = error_errno(errno, "cannot hold the report");
	if (err) {
		free(text);
		return err;
	}
	*answer = answer_new(MHD_HTTP_OK, reports[which].type, text, size, ANSWER_REVALIDATE);
	return NULL;
}

/* As it is: nothing is made of it, so it may be of any size. */
static struct error *send_record(struct ask *ask, struct answer **answer)
{
	_cleanup_free_ char *id = NULL;
	_cleanup_json_ json_t *row = NULL;
	struct stat status;
	struct error *err;
	int fd;

	try_(api_run_id(ask, ask->captured[0], &id));
	try_(index_run(ask->reader->index, id, &row));
	if (!row)
		return api_not_found(
			ask, error_new(ERROR_USAGE, "there is no record of a run '%s' yet", id));
	err = fs_open_beneath(store_root(ask->store), json_text(row, "path"), &fd, &status);
	if (err)
		return api_not_found(ask, error_prefix(err, "the record of run %s", id));
	*answer = answer_file("application/json; charset=utf-8", fd, &status, ANSWER_REVALIDATE);
	/* files that are open are not kept so */
	ask->passing = true;
	return NULL;
}

struct error *api_report_get(struct ask *ask, struct answer **answer)
{
	_cleanup_held_ struct held_record *held = NULL;
	const char *name = ask->captured[1];
	size_t which = 0;

	while (which < ARRAY_SIZE(reports) && strcmp(reports[which].name, name) != 0)
		which++;
	if (strcmp(name, "record.json") == 0)
		return send_record(ask, answer);
	if (which == ARRAY_SIZE(reports))
		return api_not_found(ask, error_new(ERROR_USAGE, "a run has no '%.40s'", name));
	try_(api_hold(ask, ask->captured[0], &held));
	return send_report(held_record(held), which, answer);
}
