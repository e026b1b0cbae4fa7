/* What the tests of the index share: a store in `scratch`, and what its index says. Include once.
 */
#pragma once

#include "harness/base/test/support.h"
#include "harness/record/index.h"
#include "harness/record/record.h"
#include "harness/record/samples.h"
#include "harness/record/synthetic.h"

static const struct index_page all = {.limit = INDEX_PAGE_MAX};

static inline void make_store(size_t nights)
{
	const struct synthetic_options options = {.seed = 3, .count = nights};

	assert_ok(synthetic_store(&options, scratch, NULL));
}

static inline struct index_changes update_with(struct index_update_options options)
{
	_cleanup_index_ struct index *index = NULL;
	struct index_changes changes;

	options.deadline = deadline_after_ms(TEST_TIMEOUT_MS);
	assert_ok(index_open(scratch, INDEX_WRITE, &index));
	assert_ok(index_update(index, &options, &changes));
	return changes;
}

static inline struct index_changes update(void)
{
	return update_with((struct index_update_options){0});
}

static inline struct index_changes update_and_check(void)
{
	return update_with((struct index_update_options){.check = true});
}

static inline struct index_changes rebuild(void)
{
	return update_with((struct index_update_options){.rebuild = true});
}

static inline struct index *open_index(void)
{
	struct index *index;

	assert_ok(index_open(scratch, INDEX_READ, &index));
	return index;
}

static inline json_int_t total(const json_t *answer)
{
	return json_integer_value(json_object_get(answer, "total"));
}

static inline json_int_t runs_in_index(void)
{
	_cleanup_index_ struct index *index = open_index();
	_cleanup_json_ json_t *totals = NULL;

	assert_ok(index_totals(index, &totals));
	return json_integer_value(json_object_get(totals, "runs"));
}

/* Path of the n-th record, the newest first; caller frees. */
static inline char *record_path(size_t n)
{
	char **paths, *path;
	size_t count;

	assert_ok(record_list(scratch, &paths, &count));
	assert_true(n < count);
	path = format_string("%s", paths[n]);
	record_list_destroy(paths, count);
	return path;
}

static inline void write_text(const char *name, const char *text)
{
	_cleanup_free_ char *path = scratch_path(name);

	assert_ok(fs_write_atomic(path, text, strlen(text)));
}
