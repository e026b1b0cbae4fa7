/* What is gathered in one pass is what is selected series by series. */
#include "harness/base/test/support.h"

#include "harness/record/gather.h"
#include "harness/record/test/synthetic.h"
#include "harness/report/series.h"

#define PAIRS 8

static void assert_same(const struct reading *a, const struct reading *b)
{
	assert_true(a->median == b->median);
	assert_true(a->low == b->low && a->high == b->high);
	assert_int_equal(a->trials, b->trials);
	assert_string_equal(a->unit, b->unit);
}

/* Two variants, with a sweep and with what keeps a trial or a sample from counting. */
static json_t *make_record(void)
{
	json_t *record = synthetic_record("shmipc", "tcg");
	json_t *trials = json_object_get(record, "trials"), *trial;
	size_t i;

	synthetic_pairs(record, "shmipc", "roundtrip", "shm-polling", "udp", "latency", "us", 64,
		PAIRS, 0.5, 0.1);
	json_array_foreach (trials, i, trial) {
		synthetic_sample(trial, "latency", "us", 128, (double)i);
		synthetic_sample(trial, "depth", "entries", 0, 3);
	}
	/* twice in a trial, and a trial twice in a pair: neither can be told apart */
	synthetic_sample(json_array_get(trials, 0), "latency", "us", 64, 5);
	json_object_set(json_array_get(trials, 2), "block",
		json_object_get(json_array_get(trials, 4), "block"));
	json_object_set(json_array_get(trials, 2), "half",
		json_object_get(json_array_get(trials, 4), "half"));
	json_object_set_new(json_array_get(trials, 6), "outcome", json_string("failed"));
	json_array_clear(json_object_get(json_array_get(trials, 8), "evidence"));
	/* 64.0 is 64 */
	json_object_set_new(
		json_object_get(
			json_array_get(json_object_get(json_array_get(trials, 10), "samples"), 0),
			"at"),
		"ints", json_real(64));
	return record;
}

static void each_series_has_its_readings(void **state)
{
	_cleanup_json_ json_t *record = make_record();
	_cleanup_gathered_ struct gathered *gathered = gather_readings(record);
	_cleanup_json_ json_t *list = series_list(record);
	const json_t *series;
	size_t i;

	(void)state;
	assert_true(json_array_size(list) >= 6);
	json_array_foreach (list, i, series) {
		struct reading one, other;

		assert_true(gathered_reading(gathered, series, &one));
		assert_true(record_reading(record, "shmipc", "roundtrip", series, &other));
		assert_same(&one, &other);
	}
}

static void pairs_are_those_of_the_record(void **state)
{
	_cleanup_json_ json_t *record = make_record();
	_cleanup_gathered_ struct gathered *gathered = gather_readings(record);
	_cleanup_json_ json_t *of = json_pack("{s:s, s:s, s:s, s:s, s:{s:i}}", "mechanism",
		"shmipc", "experiment", "roundtrip", "variant", "shm-polling", "metric", "latency",
		"at", "ints", 64);
	_cleanup_json_ json_t *to = json_copy(of);
	const struct source source = {record, "shmipc", "roundtrip", 0};
	_cleanup_free_ double *a = NULL;
	_cleanup_free_ double *b = NULL;
	_cleanup_free_ double *c = NULL;
	_cleanup_free_ double *d = NULL;
	size_t count;

	(void)state;
	json_object_set_new(to, "variant", json_string("udp"));
	count = gathered_pairs(gathered, of, to, &a, &b);
	assert_true(count > 0);
	assert_int_equal(count, source_pairs(&source, of, to, &c, &d));
	assert_memory_equal(a, c, count * sizeof(*a));
	assert_memory_equal(b, d, count * sizeof(*b));
}

/* A record with more is not one of ours. */
static void series_and_intervals_are_bounded(void **state)
{
	enum { TRIALS = 30 };
	_cleanup_json_ json_t *record = synthetic_record("shmipc", "tcg");
	_cleanup_json_ json_t *list = NULL;
	size_t with = 0, without = 0, i;
	const json_t *series;

	(void)state;
	for (int t = 0; t < TRIALS; t++) {
		json_t *trial = synthetic_trial(
			record, "shmipc", "roundtrip", "shm-polling", "subject", t / 2, t % 2);

		for (int k = 1; k <= GATHER_MOST_SERIES + 10; k++)
			synthetic_sample(trial, "latency", "us", k, t);
	}
	list = series_list(record);
	assert_int_equal(json_array_size(list), GATHER_MOST_SERIES);
	_cleanup_gathered_ struct gathered *gathered = gather_readings(record);

	json_array_foreach (list, i, series) {
		struct reading reading;

		assert_true(gathered_reading(gathered, series, &reading));
		assert_int_equal(reading.trials, TRIALS);
		with += isfinite(reading.low) != 0;
		without += isfinite(reading.low) == 0;
	}
	assert_int_equal(with, GATHER_MOST_DRAWN / TRIALS);
	assert_true(without > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_series_has_its_readings),
		cmocka_unit_test(pairs_are_those_of_the_record),
		cmocka_unit_test(series_and_intervals_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
