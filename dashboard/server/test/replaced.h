/* A store that is replaced while it is shown. Include once, after http.h. */
#pragma once

#include "harness/record/record.h"
#include "harness/record/synthetic.h"

/* Every run that the list has, record by record, is of the directory that is there. */
static inline void assert_runs_are_whole(size_t count)
{
	_cleanup_json_ json_t *list = get_json("runs", 200);
	const json_t *runs = json_object_get(list, "runs"), *run;
	size_t i;

	assert_int_equal(json_array_size(runs), count);
	json_array_foreach (runs, i, run) {
		_cleanup_free_ char *path =
			format_string("runs/%s/record.json", json_text(run, "id"));
		_cleanup_free_ char *file = format_string("%s/%s", scratch, json_text(run, "path"));
		_cleanup_json_ json_t *shown = get_json(path, 200);
		_cleanup_json_ json_t *stored = json_load_file(file, 0, NULL);

		assert_non_null(stored);
		assert_string_equal(json_text(shown, "digest"), json_text(stored, "digest"));
	}
}

/* The directory is moved away and comes back, each time with another in its place. */
static inline void another_store_comes(void)
{
	const struct synthetic_options first = {.seed = 5, .count = 3};
	const struct synthetic_options second = {.seed = 6, .count = 2};
	_cleanup_free_ char *away = format_string("%s.away", scratch);
	_cleanup_free_ char *next = format_string("%s.next", scratch);

	assert_ok(synthetic_store(&first, scratch, NULL));
	assert_ok(synthetic_store(&second, next, NULL));
	start();
	wait_for_runs(3);
	assert_runs_are_whole(3);
	assert_int_equal(rename(scratch, away), 0);
	/* nothing is there: what was shown still is, whole */
	json_decref(get_json("runs/latest", 200));
	assert_int_equal(rename(next, scratch), 0);
	wait_for_runs(2);
	assert_runs_are_whole(2);
	assert_int_equal(rename(scratch, next), 0);
	assert_int_equal(rename(away, scratch), 0);
	wait_for_runs(3);
	assert_runs_are_whole(3);
	stop();
	assert_ok(fs_remove_tree(next));
}
