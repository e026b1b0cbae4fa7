/* Request targets: what is plain is taken apart, what could be read in two ways is refused. */
#include "dashboard/server/request.h"
#include "harness/base/test/support.h"

static void assert_refused(const char *target)
{
	struct request request = {0};
	const char *why = NULL;

	if (request_parse(target, &request, &why))
		fail_msg("'%s' was taken", target);
	assert_non_null(why);
	assert_null(request.text);
}

static struct request parsed(const char *target)
{
	struct request request = {0};
	const char *why = NULL;

	if (!request_parse(target, &request, &why))
		fail_msg("'%s' was refused: %s", target, why);
	assert_null(why);
	return request;
}

static void test_a_path_is_taken_apart(void **state)
{
	struct request request = parsed("/api/v1/runs/a%2Db?limit=5&host=x%20y+z&empty&also=");

	(void)state;
	assert_int_equal(request.count, 4);
	assert_string_equal(request.segments[0], "api");
	assert_string_equal(request.segments[3], "a-b");
	assert_int_equal(request.parameter_count, 4);
	assert_string_equal(request_parameter(&request, "limit"), "5");
	assert_string_equal(request_parameter(&request, "host"), "x y z");
	assert_string_equal(request_parameter(&request, "empty"), "");
	assert_string_equal(request_parameter(&request, "also"), "");
	assert_null(request_parameter(&request, "offset"));
	request_deinit(&request);
}

static void test_a_last_slash_means_nothing(void **state)
{
	struct request root = parsed("/"), runs = parsed("/runs/"), query = parsed("/runs/?a=b");

	(void)state;
	assert_int_equal(root.count, 0);
	assert_int_equal(runs.count, 1);
	assert_int_equal(query.count, 1);
	assert_string_equal(request_parameter(&query, "a"), "b");
	request_deinit(&root);
	request_deinit(&runs);
	request_deinit(&query);
}

static void test_tricks_are_refused(void **state)
{
	static const char *const tricks[] = {"", "*", "http://host/", "//", "//etc", "/a//b",
		"/../etc/passwd", "/a/..", "/./a", "/a/%2e%2e/b", "/%2E%2e", "/%2e", "/a%2fb",
		"/a%2Fb", "/a%5cb", "/a\\b", "/a%00", "/a%00.html", "/%", "/%4", "/%zz", "/%c0%af",
		"/%c0%ae%c0%ae/x", "/%ff", "/a%0d%0aSet-Cookie:x", "/a%7f", "/\x01", "/?a=%00",
		"/?a=%", "/?a=1&a=2", "/?=1", "/?&", "/?a=%0a", "/?%00=1",
		"/1/2/3/4/5/6/7/8/9/10/11/12/13"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(tricks); i++)
		assert_refused(tricks[i]);
}

static void test_targets_are_bounded(void **state)
{
	char target[REQUEST_MAX + 2];
	struct request request;

	(void)state;
	memset(target, 'a', sizeof(target));
	target[0] = '/';
	target[REQUEST_MAX + 1] = '\0';
	assert_refused(target);
	target[REQUEST_MAX] = '\0';
	request = parsed(target);
	assert_int_equal(strlen(request.segments[0]), REQUEST_MAX - 1);
	request_deinit(&request);
}

/* Every byte of the text is needed in the worst case: the sanitizers look. */
static void test_many_parameters_fit(void **state)
{
	struct request request = parsed("/?a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q&r&s&t");

	(void)state;
	assert_int_equal(request.parameter_count, REQUEST_PARAMETERS);
	request_deinit(&request);
	assert_refused("/?a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q&r&s&t&u");
}

static void test_numbers_are_whole_and_bounded(void **state)
{
	static const char *const bad[] = {"/?n=-1", "/?n=+1", "/?n=1e3", "/?n=%201", "/?n=101",
		"/?n=99999999999999999999", "/?n=0x1", "/?n=", "/?n=1x"};
	struct request good = parsed("/?n=100");
	int64_t value = 0;

	(void)state;
	assert_true(request_number(&good, "n", 100, 7, &value));
	assert_int_equal(value, 100);
	assert_true(request_number(&good, "other", 100, 7, &value));
	assert_int_equal(value, 7);
	request_deinit(&good);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct request request = parsed(bad[i]);

		if (request_number(&request, "n", 100, 7, &value))
			fail_msg("'%s' was taken", bad[i]);
		request_deinit(&request);
	}
}

static void test_unknown_parameters_are_found(void **state)
{
	struct request request = parsed("/?offset=1&limit=2");

	(void)state;
	assert_null(request_unknown(&request, "limit offset"));
	assert_string_equal(request_unknown(&request, "offset"), "limit");
	assert_string_equal(request_unknown(&request, "offset limits"), "limit");
	assert_string_equal(request_unknown(&request, ""), "offset");
	request_deinit(&request);
}

static void test_patterns_match_whole_paths(void **state)
{
	struct request request = parsed("/api/v1/runs/R/trials/7/samples");
	struct request log = parsed("/api/v1/runs/R/logs/trial-0001/g0.console");
	const char *captured[3] = {NULL};

	(void)state;
	assert_true(request_matches(&request, 2, "runs/*/trials/*/samples", captured, 3));
	assert_string_equal(captured[0], "R");
	assert_string_equal(captured[1], "7");
	assert_false(request_matches(&request, 2, "runs/*/trials/*", captured, 3));
	assert_false(request_matches(&request, 2, "runs/*/trials/*/samples/x", captured, 3));
	assert_false(request_matches(&request, 2, "run/*/trials/*/samples", captured, 3));
	assert_true(request_matches(&log, 2, "runs/*/logs/**", captured, 3));
	assert_string_equal(captured[1], "trial-0001");
	assert_false(request_matches(&log, 2, "runs/*/logs/trial-0001/g0.console/**", captured, 3));
	request_deinit(&request);
	request_deinit(&log);
}

static void test_names_are_plain(void **state)
{
	(void)state;
	assert_true(request_is_name("20261121T015323Z-2bd4db"));
	assert_false(request_is_name(""));
	assert_false(request_is_name(".hidden"));
	assert_false(request_is_name("a/b"));
	assert_false(request_is_name("a b"));
	assert_false(request_is_name("0123456789012345678901234567890123456789012345678901234567890"
				     "1234"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_path_is_taken_apart),
		cmocka_unit_test(test_a_last_slash_means_nothing),
		cmocka_unit_test(test_tricks_are_refused),
		cmocka_unit_test(test_targets_are_bounded),
		cmocka_unit_test(test_many_parameters_fit),
		cmocka_unit_test(test_numbers_are_whole_and_bounded),
		cmocka_unit_test(test_unknown_parameters_are_found),
		cmocka_unit_test(test_patterns_match_whole_paths),
		cmocka_unit_test(test_names_are_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
