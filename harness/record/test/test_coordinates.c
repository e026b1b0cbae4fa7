/* "largest" and "smallest": which point of a sweep decides, and what the result says about it. */
#include "harness/record/claims.h"
#include "harness/record/record.h"
#include "harness/record/test/synthetic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { PAIRS = 6, MOST_SIZES = 5 };

/* What one system measured: at each size (a zero ends them) the ratio to the size in MiB. */
struct system {
	const char *name, *role;
	int sizes[MOST_SIZES];
	double seconds[MOST_SIZES];
};

static void add_size(json_t *trial, const char *metric, const char *unit, int mib, double value)
{
	json_array_append_new(json_object_get(trial, "samples"),
		json_pack("{s:s, s:s, s:{s:i}, s:[f]}", "metric", metric, "unit", unit, "at",
			"memory_mib", mib, "values", value));
}

static json_t *migrations(const struct system *systems, size_t count, const char *accelerator)
{
	json_t *record = synthetic_record("zerocopy", accelerator);
	uint64_t state = 3;

	for (int pair = 0; pair < PAIRS; pair++) {
		for (size_t s = 0; s < count; s++) {
			json_t *trial = synthetic_trial(record, "zerocopy", "migration",
				systems[s].name, systems[s].role, pair / 2, pair % 2);

			/* the parameter of another experiment: a sweep's coordinate comes first */
			json_object_set_new(json_object_get(trial, "parameters"), "memory_mib",
				json_integer(64));
			for (size_t i = 0; i < MOST_SIZES && systems[s].sizes[i]; i++)
				add_size(trial, "migration_time", "s", systems[s].sizes[i],
					systems[s].seconds[i] * synthetic_noise(&state, 0.02));
		}
	}
	return record;
}

/* Grades `record` (taken over); the claim is borrowed from *claims. */
static const json_t *graded(json_t *record, const char *id, json_t **claims)
{
	const json_t *claim, *found = NULL;
	size_t i;

	assert_null(record_grade(record, claims));
	json_array_foreach (*claims, i, claim) {
		if (strcmp(json_string_value(json_object_get(claim, "id")), id) == 0)
			found = claim;
	}
	json_decref(record);
	assert_non_null(found);
	return found;
}

static const json_t *test_noted(const json_t *claim, const char *part)
{
	const json_t *test;
	size_t i;

	json_array_foreach (json_object_get(claim, "tests"), i, test) {
		const char *note = json_string_value(json_object_get(test, "note"));

		if (note && strstr(note, part))
			return test;
	}
	fail_msg("no test is noted '%s'", part);
	return NULL;
}

static double number(const json_t *object, const char *key)
{
	assert_true(json_is_number(json_object_get(object, key)));
	return json_number_value(json_object_get(object, key));
}

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

static const struct system uneven[] = {
	{"vmbeam", "subject", {128, 256, 512}, {1, 1, 1}},
	{"phys", "baseline", {128, 256, 1024}, {1.5, 4, 90}},
};

static void the_largest_common_size_decides(void **state)
{
	_cleanup_json_ json_t *claims = NULL;
	const json_t *claim = graded(migrations(uneven, 2, "tcg"), "D2a", &claims);
	const json_t *most = test_noted(claim, "Xen-Phys over VMBeam, the largest");
	const json_t *least = test_noted(claim, "Xen-Phys over VMBeam, the smallest");

	(void)state;
	assert_float_equal(number(most, "measured"), 4, 0.3);
	assert_int_equal(number(json_object_get(most, "at"), "memory_mib"), 256);
	assert_int_equal(number(json_object_get(most, "paper_at"), "memory_mib"), 4096);
	assert_non_null(strstr(text(most, "reason"), "memory_mib: 256 here, 4096 in the paper"));
	assert_float_equal(number(least, "measured"), 1.5, 0.1);
	assert_null(strstr(text(least, "reason"), "in the paper")); /* 128 is the paper's own */
}

static void a_reading_that_does_not_count_is_no_size(void **state)
{
	json_t *record = migrations(uneven, 2, "tcg"), *trial;
	_cleanup_json_ json_t *claims = NULL;
	size_t i;

	(void)state;
	/* A larger size in trials without evidence must not become the point of comparison. */
	json_array_foreach (json_object_get(record, "trials"), i, trial) {
		if (strcmp(text(trial, "variant"), "phys") == 0)
			add_size(trial, "migration_time", "s", 512, 9);
	}
	trial = synthetic_trial(record, "zerocopy", "migration", "phys", "baseline", 9, 0);
	add_size(trial, "migration_time", "s", 4096, 9);
	trial = synthetic_trial(record, "zerocopy", "migration", "vmbeam", "subject", 9, 0);
	add_size(trial, "migration_time", "s", 4096, 9);
	json_array_clear(json_object_get(trial, "evidence"));
	const json_t *claim = graded(record, "D2a", &claims);
	const json_t *most = test_noted(claim, "Xen-Phys over VMBeam, the largest");

	assert_int_equal(number(json_object_get(most, "at"), "memory_mib"), 512);
	assert_float_equal(number(most, "measured"), 9, 0.5);
}

static void no_common_size_decides_nothing(void **state)
{
	static const struct system apart[] = {
		{"vmbeam", "subject", {128}, {1}},
		{"phys", "baseline", {256}, {4}},
	};
	_cleanup_json_ json_t *claims = NULL;
	const json_t *claim = graded(migrations(apart, 2, "tcg"), "D2a", &claims);
	const json_t *most = test_noted(claim, "Xen-Phys over VMBeam, the largest");

	(void)state;
	assert_string_equal(text(most, "verdict"), "inconclusive");
	assert_null(json_object_get(most, "measured"));
	assert_null(json_object_get(most, "at"));
}

static void an_absolute_value_at_another_size_is_not_comparable(void **state)
{
	static const struct system small[] = {{"vmbeam", "subject", {128, 512}, {16, 16.3}}};
	static const struct system paper[] = {{"vmbeam", "subject", {128, 4096}, {16, 16.3}}};
	_cleanup_json_ json_t *here = NULL;
	_cleanup_json_ json_t *there = NULL;
	json_t *one = migrations(small, 1, "kvm"), *two = migrations(paper, 1, "kvm");
	const char *cpu = "Intel(R) Xeon(R) CPU E5-2665 0 @ 2.40GHz";
	const json_t *test;

	(void)state;
	json_object_set_new(json_object_get(one, "host"), "cpu", json_string(cpu));
	json_object_set_new(json_object_get(two, "host"), "cpu", json_string(cpu));
	test = test_noted(graded(one, "D2a", &here), "the time itself");
	assert_string_equal(text(test, "verdict"), "not-comparable");
	assert_string_equal(text(test, "reason"), "memory_mib: 512 here, 4096 in the paper");
	test = test_noted(graded(two, "D2a", &there), "the time itself");
	assert_string_equal(text(test, "verdict"), "reproduced");
}

/* The trials' parameter of the same name is constant: taken for x, no slope could be had. */
static void a_slope_is_over_the_samples_coordinate(void **state)
{
	json_t *record = synthetic_record("zerocopy", "tcg");
	_cleanup_json_ json_t *claims = NULL;
	uint64_t noise = 5;

	(void)state;
	for (int pair = 0; pair < PAIRS; pair++) {
		json_t *trial = synthetic_trial(
			record, "zerocopy", "migration", "vmbeam", "subject", pair / 2, pair % 2);

		json_object_set_new(
			json_object_get(trial, "parameters"), "memory_mib", json_integer(64));
		for (int mib = 128; mib <= 1024; mib *= 2)
			add_size(trial, "downtime", "s", mib, 0.03 * synthetic_noise(&noise, 0.02));
	}
	const json_t *claim = graded(record, "D3a", &claims);
	const json_t *slope = json_array_get(json_object_get(claim, "tests"), 0);

	assert_string_equal(text(slope, "verdict"), "reproduced");
	assert_float_equal(number(slope, "measured"), 0, 0.05);
	assert_int_equal(number(slope, "pairs"), PAIRS);
}

static void record_readings_settle_as_well(void **state)
{
	_cleanup_json_ json_t *record = migrations(uneven, 2, "tcg");
	_cleanup_json_ json_t *of = json_pack("{s:s, s:s, s:{s:s}}", "variant", "phys", "metric",
		"migration_time", "at", "memory_mib", "largest");
	_cleanup_json_ json_t *to = json_pack("{s:s, s:s, s:{s:s}}", "variant", "vmbeam", "metric",
		"migration_time", "at", "memory_mib", "largest");
	struct reading reading;

	(void)state;
	assert_true(record_reading(record, "zerocopy", "migration", of, &reading));
	assert_float_equal(reading.median, 90, 2); /* alone: its own largest */
	assert_true(record_ratio(record, "zerocopy", "migration", of, to, &reading, NULL));
	assert_float_equal(reading.median, 4, 0.3);
	assert_string_equal(text(json_object_get(of, "at"), "memory_mib"), "largest");
}

/* Without the one variant the largest size is not known of the other either: what is told is that
 * the one never ran, not that readings of the other are wanting. */
static void a_variant_that_never_ran_is_named(void **state)
{
	static const struct system systems[] = {
		{"vmbeam", "subject", {128, 512}, {1, 1}},
		{"phys", "baseline", {128, 512}, {2, 4}},
	};
	_cleanup_json_ json_t *claims = NULL;
	const json_t *test = test_noted(
		graded(migrations(systems, 2, "tcg"), "D5", &claims), "VMBeam over Xen-Nest");

	(void)state;
	assert_string_equal(text(test, "verdict"), "not-run");
	assert_non_null(strstr(text(test, "reason"), "no trial of nest "));
}

/* D5: a subject that sends nothing has no ratio, and is below the limit all the same. */
static void nothing_is_within_a_limit(void **state)
{
	static const double sent[] = {0, 0, 140, 0, 60, 0};

	(void)state;
	for (int large = 0; large < 2; large++) {
		json_t *record = synthetic_record("zerocopy", "tcg");
		_cleanup_json_ json_t *claims = NULL;

		for (int pair = 0; pair < PAIRS; pair++) {
			json_t *subject = synthetic_trial(record, "zerocopy", "migration", "vmbeam",
				"subject", pair / 2, pair % 2);
			json_t *baseline = synthetic_trial(record, "zerocopy", "migration", "phys",
				"baseline", pair / 2, pair % 2);

			add_size(subject, "network_bytes", "bytes", 512,
				large && pair == 2 ? 1e8 : sent[pair]);
			add_size(baseline, "network_bytes", "bytes", 512, 1e8);
		}
		const json_t *test =
			test_noted(graded(record, "D5", &claims), "VMBeam over Xen-Phys");

		assert_string_equal(text(test, "verdict"), large ? "inconclusive" : "reproduced");
		assert_float_equal(number(test, "measured"), large ? 1 : 1.4e-6, 1e-9);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_largest_common_size_decides),
		cmocka_unit_test(a_reading_that_does_not_count_is_no_size),
		cmocka_unit_test(no_common_size_decides_nothing),
		cmocka_unit_test(an_absolute_value_at_another_size_is_not_comparable),
		cmocka_unit_test(a_slope_is_over_the_samples_coordinate),
		cmocka_unit_test(record_readings_settle_as_well),
		cmocka_unit_test(a_variant_that_never_ran_is_named),
		cmocka_unit_test(nothing_is_within_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
