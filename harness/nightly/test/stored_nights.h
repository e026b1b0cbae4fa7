/* For tests of nights: spending them in a fake lab, and looking at what is stored of them. */
#pragma once

#include "harness/nightly/test/fake_lab.h"

#include "harness/record/samples.h"

/* Nights without which nothing is learned of a host. */
enum { LEARNED = 12 };

static inline void spend_nights(struct fake_lab *lab, int count)
{
	for (int i = 0; i < count; i++)
		json_decref(fake_night(lab));
}

static inline void load_nights(struct night_list *list)
{
	_cleanup_free_ char *results = scratch_path("results");

	assert_ok(night_list_load(results, NULL, list));
}

/* The last night's record; new reference. */
static inline json_t *last_night(void)
{
	_cleanup_(night_list_deinit) struct night_list list = {0};

	load_nights(&list);
	assert_true(list.count > 0);
	return json_incref(list.nights[list.count - 1]);
}

static inline void save_night(const json_t *night)
{
	_cleanup_free_ char *results = scratch_path("results");

	assert_ok(night_save(night, results));
}

static inline const json_t *run_of(const json_t *night, const char *purpose)
{
	const json_t *run;
	size_t i;

	json_array_foreach (json_object_get(night, "runs"), i, run) {
		if (strcmp(json_text(run, "purpose"), purpose) == 0)
			return run;
	}
	return NULL;
}

static inline const json_t *row_of(const json_t *rows, const char *variant)
{
	const json_t *row;
	size_t i;

	json_array_foreach (rows, i, row) {
		if (strcmp(json_text(row, "variant"), variant) == 0)
			return row;
	}
	return NULL;
}
