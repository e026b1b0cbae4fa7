/* Reading and writing run records: see record.h. Must never believe what a record says about
 * itself: verdicts come from its samples. */
#include "harness/record/record.h"

#include "harness/base/clock.h"
#include "harness/base/fs.h"
#include "harness/base/version.h"
#include "harness/base/jsontext.h"
#include "harness/record/claims.h"
#include "harness/record/paper.h"
#include "harness/record/schema.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

void record_destroy(struct record *record)
{
	if (!record)
		return;
	json_decref(record->json);
	json_decref(record->notes);
	free(record->path);
	free(record);
}

void record_digest(const json_t *json, char *hex)
{
	_cleanup_json_ json_t *bare = json_copy((json_t *)json);
	_cleanup_free_ char *text = NULL;

	json_object_del(bare, "digest");
	text = json_dumps(bare, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY);
	fs_hash_bytes(text ? text : "", text ? strlen(text) : 0, hex);
}

void record_new_id(char *id, size_t size)
{
	unsigned char random[3] = {0};
	char utc[24];

	clock_format_utc(time(NULL), true, utc, sizeof(utc));
	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
		/* The clock's nanoseconds tell two runs apart as well. */
		int64_t now = clock_now_ns();

		memcpy(random, &now, sizeof(random));
	}
	snprintf(id, size, "%s-%02x%02x%02x", utc, random[0], random[1], random[2]);
}

/* An id becomes a file's name. */
static struct error *check_id(const char *id)
{
	for (const char *p = id; *p; p++) {
		if (!isalnum((unsigned char)*p) && *p != '-' && *p != '_')
			return error_new(ERROR_USAGE,
				"id holds a character that an id cannot have; it is made of "
				"letters, digits, '-' and '_'");
	}
	return NULL;
}

static struct error *check_unique(const json_t *trials, const char *where)
{
	_cleanup_json_ json_t *seen = json_object();
	json_t *trial;
	size_t i;

	json_array_foreach (trials, i, trial) {
		char key[32];

		snprintf(key, sizeof(key), "%" JSON_INTEGER_FORMAT,
			json_integer_value(json_object_get(trial, "index")));
		if (json_object_get(seen, key))
			return error_new(ERROR_USAGE, "%s[%zu].index is %s, which stands twice",
				where, i, key);
		json_object_set_new(seen, key, json_true());
	}
	return NULL;
}

static struct error *check_document(const json_t *json)
{
	try_(schema_check("run", json));
	try_(check_id(json_string_value(json_object_get(json, "id"))));
	try_(check_unique(json_object_get(json, "trials"), "trials"));
	return check_unique(
		json_object_get(json_object_get(json, "plan"), "trials"), "plan.trials");
}

struct error *record_grade(const json_t *json, json_t **claims)
{
	const json_t *mechanisms = json_object_get(json_object_get(json, "plan"), "mechanisms");
	_cleanup_json_ json_t *all = json_array();
	_cleanup_json_ json_t *done = json_object();
	json_t *mechanism;
	size_t i;

	/* A drill slowed a variant down on purpose: nothing of a paper can be graded by it. */
	if (json_is_true(json_object_get(json_object_get(json, "plan"), "drill")))
		mechanisms = NULL;
	json_array_foreach (mechanisms, i, mechanism) {
		const char *name = json_string_value(mechanism);
		const char *id = paper_id_of_mechanism(name);
		const json_t *paper = NULL;
		_cleanup_json_ json_t *graded = NULL;

		if (!id || json_object_get(done, name))
			continue;
		json_object_set_new(done, name, json_true());
		try_(paper_load(id, &paper));
		try_(claims_grade(json, paper, &graded));
		json_array_extend(all, graded);
	}
	*claims = take_ptr(all);
	return NULL;
}

static const char *verdict_in(const json_t *claims, const char *id)
{
	const json_t *claim;
	size_t i;

	json_array_foreach (claims, i, claim) {
		if (strcmp(json_string_value(json_object_get(claim, "id")), id) == 0)
			return json_string_value(json_object_get(claim, "verdict"));
	}
	return NULL;
}

static void add_note(struct record *record, char *text)
{
	json_array_append_new(record->notes, json_string(text));
	free(text);
}

/* The commit of the other build that wrote this record whole; NULL when it was this one, or when
 * the record was changed since. Another build may grade otherwise. Borrowed. */
static const char *other_grader(const struct record *record)
{
	const char *commit = json_string_value(
		json_object_get(json_object_get(record->json, "build"), "commit"));

	return commit && strcmp(commit, fleetlab_commit) != 0 && record_is_as_written(record->json)
		       ? commit
		       : NULL;
}

static void compare_verdicts(struct record *record, const json_t *stored, const json_t *graded)
{
	const char *other = other_grader(record);
	const json_t *claim;
	size_t i;

	json_array_foreach (stored, i, claim) {
		const char *id = json_string_value(json_object_get(claim, "id"));
		const char *said = json_string_value(json_object_get(claim, "verdict"));
		const char *is = verdict_in(graded, id);

		if (is && strcmp(is, said) == 0)
			continue;
		record->altered = record->altered || !other;
		add_note(record,
			other ? format_string("claim %s: %.40s, which wrote this record, graded "
					      "it \"%s\"; this build grades it \"%s\"",
					id, other, said, is ? is : "not at all")
			      : format_string("claim %s: the record says \"%s\", its samples say "
					      "\"%s\"",
					id, said, is ? is : "nothing"));
	}
}

bool record_is_as_written(const json_t *json)
{
	const char *stored = json_string_value(json_object_get(json, "digest"));
	char actual[33];

	if (!stored)
		return false;
	record_digest(json, actual);
	return strcmp(stored, actual) == 0;
}

static void check_digest(struct record *record)
{
	if (!json_object_get(record->json, "digest") || record_is_as_written(record->json))
		return;
	record->altered = true;
	add_note(record, format_string("the record was changed after it was written: its digest "
				       "does not fit its content"));
}

struct error *record_from_json(json_t *json, struct record **record)
{
	_cleanup_record_ struct record *made = NULL;
	_cleanup_json_ json_t *graded = NULL;

	try_(check_document(json));
	made = calloc(1, sizeof(*made));
	if (!made)
		return error_errno(errno, "cannot hold a record");
	made->notes = json_array();
	made->json = json_copy(json);
	check_digest(made);
	try_(record_grade(json, &graded));
	compare_verdicts(made, json_object_get(json, "claims"), graded);
	json_object_set(made->json, "claims", graded);
	*record = take_ptr(made);
	return NULL;
}

struct error *record_parse_json(const char *path, const char *text, size_t size, json_t **json)
{
	json_error_t why;

	if (jsontext_memory(text, size) > RECORD_MAX_MEMORY)
		return error_new(ERROR_USAGE,
			"record %s: it would take more than %zu MiB of memory", path,
			RECORD_MAX_MEMORY >> 20);
	*json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
	if (!*json)
		return error_hint(
			error_new(ERROR_USAGE, "record %s, line %d: %s", path, why.line, why.text),
			"the file is damaged or is no record; fleetlab list shows the runs");
	return NULL;
}

struct error *record_of_json(const char *path, json_t *json, struct record **record)
{
	_cleanup_record_ struct record *loaded = NULL;
	struct error *err = record_from_json(json, &loaded);

	if (err)
		return error_hint(error_prefix(err, "record %s", path),
			"the file is damaged, or was written by another version of fleetlab");
	assert(loaded);
	if (!json_object_get(json, "digest") &&
		strcmp(json_string_value(json_object_get(json, "state")), "running") != 0) {
		loaded->altered = true;
		add_note(loaded, format_string("the record has no digest: it was not written whole "
					       "by fleetlab"));
	}
	loaded->path = format_string("%s", path);
	*record = take_ptr(loaded);
	return NULL;
}

struct error *record_parse(const char *path, const char *text, size_t size, struct record **record)
{
	_cleanup_json_ json_t *json = NULL;

	try_(record_parse_json(path, text, size, &json));
	return record_of_json(path, json, record);
}

struct error *record_load(const char *path, struct record **record)
{
	/* A link that someone names is meant; the other end of a FIFO is waited for by nobody. */
	_cleanup_free_ char *real = realpath(path, NULL);
	_cleanup_json_ json_t *json = NULL;
	_cleanup_free_ char *text = NULL;
	size_t size;

	try_(fs_read_regular(real ? real : path, RECORD_MAX_BYTES, &text, &size, NULL));
	try_(record_parse_json(path, text, size, &json));
	free(take_ptr(text));
	return record_of_json(path, json, record);
}

struct error *record_save(json_t *json, const char *results_dir, char **path)
{
	_cleanup_free_ char *directory = format_string("%s/runs", results_dir);
	_cleanup_free_ char *file = NULL;
	_cleanup_free_ char *text = NULL;
	json_t *graded;
	struct error *err;
	char hex[33];

	err = check_document(json);
	if (!err)
		err = record_grade(json, &graded);
	if (err)
		return error_prefix(err, "the run's record");
	json_object_set_new(json, "claims", graded);
	record_digest(json, hex);
	json_object_set_new(json, "digest", json_string(hex));
	text = json_dumps(json, JSON_INDENT(1));
	if (!text)
		return error_new(ERROR_INTERNAL, "the run's record is no valid JSON");
	file = format_string(
		"%s/%s.json", directory, json_string_value(json_object_get(json, "id")));
	try_(fs_make_dirs(directory));
	try_(fs_write_atomic(file, text, strlen(text)));
	if (path)
		*path = take_ptr(file);
	return NULL;
}
