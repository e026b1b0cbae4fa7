/* The journal of a run: see journal.h. Must never leave half a line that a later read would
 * believe. */
#include "harness/engine/journal.h"
#include "harness/base/clock.h"
#include "harness/base/fs.h"
#include "harness/engine/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define JOURNAL_MAX_BYTES ((size_t)512 << 20)

struct journal {
	int fd;
	off_t size; /* of what is complete */
	char *path;
};

void journal_close(struct journal *journal)
{
	if (!journal)
		return;
	cleanup_close(&journal->fd);
	free(journal->path);
	free(journal);
}

static struct error *open_locked(const char *dir, int flags, struct journal **journal)
{
	_cleanup_(cleanup_journal) struct journal *opened = calloc(1, sizeof(*opened));
	struct deadline deadline = deadline_after_ms(1500);

	if (!opened)
		abort();
	opened->path = format_string("%s/journal.jsonl", dir);
	opened->fd = open(opened->path, flags | O_RDWR | O_CLOEXEC, 0644);
	if (opened->fd < 0)
		return error_errno(errno, "cannot open %s", opened->path);
	/* The lab of a run that was killed holds the lock for as long as the kernel takes to end
	 * it. */
	while (flock(opened->fd, LOCK_EX | LOCK_NB) < 0 && !deadline_passed(deadline))
		poll(NULL, 0, 20);
	if (flock(opened->fd, LOCK_EX | LOCK_NB) < 0)
		return error_hint(error_new(ERROR_SETUP,
					  "this run is in progress: another process "
					  "writes %s",
					  opened->path),
			"wait for it, or end it with ^C");
	*journal = take_ptr(opened);
	return NULL;
}

struct error *journal_append(struct journal *journal, const char *key, const json_t *value)
{
	_cleanup_json_ json_t *line = json_pack("{s:O}", key, (json_t *)value);
	_cleanup_free_ char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(17));
	_cleanup_free_ char *whole = format_string("%s\n", text ? text : "");
	size_t size = strlen(whole);
	struct error *err;

	if (!text)
		return error_new(ERROR_INTERNAL, "cannot form a journal line");
	err = fs_write_all(journal->fd, whole, size, journal->path);
	if (!err && fdatasync(journal->fd) < 0)
		err = error_errno(errno, "cannot sync %s", journal->path);
	if (err) {
		/* A full disk: take the half line back, so that the run can be resumed. */
		if (ftruncate(journal->fd, journal->size) < 0)
			err = error_prefix(err, "and the half line stays");
		lseek(journal->fd, journal->size, SEEK_SET);
		return err;
	}
	journal->size += (off_t)size;
	return NULL;
}

struct error *journal_create(const char *dir, const json_t *header, struct journal **journal)
{
	_cleanup_(cleanup_journal) struct journal *opened = NULL;

	try_(fs_make_dirs(dir));
	try_(open_locked(dir, O_CREAT | O_EXCL, &opened));
	try_(journal_append(opened, "run", header));
	*journal = take_ptr(opened);
	return NULL;
}

bool journal_take_plan(json_t *header, const json_t *line)
{
	json_t *plan = json_object_get(line, "plan");
	const json_t *planned = json_object_get(line, "planned");

	if (plan)
		json_object_set(header, "plan", plan);
	else if (planned)
		plan_append(json_object_get(header, "plan"), planned);
	return plan || planned;
}

static struct error *take_line(const char *path, const char *line, size_t length, size_t number,
	json_t **header, json_t *trials)
{
	_cleanup_json_ json_t *parsed = json_loadb(line, length, 0, NULL);
	json_t *value;

	if (!json_is_object(parsed))
		return error_new(ERROR_SETUP, "%s:%zu is damaged", path, number);
	if ((value = json_object_get(parsed, "run")) && !*header)
		*header = json_incref(value);
	else if ((value = json_object_get(parsed, "trial")))
		json_array_append(trials, value);
	else
		journal_take_plan(*header, parsed);
	return NULL;
}

/* Parses complete lines; *complete is where the last one ends. */
static struct error *parse(const char *path, const char *text, size_t size, size_t *complete,
	json_t **header, json_t **trials)
{
	_cleanup_json_ json_t *found = NULL;
	_cleanup_json_ json_t *rows = json_array();
	size_t at = 0, number = 1;

	for (const char *end; at < size && (end = memchr(text + at, '\n', size - at)); number++) {
		size_t length = (size_t)(end - text) - at;

		try_(take_line(path, text + at, length, number, &found, rows));
		at += length + 1;
	}
	if (!json_is_object(found) || !json_is_object(json_object_get(found, "plan")))
		return error_hint(error_new(ERROR_SETUP,
					  "%s has no plan: the run ended before it began", path),
			"start it anew with fleetlab run");
	*complete = at;
	*header = take_ptr(found);
	*trials = take_ptr(rows);
	return NULL;
}

struct error *journal_read(const char *dir, json_t **header, json_t **trials)
{
	_cleanup_free_ char *path = format_string("%s/journal.jsonl", dir);
	_cleanup_free_ char *text = NULL;
	size_t size, complete;

	try_(fs_read(path, JOURNAL_MAX_BYTES, &text, &size));
	return parse(path, text, size, &complete, header, trials);
}

bool journal_has_begun(const char *dir)
{
	_cleanup_free_ char *path = format_string("%s/journal.jsonl", dir);
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	_cleanup_error_ struct error *err = fs_read(path, JOURNAL_MAX_BYTES, &text, &size);

	/* One that cannot be read has something in it: it is not ours to begin anew. */
	return err || memchr(text, '\n', size);
}

struct error *journal_resume(
	const char *dir, struct journal **journal, json_t **header, json_t **trials)
{
	_cleanup_(cleanup_journal) struct journal *opened = NULL;
	_cleanup_json_ json_t *found = NULL;
	_cleanup_json_ json_t *rows = NULL;
	_cleanup_free_ char *text = NULL;
	size_t size, complete;

	try_(open_locked(dir, 0, &opened));
	try_(fs_read(opened->path, JOURNAL_MAX_BYTES, &text, &size));
	try_(parse(opened->path, text, size, &complete, &found, &rows));
	if (ftruncate(opened->fd, (off_t)complete) < 0 || lseek(opened->fd, 0, SEEK_END) < 0)
		return error_errno(
			errno, "cannot drop the half line at the end of %s", opened->path);
	opened->size = (off_t)complete;
	*journal = take_ptr(opened);
	*header = take_ptr(found);
	*trials = take_ptr(rows);
	return NULL;
}
