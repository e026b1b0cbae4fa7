/* The small parts of the base: durations, deadlines, near names, embedded files, threads. */
#include "harness/base/test/support.h"
#include "harness/base/clock.h"
#include "harness/base/embedded.h"
#include "harness/base/nearest.h"
#include "harness/base/parallel.h"

#include <stdatomic.h>

static void durations_are_read_with_their_unit(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = {{"500ms", 500}, {"45", 45000}, {"20s", 20000}, {"90m", 5400000},
		{"2min", 120000}, {"2h", 7200000}, {"1.5s", 1500}, {"0", 0}, {"0.4ms", 0}};
	static const char *const bad[] = {
		"", "s", "-1s", "5 s", "1h30m", "5sec", "inf", "nan", "1e30h", "five", "5s ", "5S"};
	int64_t ms = -1;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_true(duration_parse_ms(good[i].text, &ms));
		assert_int_equal(ms, good[i].ms);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ms = 4711;
		if (duration_parse_ms(bad[i], &ms))
			fail_msg("'%s' passed as a duration", bad[i]);
		assert_int_equal(ms, 4711);
	}
}

static void durations_are_shown_in_the_unit_that_fits(void **state)
{
	(void)state;
	static const struct {
		double seconds;
		const char *text;
	} rows[] = {{0, "0 ms"}, {0.0042, "4 ms"}, {0.0994, "99 ms"}, {0.0996, "0.1 s"},
		{4.24, "4.2 s"}, {9.94, "9.9 s"}, {9.96, "10 s"}, {59.4, "59 s"},
		{59.6, "1 min 00 s"}, {200, "3 min 20 s"}, {3599.4, "59 min 59 s"},
		{3599.6, "1 h 00 min"}, {3900, "1 h 05 min"}, {360000, "100 h 00 min"}};
	char text[24];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		duration_format(rows[i].seconds, text, sizeof(text));
		assert_string_equal(text, rows[i].text);
	}
}

static void utc_has_two_forms(void **state)
{
	(void)state;
	char text[24];

	clock_format_utc(1769903999, false, text, sizeof(text));
	assert_string_equal(text, "2026-01-31T23:59:59Z");
	clock_format_utc(1769903999, true, text, sizeof(text));
	assert_string_equal(text, "20260131T235959Z");
}

/* The clocks of Berlin: an hour ahead at 02:00 of 29 March 2026, back at 03:00 of 25 October. */
static void the_next_time_of_day_is_after_now(void **state)
{
	static const struct {
		const char *now, *text, *next; /* UTC */
	} rows[] = {
		{"2026-01-10T12:00:00Z", "13:30", "2026-01-10T12:30:00Z"},
		{"2026-01-10T12:00:00Z", "06:00", "2026-01-11T05:00:00Z"},
		{"2026-01-10T12:00:00Z", "13:00", "2026-01-11T12:00:00Z"}, /* which it is now */
		{"2026-07-10T12:00:00Z", "06:00", "2026-07-11T04:00:00Z"},
		/* 02:30 is left out … */
		{"2026-03-29T00:15:00Z", "02:30", "2026-03-29T01:30:00Z"},
		/* … and that has passed at 03:30: the next one is at 02:30 again, not an hour off
		 */
		{"2026-03-29T01:40:00Z", "02:30", "2026-03-30T00:30:00Z"},
		{"2026-03-28T23:00:00Z", "06:00", "2026-03-29T04:00:00Z"},
		{"2026-10-24T23:00:00Z", "06:00", "2026-10-25T05:00:00Z"},
		{"2026-12-31T23:30:00Z", "00:15", "2027-01-01T23:15:00Z"},
	};
	static const char *const bad[] = {"", "6", "24:00", "06:60", "-1:00", "06:00x", "06.00"};
	_cleanup_free_ char *zone = getenv("TZ") ? format_string("%s", getenv("TZ")) : NULL;
	time_t when;
	char text[24];

	(void)state;
	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
	tzset();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct tm tm = {0};

		assert_non_null(strptime(rows[i].now, "%Y-%m-%dT%H:%M:%SZ", &tm));
		assert_true(clock_parse_next(rows[i].text, timegm(&tm), &when));
		clock_format_utc(when, false, text, sizeof(text));
		assert_string_equal(text, rows[i].next);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(clock_parse_next(bad[i], 0, &when));
	if (zone)
		setenv("TZ", zone, 1);
	else
		unsetenv("TZ");
	tzset();
}

static void a_deadline_never_has_negative_time_left(void **state)
{
	(void)state;
	struct deadline past = {clock_now_ns() - 5 * NSEC_PER_SEC};
	struct deadline soon = {clock_now_ns() + 3600 * NSEC_PER_SEC + 1};
	struct deadline far = {INT64_MAX};

	assert_int_equal(deadline_left_ms(past), 0);
	assert_true(deadline_passed(past));
	assert_false(deadline_passed(soon));
	assert_in_range(deadline_left_ms(soon), 1, 3600001);
	assert_int_equal(deadline_left_ms(far), INT32_MAX);
	assert_true(deadline_min(soon, past).at_ns == past.at_ns);
	assert_true(deadline_min(past, soon).at_ns == past.at_ns);
}

static void a_typing_error_finds_its_name(void **state)
{
	(void)state;
	static const char *const names[] = {"roundtrip", "runs", "region_pages", "start"};
	char endless[4096];

	assert_string_equal(nearest_name("rouns", names, 4), "runs");
	assert_string_equal(nearest_name("rundtrip", names, 4), "roundtrip");
	assert_string_equal(nearest_name("star", names, 4), "start");
	assert_string_equal(nearest_name("region-pages", names, 4), "region_pages");
	assert_null(nearest_name("elephant", names, 4));
	assert_null(nearest_name("runs", names, 0));
	memset(endless, 'r', sizeof(endless) - 1);
	endless[sizeof(endless) - 1] = '\0';
	assert_null(nearest_name(endless, names, 4));
}

/* What is in the binary is what is in the tree. */
static void embedded_files_are_the_files_of_the_tree(void **state)
{
	(void)state;
	static const struct {
		const char *name, *path;
	} rows[] = {{"papers/C.json", "results/papers/C.json"},
		{"papers/null.json", "results/papers/null.json"},
		{"schema/run.schema.json", "results/schema/run.schema.json"},
		{"tiny-init/init", "workloads/tiny-init/init"},
		{"fleetlab-guest", "build/guest/fleetlab-guest"}};
	const struct embedded_file *file;
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *data = NULL;
		size_t size;

		file = embedded_find(rows[i].name);
		assert_non_null(file);
		assert_ok(fs_read(rows[i].path, 64 << 20, &data, &size));
		assert_int_equal(file->size, size);
		assert_memory_equal(file->data, data, size);
	}
	assert_null(embedded_find("papers/Z.json"));
	for (; (file = embedded_at(count)); count++)
		assert_true(file->size > 0);
	assert_true(count >= ARRAY_SIZE(rows));
	assert_null(embedded_at(count + 1));
}

struct items {
	atomic_uint calls[100];
	size_t failing; /* from this item on */
};

static struct error *body(size_t item, void *context)
{
	struct items *items = context;

	atomic_fetch_add(&items->calls[item], 1);
	return item >= items->failing ? error_new(ERROR_GUEST, "item %zu", item) : NULL;
}

static void every_item_is_done_once(void **state)
{
	(void)state;
	static const size_t threads[] = {0, 1, 4, 1000};

	for (size_t t = 0; t < ARRAY_SIZE(threads); t++) {
		struct items items = {.failing = 100};

		assert_ok(parallel_for(100, threads[t], body, &items));
		for (size_t i = 0; i < 100; i++)
			assert_int_equal(items.calls[i], 1);
	}
	assert_ok(parallel_for(0, 4, body, NULL));
}

static void the_first_error_ends_the_work(void **state)
{
	(void)state;
	struct items one = {.failing = 10};
	struct items many = {.failing = 0};
	unsigned int calls = 0;

	assert_fails(parallel_for(100, 1, body, &one), ERROR_GUEST, "item 10");
	assert_int_equal(one.calls[10], 1);
	assert_int_equal(one.calls[11], 0);
	assert_fails(parallel_for(100, 8, body, &many), ERROR_GUEST, "item");
	for (size_t i = 0; i < 100; i++)
		calls += many.calls[i];
	assert_in_range(calls, 1, 8); /* no thread begins a second one */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations_are_read_with_their_unit),
		cmocka_unit_test(durations_are_shown_in_the_unit_that_fits),
		cmocka_unit_test(utc_has_two_forms),
		cmocka_unit_test(the_next_time_of_day_is_after_now),
		cmocka_unit_test(a_deadline_never_has_negative_time_left),
		cmocka_unit_test(a_typing_error_finds_its_name),
		cmocka_unit_test(embedded_files_are_the_files_of_the_tree),
		cmocka_unit_test(every_item_is_done_once),
		cmocka_unit_test(the_first_error_ends_the_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
