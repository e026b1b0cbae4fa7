/* A metric over the runs of a store that has the records of two hosts: what differs between two
 * machines is no change of either. */
#include "harness/base/test/support.h"

#include "dashboard/server/test/http.h"
#include "harness/record/synthetic.h"

/* Of these nights the 37th has a newer kernel and the 49th a slower commit: synthetic.h. */
#define NIGHTS 60
/* The other host was measured before that, and for some nights both were. */
#define FIRST_HERE 24
#define LAST_THERE 29

static void keep(const struct synthetic_options *options, size_t night)
{
	_cleanup_json_ json_t *record = NULL;
	_cleanup_free_ char *path = NULL;

	assert_ok(synthetic_night(options, night, &record));
	path = format_string("%s/runs/%s.json", scratch, json_text(record, "id"));
	assert_int_equal(json_dump_file(record, path, 0), 0);
}

/* A host with more cores and another kernel, on which everything takes three times as long. */
static json_t *of_another_host(const json_t *record)
{
	json_t *other = json_deep_copy(record), *host = json_object_get(other, "host");
	json_t *trial, *sample, *value;
	size_t i, j, k;

	json_object_set_new(json_object_get(host, "cpu"), "cores", json_integer(16));
	json_object_set_new(
		json_object_get(host, "kernel"), "release", json_string("5.10.0-another"));
	json_array_foreach (json_object_get(other, "trials"), i, trial) {
		json_array_foreach (json_object_get(trial, "samples"), j, sample) {
			json_t *values = json_object_get(sample, "values");

			json_array_foreach (values, k, value)
				json_array_set_new(
					values, k, json_real(3 * json_number_value(value)));
		}
	}
	return other;
}

static int set_up(void **state)
{
	struct synthetic_options here = {.seed = 5, .count = NIGHTS};
	struct synthetic_options there = {.seed = 6, .count = NIGHTS};
	_cleanup_free_ char *mark = NULL;
	_cleanup_free_ char *runs = NULL;
	_cleanup_json_ json_t *first = NULL;
	_cleanup_json_ json_t *like = NULL;

	if (scratch_make(state) != 0)
		return -1;
	mark = scratch_path(SYNTHETIC_MARK);
	runs = scratch_path("runs");
	assert_ok(fs_make_dirs(runs));
	assert_ok(fs_write_atomic(mark, "", 0));
	assert_ok(synthetic_night(&here, 0, &first));
	like = of_another_host(first);
	there.like = like;
	for (size_t i = FIRST_HERE; i < NIGHTS; i++)
		keep(&here, i);
	for (size_t i = 0; i <= LAST_THERE; i++)
		keep(&there, i);
	start();
	wait_for_runs(NIGHTS - FIRST_HERE + LAST_THERE + 1);
	return 0;
}

static int tear_down(void **state)
{
	stop();
	return scratch_remove(state);
}

#define TREND                                                                                      \
	"trends?mechanism=shmipc&experiment=roundtrip&variant=shm-polling&metric=roundtrip"        \
	"&at=%%7B%%22ints%%22%%3A8192%%7D%s%s"

static json_t *trend_of(const char *host)
{
	_cleanup_free_ char *path = format_string(TREND, host ? "&host=" : "", host ? host : "");

	return get_json(path, 200);
}

static void test_hosts_are_judged_apart(void **state)
{
	_cleanup_json_ json_t *both = trend_of(NULL);
	const json_t *points = json_object_get(both, "points"), *annotation;
	const json_t *latest = json_array_get(points, json_array_size(points) - 1);
	const char *here = json_text(latest, "host");
	const json_t *changes = json_object_get(both, "changes"), *change;
	size_t i;

	(void)state;
	assert_string_not_equal(json_text(json_array_get(points, 0), "host"), here);
	/* the newer kernel and the slower commit, and not that the hosts differ */
	assert_int_equal(json_array_size(json_object_get(both, "annotations")), 2);
	json_array_foreach (json_object_get(both, "annotations"), i, annotation)
		assert_string_equal(json_text(annotation, "host"), here);
	assert_int_equal(json_array_size(changes), 1);
	change = json_array_get(changes, 0);
	assert_string_equal(json_text(change, "host"), here);
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(change, "coincides"), 0)),
		"commit");
	/* its place is among all points */
	assert_string_equal(
		json_text(json_array_get(points, (size_t)json_number(change, "index", -1)), "run"),
		json_text(change, "run"));
}

/* To judge hosts apart is to find for each what would be found without the others. */
static void test_a_host_alone_has_the_same_changes(void **state)
{
	static const char *const same[] = {"run", "before", "after", "effect", "coincides"};
	_cleanup_json_ json_t *both = trend_of(NULL);
	const json_t *points = json_object_get(both, "points");
	const json_t *latest = json_array_get(points, json_array_size(points) - 1);
	_cleanup_json_ json_t *alone = trend_of(json_text(latest, "host"));
	const json_t *one = json_array_get(json_object_get(both, "changes"), 0);
	const json_t *two = json_array_get(json_object_get(alone, "changes"), 0);

	(void)state;
	assert_int_equal(json_array_size(json_object_get(alone, "points")), NIGHTS - FIRST_HERE);
	for (size_t i = 0; i < ARRAY_SIZE(same); i++)
		assert_true(
			json_equal(json_object_get(one, same[i]), json_object_get(two, same[i])));
	assert_true(json_equal(
		json_object_get(both, "annotations"), json_object_get(alone, "annotations")));
}

#define trends_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		trends_test(test_hosts_are_judged_apart),
		trends_test(test_a_host_alone_has_the_same_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
