/* A record's readings as series: see summary.h. One pass over the samples, then a sort: a record
 * with many series costs no more than one with many readings. */
#include "harness/record/summary.h"

#include "harness/base/fs.h"
#include "harness/record/samples.h"
#include "harness/stats/bootstrap.h"
#include "harness/stats/pairs.h"
#include "harness/stats/summary.h"

#include <glib.h>
#include <math.h>
#include <string.h>

/* Bytes of a series' coordinates in the index: ours have a tenth. */
#define MOST_COORDINATES 1024

/* The trials of one variant in one experiment. */
struct group {
	size_t index;
	const json_t *first; /* trial; borrowed */
	json_t *varied;	     /* names of the parameters that a sweep varies */
	char settings[33];   /* hash of the others */
};

struct row {
	const struct group *group;
	const json_t *sample;
	char *at; /* canonical JSON of the coordinates and the swept parameters; "" for none */
	json_int_t pair;
	double value;
};

struct rows {
	GHashTable *groups; /* by mechanism, experiment and variant */
	struct row *items;
	size_t count, capacity;
};

static void free_group(void *data)
{
	struct group *group = data;

	json_decref(group->varied);
	free(group);
}

static void rows_deinit(struct rows *rows)
{
	for (size_t i = 0; i < rows->count; i++)
		free(rows->items[i].at);
	free(rows->items);
	g_hash_table_destroy(rows->groups);
}

static struct group *group_of(struct rows *rows, const json_t *trial)
{
	_cleanup_free_ char *name = format_string("%s\n%s\n%s", json_text(trial, "mechanism"),
		json_text(trial, "experiment"), json_text(trial, "variant"));
	struct group *group = g_hash_table_lookup(rows->groups, name);

	if (group)
		return group;
	group = calloc(1, sizeof(*group));
	if (!group)
		abort();
	group->index = g_hash_table_size(rows->groups);
	group->first = trial;
	group->varied = json_object();
	g_hash_table_insert(rows->groups, take_ptr(name), group);
	return group;
}

static void find_varied(struct group *group, const json_t *trial)
{
	const json_t *ours = json_object_get(group->first, "parameters");
	const json_t *its = json_object_get(trial, "parameters");
	const char *name;
	json_t *value;

	json_object_foreach ((json_t *)its, name, value) {
		const json_t *other = json_object_get(ours, name);

		if (!other || !json_equal(other, value))
			json_object_set_new(group->varied, name, json_true());
	}
}

static void hash_settings(void *key, void *data, void *context)
{
	struct group *group = data;
	_cleanup_json_ json_t *same = json_copy(json_object_get(group->first, "parameters"));
	_cleanup_free_ char *text = NULL;
	const char *name;
	json_t *value;

	(void)key;
	(void)context;
	json_object_foreach (group->varied, name, value)
		json_object_del(same, name);
	text = json_dumps(same, JSON_COMPACT | JSON_SORT_KEYS);
	fs_hash_bytes(text ? text : "", text ? strlen(text) : 0, group->settings);
	group->settings[16] = '\0';
}

/* Takes the text over. One that is too long is told by its hash, so that it stays another than
 * others. */
static char *cut_coordinates(char *text)
{
	_cleanup_free_ char *whole = text;
	char hex[33];

	if (strlen(whole) <= MOST_COORDINATES)
		return take_ptr(whole);
	fs_hash_bytes(whole, strlen(whole), hex);
	return format_string("{\"hash of too many coordinates\":\"%s\"}", hex);
}

static char *coordinates(const struct group *group, const json_t *trial, const json_t *sample)
{
	const json_t *parameters = json_object_get(trial, "parameters");
	_cleanup_json_ json_t *at = json_object();
	const char *name;
	json_t *value;

	json_object_foreach (group->varied, name, value) {
		if (json_object_get(parameters, name))
			json_object_set(at, name, json_object_get(parameters, name));
	}
	json_object_foreach (json_object_get(sample, "at"), name, value)
		json_object_set(at, name, value);
	return cut_coordinates(coordinates_text(at));
}

static void add_row(struct rows *rows, const struct row *row)
{
	if (rows->count == rows->capacity) {
		rows->capacity = rows->capacity ? 2 * rows->capacity : 256;
		rows->items = reallocarray(rows->items, rows->capacity, sizeof(*rows->items));
		if (!rows->items)
			abort();
	}
	rows->items[rows->count++] = *row;
}

static void add_trial(struct rows *rows, const json_t *trial)
{
	const struct group *group = group_of(rows, trial);
	json_t *sample;
	size_t i;

	if (!trial_counts(trial, NULL))
		return;
	json_array_foreach (json_object_get(trial, "samples"), i, sample) {
		struct row row = {.group = group, .sample = sample, .pair = trial_pair(trial)};

		if (!sample_value(sample, &row.value))
			continue;
		row.at = coordinates(group, trial, sample);
		add_row(rows, &row);
	}
}

static int compare_series(const struct row *x, const struct row *y)
{
	int order;

	if (x->group != y->group)
		return x->group->index < y->group->index ? -1 : 1;
	order = strcmp(json_text(x->sample, "metric"), json_text(y->sample, "metric"));
	if (order == 0)
		order = strcmp(json_text(x->sample, "unit"), json_text(y->sample, "unit"));
	return order ? order : strcmp(x->at, y->at);
}

static int by_series_and_pair(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int order = compare_series(x, y);

	return order ? order : (x->pair > y->pair) - (x->pair < y->pair);
}

static void set_finite(json_t *object, const char *key, double value)
{
	if (isfinite(value))
		json_object_set_new(object, key, json_real(value));
}

static json_t *series_row(
	const struct row *row, const double *values, size_t count, unsigned long seed)
{
	const json_t *trial = row->group->first;
	struct interval interval = interval_unbounded(INTERVAL_LEVEL);
	json_t *made = json_pack("{s:O, s:O, s:O, s:O, s:O, s:s, s:s, s:I}", "mechanism",
		json_object_get(trial, "mechanism"), "experiment",
		json_object_get(trial, "experiment"), "variant", json_object_get(trial, "variant"),
		"metric", json_object_get(row->sample, "metric"), "unit",
		json_object_get(row->sample, "unit"), "at", row->at, "settings",
		row->group->settings, "n", (json_int_t)count);

	if (count <= PAIRS_MAX)
		interval = bootstrap_median(values, count, INTERVAL_LEVEL, seed);
	set_finite(made, "median", stats_median(values, count));
	set_finite(made, "low", interval.low);
	set_finite(made, "high", interval.high);
	return made;
}

/* The values of rows[0..count), which are one series; two in one half of a block cannot be told
 * apart, and neither counts (samples.c does the same). */
static size_t values_of(const struct row *rows, size_t count, double *values)
{
	size_t kept = 0;

	for (size_t i = 0; i < count;) {
		size_t end = i + 1;

		while (end < count && rows[end].pair == rows[i].pair)
			end++;
		if (end == i + 1)
			values[kept++] = rows[i].value;
		i = end;
	}
	return kept;
}

static json_t *reduce(const struct rows *rows, unsigned long seed)
{
	_cleanup_free_ double *values = calloc(rows->count + 1, sizeof(*values));
	json_t *series = json_array();

	for (size_t i = 0, end; i < rows->count; i = end) {
		for (end = i + 1; end < rows->count; end++) {
			if (compare_series(&rows->items[i], &rows->items[end]) != 0)
				break;
		}
		size_t kept = values ? values_of(rows->items + i, end - i, values) : 0;

		if (kept > 0)
			json_array_append_new(
				series, series_row(&rows->items[i], values, kept, seed));
		if (json_array_size(series) > SUMMARY_MAX_SERIES) {
			json_decref(series);
			return NULL;
		}
	}
	return series;
}

json_t *summary_metrics(const json_t *record)
{
	_cleanup_(rows_deinit) struct rows rows = {0};
	const json_t *trials = json_object_get(record, "trials"), *trial;
	size_t i;

	rows.groups = g_hash_table_new_full(g_str_hash, g_str_equal, free, free_group);
	json_array_foreach (trials, i, trial)
		find_varied(group_of(&rows, trial), trial);
	g_hash_table_foreach(rows.groups, hash_settings, NULL);
	json_array_foreach (trials, i, trial)
		add_trial(&rows, trial);
	if (rows.count)
		qsort(rows.items, rows.count, sizeof(*rows.items), by_series_and_pair);
	return reduce(&rows, record_seed(record));
}
