/* What a record holds beyond the paper's tables is shown, once, and in order. */
#include "harness/record/test/synthetic.h"
#include "harness/base/fs.h"
#include "harness/record/paper.h"
#include "harness/report/also.h"
#include "harness/report/line.h"
#include "harness/report/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* A sweep of two subjects and a baseline; the points come in no order. */
static void add_sweep(json_t *record, int trials)
{
	static const struct {
		const char *name, *role;
		double factor;
	} variants[] = {{"udp", "baseline", 40}, {"shm-doorbell", "subject", 8},
		{"shm-polling", "subject", 4}};
	static const int points[] = {1024, 1, 65536, 16};

	for (int i = 0; i < trials; i++) {
		for (size_t v = 0; v < ARRAY_SIZE(variants); v++) {
			json_t *trial = synthetic_trial(record, "shmipc", "sweep", variants[v].name,
				variants[v].role, i / 2, i % 2);

			for (size_t p = 0; p < ARRAY_SIZE(points); p++) {
				synthetic_sample(trial, "latency", "us", points[p],
					variants[v].factor * points[p]);
				synthetic_sample(trial, "bandwidth", "MB/s", points[p],
					100 / variants[v].factor);
				synthetic_sample(trial, "depth", "entries", points[p], 3);
			}
		}
	}
}

static json_t *also_of(const json_t *record)
{
	const json_t *paper = NULL;

	assert_null(paper_load("C", &paper));
	return also_measured(record, paper);
}

static const json_t *table_of(const json_t *also, const char *experiment, const char *metric)
{
	const json_t *table;
	size_t i;

	json_array_foreach (also, i, table) {
		if (strcmp(json_string_value(json_object_get(table, "experiment")), experiment) ==
				0 &&
			strcmp(json_string_value(json_object_get(table, "metric")), metric) == 0)
			return table;
	}
	return NULL;
}

static const char *text_at(const json_t *list, size_t index, const char *key)
{
	const json_t *one = json_array_get(list, index);

	return json_string_value(key ? json_object_get(one, key) : one);
}

static double gain_at(const json_t *table, size_t row)
{
	return json_number_value(json_object_get(
		json_object_get(json_array_get(json_object_get(table, "rows"), row), "gain"),
		"ratio"));
}

static void test_a_sweep_is_a_table_by_its_coordinate(void **state)
{
	_cleanup_json_ json_t *record = synthetic_shmipc(2, 150);
	_cleanup_json_ json_t *also = NULL;
	const json_t *table, *rows, *cell;

	(void)state;
	add_sweep(record, 2);
	also = also_of(record);
	table = table_of(also, "sweep", "latency");
	assert_non_null(table);
	assert_string_equal(json_string_value(json_object_get(table, "coordinate")), "ints");
	rows = json_object_get(table, "rows");
	assert_int_equal(json_array_size(rows), 4);
	assert_string_equal(text_at(rows, 0, "label"), "1");
	assert_string_equal(text_at(rows, 1, "label"), "16");
	assert_string_equal(text_at(rows, 2, "label"), "1024");
	assert_string_equal(text_at(rows, 3, "label"), "65536");
	/* Subjects first, then as the paper names them. */
	assert_string_equal(text_at(json_object_get(table, "variants"), 0, NULL), "shm-polling");
	assert_string_equal(text_at(json_object_get(table, "variants"), 1, NULL), "shm-doorbell");
	assert_string_equal(text_at(json_object_get(table, "variants"), 2, NULL), "udp");
	cell = json_object_get(json_object_get(json_array_get(rows, 2), "cells"), "udp");
	assert_float_equal(json_number_value(json_object_get(cell, "median")), 40960, 1e-6);
	assert_int_equal(json_integer_value(json_object_get(cell, "trials")), 2);
	assert_null(json_object_get(cell, "low"));
}

/* Best subject against best baseline: of times the least, of rates the most, of others nothing. */
static void test_the_gain_follows_the_unit(void **state)
{
	_cleanup_json_ json_t *record = synthetic_shmipc(2, 150);
	_cleanup_json_ json_t *also = NULL;

	(void)state;
	add_sweep(record, 6);
	also = also_of(record);
	assert_float_equal(gain_at(table_of(also, "sweep", "latency"), 1), 10, 1e-9);
	assert_float_equal(gain_at(table_of(also, "sweep", "bandwidth"), 1), 10, 1e-9);
	assert_null(json_object_get(
		json_array_get(json_object_get(table_of(also, "sweep", "depth"), "rows"), 1),
		"gain"));
}

/* Table 3 shows every variant's round trip and C3 the pointers: they are not shown again. What it
 * shows of one variant only is shown of all. */
static void test_only_what_is_not_shown_already(void **state)
{
	_cleanup_json_ json_t *record = synthetic_shmipc(8, 150);
	_cleanup_json_ json_t *before = also_of(record);
	_cleanup_json_ json_t *after = NULL;
	const json_t *rows;

	(void)state;
	assert_int_equal(json_array_size(before), 0);
	for (int i = 0; i < 8; i++)
		synthetic_sample(synthetic_trial(record, "shmipc", "roundtrip", "udp", "baseline",
					 20 + i / 2, i % 2),
			"switching_paper", "us", 0, 7 + i);
	after = also_of(record);
	assert_int_equal(json_array_size(after), 1);
	rows = json_object_get(table_of(after, "roundtrip", ""), "rows");
	assert_int_equal(json_array_size(rows), 1);
	assert_string_equal(text_at(rows, 0, "label"), "switching_paper");
	rows = json_object_get(json_array_get(rows, 0), "cells");
	assert_non_null(json_object_get(json_object_get(rows, "udp"), "low"));
	assert_non_null(json_object_get(rows, "tcp-naive"));
}

/* A trial without evidence shows nothing, here as everywhere. */
static void test_trials_that_do_not_count_are_left_out(void **state)
{
	_cleanup_json_ json_t *record = synthetic_record("shmipc", "tcg");
	_cleanup_json_ json_t *also = NULL;
	json_t *trial =
		synthetic_trial(record, "shmipc", "handoff", "shm-polling", "subject", 0, 0);

	(void)state;
	synthetic_sample(trial, "handoff", "us", 0, 5);
	json_array_clear(json_object_get(trial, "evidence"));
	also = also_of(record);
	assert_int_equal(json_array_size(also), 0);
}

static void test_grids_fit_and_lose_no_variant(void **state)
{
	static const int widths[] = {60, 80, 100};
	struct record *record = NULL;
	json_t *json = synthetic_shmipc(8, 150);

	(void)state;
	add_sweep(json, 8);
	for (int i = 0; i < 30; i++) {
		_cleanup_free_ char *name = format_string("a-variant-%02d", i);

		synthetic_sample(
			synthetic_trial(json, "shmipc", "iperf3", name, "baseline", 0, i % 2),
			"throughput", "Mbit/s", 0, 1000 + i);
	}
	assert_null(record_from_json(json, &record));
	for (size_t i = 0; i < ARRAY_SIZE(widths); i++) {
		const struct report_options options = {.width = widths[i]};
		_cleanup_free_ char *text = NULL;
		char *rest, *line;
		size_t size;
		FILE *out = open_memstream(&text, &size);

		assert_null(report_render(record, REPORT_TEXT, &options, out));
		fclose(out);
		for (int v = 0; v < 30; v++) {
			_cleanup_free_ char *name = format_string("a-variant-%02d", v);
			_cleanup_free_ char *value = format_string(" %d", 1000 + v);

			assert_non_null(strstr(text, name));
			assert_non_null(strstr(text, value));
		}
		rest = text;
		while ((line = strsep(&rest, "\n")))
			assert_true(text_columns(line) <= widths[i]);
	}
	record_destroy(record);
	json_decref(json);
}

/* As text, 100 columns wide; caller frees. */
static char *rendered(json_t *json)
{
	const struct report_options options = {.width = 100};
	struct record *record = NULL;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_null(record_from_json(json, &record));
	assert_null(report_render(record, REPORT_TEXT, &options, out));
	fclose(out);
	record_destroy(record);
	return text;
}

/* Six trials of one variant that tell a series of `points`, alternating around 7000. */
static json_t *time_series(int points)
{
	json_t *record = synthetic_record("shmipc", "tcg");

	for (int i = 0; i < 6; i++) {
		json_t *trial = synthetic_trial(
			record, "shmipc", "series", "shm-polling", "subject", i / 2, i % 2);

		for (int p = 1; p <= points; p++)
			synthetic_sample(trial, "rate", "replies/s", p, 7000 + i % 2);
	}
	return record;
}

static void test_a_long_series_has_a_line_for_each_point(void **state)
{
	_cleanup_json_ json_t *few = time_series(5);
	_cleanup_json_ json_t *many = time_series(60);
	_cleanup_free_ char *brief = rendered(many);
	_cleanup_free_ char *full = rendered(few);
	size_t lines = 0;

	(void)state;
	assert_non_null(strstr(full, "[7000, 7001]"));
	assert_null(strstr(brief, "[7000, 7001]"));
	for (const char *p = brief; (p = strstr(p, "7000")); p++)
		lines++;
	assert_int_equal(lines, 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_sweep_is_a_table_by_its_coordinate),
		cmocka_unit_test(test_the_gain_follows_the_unit),
		cmocka_unit_test(test_only_what_is_not_shown_already),
		cmocka_unit_test(test_trials_that_do_not_count_are_left_out),
		cmocka_unit_test(test_grids_fit_and_lose_no_variant),
		cmocka_unit_test(test_a_long_series_has_a_line_for_each_point),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
