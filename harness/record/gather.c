/* One pass over a record's samples: see gather.h. Must never give a series another's reading. */
#include "harness/record/gather.h"

#include "harness/base/fs.h"
#include "harness/stats/pairs.h"

#include <glib.h>
#include <string.h>

struct series {
	struct readings readings;
	size_t capacity;
	const json_t *trial; /* the last that has a sample of it */
};

struct gathered {
	GHashTable *series; /* by series_key() */
	unsigned long seed;
	size_t drawn;
};

static void free_series(void *data)
{
	struct series *series = data;

	readings_deinit(&series->readings);
	free(series);
}

static char *key_of(const json_t *trial, const json_t *sample)
{
	_cleanup_free_ char *at = coordinates_text(json_object_get(sample, "at"));

	return format_string("%s\n%s\n%s\n%s\n%s\n%s", json_text(trial, "mechanism"),
		json_text(trial, "experiment"), json_text(trial, "variant"),
		json_text(trial, "arm"), json_text(sample, "metric"), at);
}

char *series_key(const json_t *series)
{
	return key_of(series, series);
}

static struct series *find_series(
	struct gathered *gathered, const json_t *trial, const json_t *sample)
{
	_cleanup_free_ char *key = key_of(trial, sample);
	struct series *series = g_hash_table_lookup(gathered->series, key);

	if (series || g_hash_table_size(gathered->series) >= GATHER_MOST_SERIES)
		return series;
	series = calloc(1, sizeof(*series));
	if (!series)
		abort();
	g_hash_table_insert(gathered->series, take_ptr(key), series);
	return series;
}

/* Two of one trial cannot be told apart: neither counts. */
static void drop_second(struct readings *readings, const json_t *trial)
{
	if (readings->count && readings->items[readings->count - 1].trial == trial)
		readings->count--;
}

static void add_reading(struct series *series, const struct trial_reading *item, const char *unit)
{
	struct readings *readings = &series->readings;

	if (readings->count == series->capacity) {
		series->capacity = series->capacity ? 2 * series->capacity : 8;
		readings->items =
			reallocarray(readings->items, series->capacity, sizeof(*readings->items));
		if (!readings->items)
			abort();
	}
	readings->items[readings->count++] = *item;
	readings->unit = unit;
}

static void add_trial(struct gathered *gathered, const json_t *trial)
{
	struct trial_reading item = {.trial = trial, .pair = trial_pair(trial)};
	const json_t *sample;
	size_t i;

	json_array_foreach (json_object_get(trial, "samples"), i, sample) {
		struct series *series = find_series(gathered, trial, sample);

		if (!series)
			continue;
		if (series->trial == trial)
			drop_second(&series->readings, trial);
		else if (sample_value(sample, &item.value))
			add_reading(series, &item, json_text(sample, "unit"));
		series->trial = trial;
	}
}

struct gathered *gather_readings(const json_t *record)
{
	struct gathered *gathered = calloc(1, sizeof(*gathered));
	const json_t *trial;
	size_t i;

	if (!gathered)
		abort();
	gathered->seed = record_seed(record);
	gathered->series = g_hash_table_new_full(g_str_hash, g_str_equal, free, free_series);
	json_array_foreach (json_object_get(record, "trials"), i, trial) {
		if (trial_counts(trial, NULL))
			add_trial(gathered, trial);
	}
	return gathered;
}

void gathered_destroy(struct gathered *gathered)
{
	if (!gathered)
		return;
	g_hash_table_destroy(gathered->series);
	free(gathered);
}

const struct readings *gathered_readings(const struct gathered *gathered, const json_t *series)
{
	_cleanup_free_ char *key = series_key(series);
	const struct series *found = g_hash_table_lookup(gathered->series, key);

	return found && found->readings.count ? &found->readings : NULL;
}

/* A copy, with each pair once; empty when there is none. */
static void copy_paired(
	const struct gathered *gathered, const json_t *series, struct readings *copy)
{
	const struct readings *found = gathered_readings(gathered, series);

	*copy = (struct readings){0};
	if (!found)
		return;
	copy->items = reallocarray(NULL, found->count, sizeof(*copy->items));
	if (!copy->items)
		abort();
	for (size_t i = 0; i < found->count; i++)
		copy->items[i] = found->items[i];
	copy->count = found->count;
	copy->unit = found->unit;
	readings_pair(copy);
}

/* Whether so many more readings may get an interval. */
static bool may_draw(struct gathered *gathered, size_t count)
{
	if (count > PAIRS_MAX || gathered->drawn + count > GATHER_MOST_DRAWN)
		return false;
	gathered->drawn += count;
	return true;
}

bool gathered_reading(struct gathered *gathered, const json_t *series, struct reading *reading)
{
	_cleanup_readings_ struct readings readings = {0};

	copy_paired(gathered, series, &readings);
	if (readings.count == 0)
		return false;
	readings_median(&readings, reading);
	if (may_draw(gathered, readings.count))
		readings_interval(&readings, INTERVAL_LEVEL, gathered->seed, reading);
	return true;
}

size_t gathered_pairs(struct gathered *gathered, const json_t *of, const json_t *to,
	double **subject, double **baseline)
{
	_cleanup_readings_ struct readings a = {0};
	_cleanup_readings_ struct readings b = {0};

	copy_paired(gathered, of, &a);
	copy_paired(gathered, to, &b);
	if (!may_draw(gathered, a.count))
		a.count = 0;
	return readings_match(&a, &b, subject, baseline);
}
