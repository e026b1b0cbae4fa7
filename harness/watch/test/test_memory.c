/* The watch's memory survives being kept, and a damaged one is none. */
#include "harness/base/test/support.h"
#include "harness/base/cleanup.h"
#include "harness/watch/memory.h"

static void assert_kept(struct watch_memory memory)
{
	struct watch_memory loaded;
	_cleanup_json_ json_t *saved = watch_memory_save(&memory);
	_cleanup_free_ char *text = json_dumps(saved, 0);
	_cleanup_json_ json_t *read = json_loads(text, 0, NULL);

	assert_true(watch_memory_load(read, &loaded));
	_cleanup_json_ json_t *again = watch_memory_save(&loaded);

	assert_true(json_equal(saved, again));
	assert_int_equal(loaded.changed, memory.changed);
	assert_int_equal(loaded.level_night, memory.level_night);
	assert_int_equal(loaded.left_out_count, memory.left_out_count);
	assert_memory_equal(loaded.left_out, memory.left_out, sizeof(loaded.left_out));
	assert_int_equal(loaded.pending, memory.pending);
	assert_int_equal(loaded.pending_up, memory.pending_up);
	assert_int_equal(loaded.dismissed_night, memory.dismissed_night);
	assert_true(loaded.before == memory.before && loaded.after == memory.after);
	assert_true(loaded.usual.high == memory.usual.high);
}

static void what_is_saved_is_loaded(void **state)
{
	struct watch_memory memory = {0};

	(void)state;
	assert_kept(memory);
	memory = (struct watch_memory){.changed = true,
		.changed_night = 20000,
		.before = 1.25,
		.after = 1.5,
		.usual = {1.2, 1.3, 0.9}};
	assert_kept(memory);
	memory.pending = 1;
	memory.pending_night = memory.pending_last = 20010;
	memory.pending_up = true;
	memory.dismissed = true;
	memory.dismissed_night = 20005;
	assert_kept(memory);
	memory = (struct watch_memory){.level_night = 19990};
	for (int i = 0; i < WATCH_LEFT_OUT; i++) {
		memory.left_out[i] = (struct watch_nights){20000 + 10 * i, 20004 + 10 * i};
		memory.left_out_count++;
		assert_kept(memory);
	}
}

static void a_damaged_memory_is_none(void **state)
{
	static const char *const texts[] = {
		"[]",
		"{\"changed\": 1}",
		"{\"changed\": {\"night\": 1, \"before\": -1, \"after\": 1, \"usual_low\": 1, "
		"\"usual_high\": 2}}",
		"{\"changed\": {\"night\": 1, \"before\": 1, \"after\": 1, \"usual_low\": 3, "
		"\"usual_high\": 2}}",
		"{\"changed\": {\"night\": \"1\", \"before\": 1, \"after\": 1, \"usual_low\": 1, "
		"\"usual_high\": 2}}",
		"{\"level_night\": 1.5}",
		"{\"left_out\": []}",
		"{\"left_out\": [5]}",
		"{\"left_out\": [{\"from\": 5, \"until\": 4}]}",
		"{\"left_out\": [{\"from\": 5, \"until\": 6}, {\"from\": 5, \"until\": 7}]}",
		"{\"pending\": {\"nights\": -1, \"first\": 1, \"last\": 2}}",
		"{\"pending\": {\"nights\": 1, \"first\": 3, \"last\": 2}}",
		"{\"dismissed_night\": null}",
	};
	static const struct watch_memory none;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_json_ json_t *saved = json_loads(texts[i], 0, NULL);
		struct watch_memory memory;

		assert_non_null(saved);
		memset(&memory, 0xff, sizeof(memory));
		assert_false(watch_memory_load(saved, &memory));
		assert_memory_equal(&memory, &none, sizeof(none));
	}
	assert_false(watch_memory_load(NULL, &(struct watch_memory){0}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_saved_is_loaded),
		cmocka_unit_test(a_damaged_memory_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
