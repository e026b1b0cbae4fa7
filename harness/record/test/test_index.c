/* The index: what it says is what the records say. */
#include "harness/record/test/index_support.h"
#include "harness/record/claims.h"
#include "harness/record/summary.h"
#include "harness/record/test/synthetic.h"

#include <math.h>

static void overwrite(char *at, const char *text)
{
	while (*text)
		*at++ = *text++;
}

static void test_it_says_what_the_records_say(void **state)
{
	(void)state;
	make_store(12);
	struct index_changes changes = update();
	_cleanup_index_ struct index *index = open_index();
	_cleanup_free_ char *path = record_path(0);
	_cleanup_record_ struct record *record = NULL;
	_cleanup_json_ json_t *runs = NULL;
	_cleanup_json_ json_t *run = NULL;

	assert_int_equal(changes.indexed, 12);
	assert_int_equal(changes.refused, 0);
	assert_ok(record_load(path, &record));
	assert_ok(index_runs(index, NULL, all, &runs));
	assert_int_equal(total(runs), 12);
	run = json_incref(json_array_get(json_object_get(runs, "runs"), 0));
	assert_string_equal(json_text(run, "id"), json_text(record->json, "id"));
	assert_string_equal(json_text(run, "profile"), "nightly");
	assert_string_equal(json_text(run, "commit"),
		json_text(json_object_get(record->json, "build"), "commit"));
	assert_true(json_is_true(json_object_get(run, "synthetic")));
	assert_true(json_is_true(json_object_get(run, "complete")));
	assert_true(json_is_false(json_object_get(run, "altered")));
	assert_int_equal(json_number(run, "ok", -1),
		json_array_size(json_object_get(record->json, "trials")));
	assert_true(json_is_array(json_object_get(run, "mechanisms")));

	_cleanup_json_ json_t *one = NULL;
	_cleanup_json_ json_t *none = NULL;

	assert_ok(index_run(index, json_text(run, "id"), &one));
	assert_int_equal(json_array_size(json_object_get(one, "outcomes")), 3);
	assert_ok(index_run(index, "20260101T000000Z-000000", &none));
	assert_null(none);
}

/* The same median and interval as in a report, not nearly the same. */
static void test_a_trend_has_the_reports_figures(void **state)
{
	const struct index_series_name name = {
		"shmipc", "roundtrip", "tcp-naive", "roundtrip", "{\"ints\":8192}", "us"};
	_cleanup_json_ json_t *selector =
		json_pack("{s:s, s:s}", "variant", "tcp-naive", "metric", "roundtrip");
	_cleanup_json_ json_t *trend = NULL;
	const json_t *point;
	json_int_t last = 0;
	size_t i;

	(void)state;
	make_store(5);
	update();
	_cleanup_index_ struct index *index = open_index();

	assert_ok(index_trend(index, &name, NULL, all, &trend));
	assert_int_equal(total(trend), 5);
	assert_string_equal(json_text(trend, "unit"), "us");
	json_array_foreach (json_object_get(trend, "points"), i, point) {
		_cleanup_free_ char *file = format_string("runs/%s.json", json_text(point, "run"));
		_cleanup_free_ char *path = scratch_path(file);
		_cleanup_record_ struct record *record = NULL;
		struct reading reading;

		assert_ok(record_load(path, &record));
		assert_true(
			record_reading(record->json, "shmipc", "roundtrip", selector, &reading));
		assert_float_equal(json_number(point, "median", NAN), reading.median, 0);
		assert_float_equal(json_number(point, "low", NAN), reading.low, 0);
		assert_float_equal(json_number(point, "high", NAN), reading.high, 0);
		assert_int_equal(json_number(point, "n", 0), reading.trials);
		assert_true(json_number(point, "started_s", 0) > last);
		last = (json_int_t)json_number(point, "started_s", 0);
	}
}

static void test_series_filters_and_pages(void **state)
{
	const struct index_series_name name = {.mechanism = "shmipc",
		.experiment = "roundtrip",
		.variant = "shm-polling",
		.metric = "roundtrip",
		.at = "{\"ints\":8192}"};
	struct index_filter filter = {.commit = "5e7e711c0002"};
	_cleanup_json_ json_t *series = NULL;
	_cleanup_json_ json_t *trend = NULL;
	_cleanup_json_ json_t *page = NULL;
	_cleanup_json_ json_t *empty = NULL;
	_cleanup_json_ json_t *nothing = NULL;
	_cleanup_json_ json_t *unknown = NULL;

	(void)state;
	make_store(20);
	update();
	_cleanup_index_ struct index *index = open_index();

	assert_ok(index_series(index, "shmipc", &series));
	assert_int_equal(json_array_size(series), 3);
	assert_ok(index_trend(index, &name, &filter, all, &trend));
	assert_int_equal(total(trend), 4); /* a fifth of the nights */
	assert_ok(index_runs(index, NULL, (struct index_page){.offset = 15, .limit = 10}, &page));
	assert_int_equal(total(page), 20);
	assert_int_equal(json_array_size(json_object_get(page, "runs")), 5);
	filter = (struct index_filter){.mechanism = "balloon"};
	assert_ok(index_runs(index, &filter, all, &empty));
	assert_int_equal(total(empty), 0);
	filter = (struct index_filter){.since_s = 4000000000};
	assert_ok(index_runs(index, &filter, all, &nothing));
	assert_int_equal(total(nothing), 0);

	const struct index_series_name other = {"x", "x", "x", "x", "x", "x"};

	assert_ok(index_trend(index, &other, NULL, all, &unknown));
	assert_int_equal(total(unknown), 0);
}

/* A new kernel is another fingerprint of the same host. */
static void test_a_host_outlives_its_kernel(void **state)
{
	_cleanup_json_ json_t *hosts = NULL;
	const json_t *fingerprints;

	(void)state;
	make_store(10);
	update();
	_cleanup_index_ struct index *index = open_index();

	assert_ok(index_hosts(index, &hosts));
	assert_int_equal(json_array_size(hosts), 1);
	assert_int_equal(json_number(json_array_get(hosts, 0), "runs", 0), 10);
	fingerprints = json_object_get(json_array_get(hosts, 0), "fingerprints");
	assert_int_equal(json_array_size(fingerprints), 2);
	assert_string_equal(
		json_text(json_array_get(fingerprints, 0), "kernel"), "6.1.0-synthetic");
	assert_string_equal(
		json_text(json_array_get(fingerprints, 1), "kernel"), "6.1.0-synthetic-next");
	assert_int_equal(json_number(json_array_get(fingerprints, 1), "runs", 0), 4);
}

static const json_t *overview_row(const json_t *overview, const char *claim)
{
	const json_t *row;
	size_t i;

	json_array_foreach (overview, i, row) {
		if (strcmp(json_text(row, "claim"), claim) == 0)
			return row;
	}
	fail_msg("no claim %s", claim);
	return NULL;
}

/* A verdict that somebody wrote into a record does not get into the index. */
static void test_verdicts_are_computed(void **state)
{
	_cleanup_json_ json_t *overview = NULL;
	_cleanup_json_ json_t *history = NULL;
	_cleanup_free_ char *path = NULL;
	_cleanup_free_ char *text = NULL;
	const json_t *row, *verdicts;
	char *at;

	(void)state;
	make_store(3);
	path = record_path(0);
	assert_ok(fs_read(path, RECORD_MAX_BYTES, &text, NULL));
	while ((at = strstr(text, "\"reproduced\"")))
		overwrite(at, "\"not-run\"   "); /* as long, with white space */
	assert_ok(fs_write_atomic(path, text, strlen(text)));
	update();
	_cleanup_index_ struct index *index = open_index();

	assert_ok(index_overview(index, NULL, &overview));
	row = overview_row(overview, "C1");
	assert_string_equal(json_text(json_object_get(row, "latest"), "verdict"), "reproduced");
	assert_string_equal(json_text(json_object_get(row, "before"), "verdict"), "reproduced");
	assert_true(json_is_false(json_object_get(row, "changed")));
	assert_null(json_object_get(overview_row(overview, "D2a"), "latest"));
	assert_ok(index_claim_history(index, "C1", NULL, all, &history));
	assert_int_equal(total(history), 3);
	verdicts = json_object_get(history, "verdicts");
	assert_true(json_number(json_array_get(verdicts, 0), "measured", 0) > 50);
	assert_true(json_object_get(json_array_get(verdicts, 0), "low") != NULL);
	assert_int_equal(json_number(json_array_get(verdicts, 0), "pairs", 0), 8);
	assert_true(*json_text(json_array_get(verdicts, 0), "comparable_reason"));

	_cleanup_json_ json_t *runs = NULL;

	assert_ok(index_runs(index, NULL, all, &runs));
	assert_true(json_is_true(
		json_object_get(json_array_get(json_object_get(runs, "runs"), 0), "altered")));
}

static void test_only_changes_are_read(void **state)
{
	_cleanup_free_ char *first = NULL;
	_cleanup_free_ char *second = NULL;
	_cleanup_free_ char *text = NULL;
	struct index_changes changes;
	size_t size;

	(void)state;
	make_store(6);
	update();
	changes = update();
	assert_int_equal(changes.unchanged, 6);
	assert_int_equal(changes.indexed + changes.refused + changes.removed, 0);

	/* rewritten with the same bytes: read, and nothing else */
	first = record_path(0);
	assert_ok(fs_read(first, RECORD_MAX_BYTES, &text, &size));
	assert_ok(fs_write_atomic(first, text, size));
	changes = update();
	assert_int_equal(changes.indexed, 0);
	assert_int_equal(changes.unchanged, 6);

	second = record_path(1);
	assert_int_equal(unlink(second), 0);
	changes = update();
	assert_int_equal(changes.removed, 1);
	assert_int_equal(runs_in_index(), 5);

	assert_ok(fs_write_atomic(first, text, size / 2));
	changes = update();
	assert_int_equal(changes.refused, 1);
	assert_int_equal(runs_in_index(), 4);
	assert_ok(fs_write_atomic(first, text, size));
	changes = update();
	assert_int_equal(changes.indexed, 1);
	assert_int_equal(runs_in_index(), 5);

	changes = rebuild();
	assert_int_equal(changes.indexed, 5);
	assert_int_equal(changes.unchanged, 0);
	assert_int_equal(runs_in_index(), 5);
}

static void test_synthetic_nights_can_be_repeated(void **state)
{
	const struct synthetic_options options = {.seed = 9, .count = 10};
	const struct synthetic_options other = {.seed = 10, .count = 10};
	_cleanup_json_ json_t *one = NULL;
	_cleanup_json_ json_t *same = NULL;
	_cleanup_json_ json_t *different = NULL;
	_cleanup_record_ struct record *record = NULL;

	(void)state;
	assert_ok(synthetic_night(&options, 4, &one));
	assert_ok(synthetic_night(&options, 4, &same));
	assert_ok(synthetic_night(&other, 4, &different));
	assert_true(json_equal(one, same));
	assert_false(json_equal(one, different));
	assert_ok(record_from_json(one, &record));
	assert_false(record->altered);
}

static void test_the_generation_tells_of_changes(void **state)
{
	int64_t first, second, third;

	(void)state;
	make_store(2);
	update();
	_cleanup_index_ struct index *index = open_index();

	assert_ok(index_generation(index, &first));
	update();
	assert_ok(index_generation(index, &second));
	assert_int_equal(first, second);
	write_text("runs/new.txt", "");
	update();
	assert_ok(index_generation(index, &third));
	assert_true(third > second);
}

/* A parameter that a sweep varies is a coordinate; the others are the settings. */
static void test_sweeps_are_told_apart(void **state)
{
	_cleanup_json_ json_t *record = synthetic_record("shmipc", "tcg");
	_cleanup_json_ json_t *rows = NULL;

	(void)state;
	for (int i = 0; i < 4; i++) {
		json_t *trial = synthetic_trial(
			record, "shmipc", "sweep", "shm-polling", "subject", i / 2, 0);

		json_object_set_new(trial, "parameters",
			json_pack("{s:i, s:s}", "size", i % 2 ? 20 : 10, "nic", "virtio"));
		synthetic_sample(trial, "time", "us", 0, i % 2 ? 200 : 100);
	}
	rows = summary_metrics(record);
	assert_int_equal(json_array_size(rows), 2);
	assert_string_equal(json_text(json_array_get(rows, 0), "at"), "{\"size\":10}");
	assert_float_equal(json_number(json_array_get(rows, 0), "median", 0), 100, 0);
	assert_int_equal(json_number(json_array_get(rows, 0), "n", 0), 2);
	assert_null(json_object_get(json_array_get(rows, 0), "low")); /* unbounded */
	assert_string_equal(json_text(json_array_get(rows, 1), "at"), "{\"size\":20}");
	assert_string_equal(json_text(json_array_get(rows, 0), "settings"),
		json_text(json_array_get(rows, 1), "settings"));
}

/* Trials that do not count, and trials that cannot be told apart, are in no figure. */
static void test_what_does_not_count_is_in_no_metric(void **state)
{
	_cleanup_json_ json_t *record = synthetic_record("shmipc", "tcg");
	_cleanup_json_ json_t *rows = NULL;
	json_t *trial;

	(void)state;
	for (int i = 0; i < 3; i++) {
		trial = synthetic_trial(record, "shmipc", "e", "v", "subject", i, 0);
		synthetic_sample(trial, "time", "us", 0, 10 + i);
	}
	json_object_set_new(trial, "outcome", json_string("invalid"));
	for (int i = 0; i < 2; i++) {
		trial = synthetic_trial(record, "shmipc", "e", "v", "subject", 7, 0);
		synthetic_sample(trial, "time", "us", 0, 1000);
	}
	rows = summary_metrics(record);
	assert_int_equal(json_array_size(rows), 1);
	assert_int_equal(json_number(json_array_get(rows, 0), "n", 0), 2);
	assert_float_equal(json_number(json_array_get(rows, 0), "median", 0), 10.5, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(test_it_says_what_the_records_say),
		scratch_test(test_a_trend_has_the_reports_figures),
		scratch_test(test_series_filters_and_pages),
		scratch_test(test_a_host_outlives_its_kernel),
		scratch_test(test_verdicts_are_computed),
		scratch_test(test_only_changes_are_read),
		scratch_test(test_synthetic_nights_can_be_repeated),
		scratch_test(test_the_generation_tells_of_changes),
		cmocka_unit_test(test_sweeps_are_told_apart),
		cmocka_unit_test(test_what_does_not_count_is_in_no_metric),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
