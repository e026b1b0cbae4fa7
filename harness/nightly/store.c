/* Reading and writing the records of nights: see store.h. Must never believe a damaged one. */
#include "harness/nightly/store.h"
#include "harness/base/fs.h"
#include "harness/record/schema.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

void night_list_deinit(struct night_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		json_decref(list->nights[i]);
	free(list->nights);
	json_decref(list->damaged);
	*list = (struct night_list){0};
}

char *night_path(const char *results_dir, const char *id, const char *suffix)
{
	return format_string("%s/nightly/%s%s", results_dir, id, suffix);
}

const char *night_state(const json_t *night)
{
	const char *state = json_string_value(json_object_get(night, "state"));

	return state ? state : "";
}

bool night_is(const json_t *night, const char *state)
{
	return strcmp(night_state(night), state) == 0;
}

const json_t *night_row(const json_t *rows, const char *name)
{
	const json_t *row;
	size_t i;

	json_array_foreach (rows, i, row) {
		const char *its = json_string_value(json_object_get(row, "name"));

		if (its && strcmp(its, name) == 0)
			return row;
	}
	return NULL;
}

static int is_night(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return entry->d_name[0] != '.' && length > 5 &&
	       strcmp(entry->d_name + length - 5, ".json") == 0;
}

static struct error *load(const char *path, const char *id, json_t **night)
{
	_cleanup_json_ json_t *parsed = NULL;
	_cleanup_free_ char *text = NULL;
	json_error_t why;
	const char *its;
	json_t *run;
	size_t i;
	size_t size;

	try_(fs_read_regular(path, NIGHT_MAX_BYTES, &text, &size, NULL));
	parsed = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
	if (!parsed)
		return error_new(ERROR_USAGE, "line %d: %s", why.line, why.text);
	try_(schema_check("night", parsed));
	its = json_string_value(json_object_get(parsed, "id"));
	if (strcmp(its, id) != 0)
		return error_new(ERROR_USAGE, "its id is %s", its);
	/* A night that goes on finds its runs by these names. */
	json_array_foreach (json_object_get(parsed, "runs"), i, run) {
		const char *name = json_string_value(json_object_get(run, "id"));

		if (name[0] == '.' || strchr(name, '/'))
			return error_new(ERROR_USAGE, "a run's id is '%.100s'", name);
	}
	*night = take_ptr(parsed);
	return NULL;
}

/* ---- what is kept of a night in memory ---- */

/* Nothing will be written of it again. */
static bool is_over(const json_t *night)
{
	return !night_is(night, "in-progress") && !json_object_get(night, "untold");
}

/* A reading, and whether it was an alert, and since when. */
static json_t *short_row(const json_t *row, json_t *no_alert)
{
	json_t *verdict = json_object_get(row, "verdict");
	bool alert = json_is_true(json_object_get(verdict, "alert"));
	json_t *kept = alert ? json_pack("{s:b, s:O*}", "alert", 1, "since",
				       json_object_get(verdict, "since"))
			     : json_incref(no_alert);
	json_t *made = json_pack("{s:O, s:O*, s:O*, s:O*}", "name", json_object_get(row, "name"),
		"baseline", json_object_get(row, "baseline"), "value",
		json_object_get(row, "value"), "aa", json_object_get(row, "aa"));

	if (verdict)
		json_object_set(made, "verdict", kept);
	json_decref(kept);
	return made;
}

static void shorten(json_t *night)
{
	_cleanup_json_ json_t *no_alert = json_object();
	json_t *rows = json_array(), *row;
	size_t i;

	json_array_foreach (json_object_get(night, "metrics"), i, row)
		json_array_append_new(rows, short_row(row, no_alert));
	json_object_set_new(night, "metrics", rows);
}

/* Only the last memory counts. */
static void forget_memory(struct night_list *list)
{
	bool later = false;

	for (size_t i = list->count; i-- > 0;) {
		if (later && is_over(list->nights[i]))
			json_object_del(list->nights[i], "memory");
		later = later || json_object_get(list->nights[i], "memory");
	}
}

static void take(
	const char *results_dir, const char *name, const char *except, struct night_list *list)
{
	_cleanup_free_ char *id = format_string("%.*s", (int)strlen(name) - 5, name);
	_cleanup_free_ char *path = night_path(results_dir, id, ".json");
	_cleanup_free_ char *text = NULL;
	json_t *night = NULL;

	if (except && strcmp(id, except) == 0)
		return;
	_cleanup_error_ struct error *err = load(path, id, &night);

	if (!err) {
		if (is_over(night))
			shorten(night);
		list->nights[list->count++] = night;
		return;
	}
	text = format_string("%.200s: %.1000s", name, error_message(err));
	json_array_append_new(list->damaged, json_string(text));
}

struct error *night_list_load(const char *results_dir, const char *except, struct night_list *list)
{
	_cleanup_free_ char *dir = format_string("%s/nightly", results_dir);
	struct dirent **entries = NULL;
	int found = scandir(dir, &entries, is_night, alphasort);

	*list = (struct night_list){.damaged = json_array()};
	if (found < 0)
		return errno == ENOENT ? NULL : error_errno(errno, "cannot list %s", dir);
	list->nights = calloc((size_t)found + 1, sizeof(json_t *));
	if (!list->nights)
		abort();
	for (int i = 0; i < found; i++) {
		if (i >= found - NIGHTS_MAX)
			take(results_dir, entries[i]->d_name, except, list);
		free(entries[i]);
		forget_memory(list);
	}
	free(entries);
	return NULL;
}

struct error *night_save(const json_t *night, const char *results_dir)
{
	_cleanup_free_ char *dir = format_string("%s/nightly", results_dir);
	const char *id = json_string_value(json_object_get(night, "id"));
	_cleanup_free_ char *path = night_path(results_dir, id ? id : "", ".json");
	_cleanup_free_ char *text =
		json_dumps(night, JSON_INDENT(1) | JSON_REAL_PRECISION(17) | JSON_SORT_KEYS);
	struct error *err = schema_check("night", night);

	if (err || !text)
		return err ? error_prefix(err, "the night's record")
			   : error_new(ERROR_INTERNAL, "cannot form the night's record");
	err = fs_make_dirs(dir);
	if (!err)
		err = fs_write_atomic(path, text, strlen(text));
	return err ? error_hint(err, "make room in %s, or --results DIR", results_dir) : NULL;
}
