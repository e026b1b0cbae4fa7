/* A night's readings: paired with the right baseline, named alike every night. */
#include "harness/base/test/support.h"
#include "harness/base/cleanup.h"
#include "harness/record/samples.h"
#include "harness/record/test/synthetic.h"
#include "harness/watch/readings.h"

static const json_t *row_of(const json_t *rows, const char *name)
{
	const json_t *row;
	size_t i;

	json_array_foreach (rows, i, row) {
		if (strcmp(json_text(row, "name"), name) == 0)
			return row;
	}
	return NULL;
}

static void a_subject_is_read_against_its_baseline(void **state)
{
	_cleanup_json_ json_t *record = synthetic_record("null", "tcg");

	(void)state;
	synthetic_pairs(record, "null", "effect", "delay", "none", "time", "us", 4, 8, 1.5, 0.02);
	_cleanup_json_ json_t *rows = watch_readings(record, NULL);
	const json_t *subject = row_of(rows, "null effect delay time at {\"ints\":4}");
	const json_t *baseline = row_of(rows, "null effect none time at {\"ints\":4}");

	assert_int_equal(json_array_size(rows), 2);
	assert_string_equal(json_text(subject, "baseline"), "none");
	assert_true(fabs(json_number(subject, "value", 0) - 1.5) < 0.05);
	assert_true(json_number(subject, "low", 9) < 1.5 && json_number(subject, "high", 0) > 1.5);
	assert_int_equal(json_number(subject, "pairs", 0), 8);
	assert_true(json_is_null(json_object_get(baseline, "baseline")));
	assert_true(json_number(baseline, "value", 0) > 50);
	assert_null(json_object_get(subject, "aa"));
}

/* Of several baselines the first by name, in whatever order they ran. */
static void the_baseline_is_the_same_every_night(void **state)
{
	_cleanup_json_ json_t *record = synthetic_shmipc(8, 100);
	_cleanup_json_ json_t *rows = watch_readings(record, NULL);
	const json_t *row =
		row_of(rows, "shmipc roundtrip shm-polling roundtrip at {\"ints\":8192}");

	(void)state;
	assert_string_equal(json_text(row, "baseline"), "tcp-e1000");
	assert_true(json_number(row, "value", 9) < 0.05);
}

static void what_does_not_count_is_not_read(void **state)
{
	_cleanup_json_ json_t *record = synthetic_record("null", "tcg");
	json_t *trial;
	size_t i;

	(void)state;
	synthetic_pairs(record, "null", "effect", "delay", "none", "time", "us", 0, 8, 1.5, 0.02);
	json_array_foreach (json_object_get(record, "trials"), i, trial) {
		if (strcmp(json_text(trial, "variant"), "delay") == 0)
			json_object_set_new(trial, "outcome", json_string("failed"));
	}
	_cleanup_json_ json_t *rows = watch_readings(record, NULL);

	assert_int_equal(json_array_size(rows), 1);
	_cleanup_json_ json_t *empty = json_object();
	_cleanup_json_ json_t *none = watch_readings(empty, empty);

	assert_int_equal(json_array_size(none), 0);
}

static void the_aa_run_of_the_night_stands_beside(void **state)
{
	_cleanup_json_ json_t *record = synthetic_record("null", "tcg");
	_cleanup_json_ json_t *aa = synthetic_record("null", "tcg");
	uint64_t noise = 2024;

	(void)state;
	synthetic_pairs(record, "null", "effect", "delay", "none", "time", "us", 0, 8, 1.5, 0.02);
	for (int i = 0; i < 16; i++) {
		json_t *trial =
			synthetic_trial(aa, "null", "effect", "none", "baseline", i / 4, i / 2 % 2);

		json_object_set_new(trial, "arm", json_string(i % 2 ? "B" : "A"));
		synthetic_sample(trial, "time", "us", 0,
			(i % 2 ? 104 : 100) * synthetic_noise(&noise, 0.01));
	}
	_cleanup_json_ json_t *rows = watch_readings(record, aa);
	const json_t *row = row_of(rows, "null effect delay time");

	assert_true(fabs(json_number(row, "aa", 0) - 1.04) < 0.01);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_subject_is_read_against_its_baseline),
		cmocka_unit_test(the_baseline_is_the_same_every_night),
		cmocka_unit_test(what_does_not_count_is_not_read),
		cmocka_unit_test(the_aa_run_of_the_night_stands_beside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
