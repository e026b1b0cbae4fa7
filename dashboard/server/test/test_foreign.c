/* Records that somebody made up, in the results directory: whatever they hold, the server answers
 * within bounded work and memory. */
#include "harness/base/test/support.h"

#include "dashboard/server/test/http.h"
#include "harness/record/gather.h"

#include "harness/record/record.h"
#include "harness/record/synthetic.h"

#define ID "20260131T201512Z-3f9a1c"

static json_t *record; /* of a synthetic night, without its trials */

static int set_up(void **state)
{
	const struct synthetic_options options = {.seed = 9, .count = 1};

	if (scratch_make(state) != 0)
		return -1;
	assert_ok(synthetic_night(&options, 0, &record));
	json_object_set_new(record, "id", json_string(ID));
	json_object_del(record, "synthetic");
	json_object_del(record, "digest");
	json_object_set_new(record, "claims", json_array());
	json_object_set_new(record, "trials", json_array());
	return 0;
}

static int tear_down(void **state)
{
	stop();
	json_decref(record);
	return scratch_remove(state);
}

#define foreign_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static void put_in_store(void)
{
	_cleanup_free_ char *dir = scratch_path("runs");
	_cleanup_free_ char *path = scratch_path("runs/" ID ".json");
	_cleanup_free_ char *text = json_dumps(record, JSON_COMPACT);

	assert_ok(fs_make_dirs(dir));
	assert_ok(fs_write_atomic(path, text, strlen(text)));
}

/* The samples of a trial to be filled; borrowed. */
static json_t *add_trial(int index, const char *experiment, const char *variant)
{
	json_t *samples = json_array();

	json_array_append_new(json_object_get(record, "trials"),
		json_pack("{s:i, s:s, s:s, s:i, s:i, s:s, s:s, s:{}, s:s, s:o, s:[], s:i}", "index",
			index, "mechanism", "shmipc", "experiment", experiment, "block", index / 2,
			"half", index % 2, "variant", variant, "role", "baseline", "parameters",
			"outcome", "ok", "samples", samples, "evidence", "wall_s", 1));
	return samples;
}

static void add_sample(json_t *samples, const char *metric, int at, double value)
{
	json_array_append_new(samples, json_pack("{s:s, s:s, s:{s:i}, s:[f]}", "metric", metric,
					       "unit", "us", "at", "x", at, "values", value));
}

/* ---- series ---- */

/* Minutes of work where each series looks through all samples; a client has half a minute. */
static void test_many_series_are_answered(void **state)
{
	enum { TRIALS = 6, POINTS = 8000 };
	static const char *const paths[] = {"papers/C?run=" ID, "runs/" ID "/series", "runs/" ID,
		"runs/" ID "/report.json", "claims/C1?run=" ID};

	(void)state;
	for (int i = 0; i < TRIALS; i++) {
		json_t *samples = add_trial(i, "roundtrip", i % 2 ? "a" : "b");

		for (int k = 0; k < POINTS; k++)
			add_sample(samples, "m", k, k + i);
	}
	put_in_store();
	start();
	wait_for_runs(1);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		json_decref(get_json(paths[i], 200));
	_cleanup_json_ json_t *series = get_json(paths[1], 200);

	assert_int_equal(json_array_size(json_object_get(series, "series")), GATHER_MOST_SERIES);
}

static void test_many_tables_and_variants_are_answered(void **state)
{
	enum { TRIALS = 8000 };

	(void)state;
	for (int i = 0; i < TRIALS; i++) {
		_cleanup_free_ char *experiment = format_string("e%d", i % 2000);
		_cleanup_free_ char *variant = format_string("v%d", i);
		json_t *samples = add_trial(i, experiment, variant);

		add_sample(samples, "m", 1, i);
		add_sample(samples, "m", 2, i);
	}
	put_in_store();
	start();
	wait_for_runs(1);
	json_decref(get_json("papers/C?run=" ID, 200));
}

/* ---- rows ---- */

static size_t text_size(const json_t *value)
{
	return json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENSURE_ASCII);
}

/* Of bytes that are escaped. */
static json_t *long_text(size_t size)
{
	_cleanup_free_ char *text = calloc(1, size + 1);

	memset(text, 1, size);
	return json_string(text);
}

static void test_a_row_is_cut(void **state)
{
	enum { MANY = 1000, LONG = 4000, ROW = 16 << 10, PAGE = 64 << 10 };
	json_t *command = json_pack("[s]", "run"),
	       *images = json_pack("[{s:s, s:s}]", "name", "tiny", "hash", "0123"),
	       *claims = json_array();
	json_t *host = json_object_get(record, "host"), *build = json_object_get(record, "build");

	(void)state;
	for (int i = 1; i < MANY; i++) {
		_cleanup_json_ json_t *text = long_text(LONG);

		json_array_append(command, text);
		json_array_append_new(images,
			json_pack("{s:O, s:O, s:O}", "name", text, "hash", text, "more", text));
		json_array_append_new(
			claims, json_pack("{s:s, s:s, s:s, s:s, s:[]}", "id", "C1", "paper", "C",
					"verdict", "reproduced", "reason", "", "tests"));
	}
	json_object_set_new(record, "command", command);
	json_object_set_new(record, "images", images);
	json_object_set_new(record, "claims", claims);
	json_object_set_new(build, "version", long_text(LONG));
	json_object_set_new(build, "commit", long_text(LONG));
	json_object_set_new(host, "cpu", json_pack("{s:o}", "model", long_text(500)));
	json_object_set_new(host, "qemu", json_pack("{s:o}", "version", long_text(500)));
	put_in_store();
	start();
	wait_for_runs(1);
	_cleanup_json_ json_t *runs = get_json("runs", 200);
	const json_t *row = json_array_get(json_object_get(runs, "runs"), 0);
	_cleanup_reply_ struct reply overview = get("/api/v1/overview");

	assert_true(text_size(row) <= ROW);
	assert_true(strlen(overview.body) <= PAGE);
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(row, "command"), 0)), "run");
	assert_string_equal(
		json_text(json_array_get(json_object_get(row, "images"), 0), "name"), "tiny");
	assert_true(json_array_size(json_object_get(row, "notes")) > 1);
}

static void test_coordinates_are_cut(void **state)
{
	enum { LONG = 1 << 20, TRIALS = 6 };
	_cleanup_json_ json_t *text = long_text(LONG);

	(void)state;
	for (int i = 0; i < TRIALS; i++) {
		json_t *samples = add_trial(i, "roundtrip", "a");

		add_sample(samples, "m", 1, i);
		json_object_set(json_object_get(json_array_get(samples, 0), "at"), "y", text);
	}
	put_in_store();
	start();
	wait_for_runs(1);
	_cleanup_json_ json_t *series = get_json("series", 200);
	const json_t *all = json_object_get(series, "series");

	assert_int_equal(json_array_size(all), 1);
	assert_true(text_size(all) < 4096);
}

/* ---- sizes ---- */

/* Clients that ask for a large record and do not take it. */
static void test_a_large_record_is_not_held_for_each_client(void **state)
{
	enum { CLIENTS = 100, RECORD = 40 << 20, ALL = 400 << 20 };
	_cleanup_free_ char *request = NULL;
	int fds[CLIENTS];
	size_t before;

	(void)state;
	json_object_set_new(json_object_get(record, "host"), "note", long_text(RECORD / 6));
	put_in_store();
	start();
	wait_for_runs(1);
	request = format_string(
		"GET /api/v1/runs/" ID "/record.json HTTP/1.1\r\nHost: localhost:%u\r\n\r\n", port);
	before = resident_bytes();
	for (size_t i = 0; i < CLIENTS; i++) {
		char bytes[12];

		fds[i] = connect_to_it();
		send_text(fds[i], request);
		/* it has begun to be sent */
		assert_int_equal(recv(fds[i], bytes, sizeof(bytes), MSG_WAITALL), sizeof(bytes));
		assert_memory_equal(bytes, "HTTP/1.1 200", sizeof(bytes));
	}
	assert_true(resident_bytes() < before + ALL);
	for (size_t i = 0; i < CLIENTS; i++)
		close(fds[i]);
}

static void test_a_record_comes_as_it_is(void **state)
{
	_cleanup_free_ char *path = scratch_path("runs/" ID ".json");
	_cleanup_free_ char *text = NULL;
	_cleanup_free_ char *tag = NULL;

	(void)state;
	put_in_store();
	assert_ok(fs_read(path, RECORD_MAX_BYTES, &text, NULL));
	start();
	wait_for_runs(1);
	_cleanup_reply_ struct reply reply = get("/api/v1/runs/" ID "/record.json");
	_cleanup_reply_ struct reply head = ask("HEAD", "/api/v1/runs/" ID "/record.json", NULL);
	const char *header = reply_header(&reply, "ETag");

	assert_int_equal(reply.status, 200);
	assert_string_equal(reply.body, text);
	assert_int_equal(head.status, 200);
	assert_string_equal(head.body, "");
	assert_non_null(header);
	tag = format_string("If-None-Match: %.*s\r\n", (int)strcspn(header, "\r"), header);
	_cleanup_reply_ struct reply again = ask("GET", "/api/v1/runs/" ID "/record.json", tag);

	assert_int_equal(again.status, 304);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		foreign_test(test_many_series_are_answered),
		foreign_test(test_many_tables_and_variants_are_answered),
		foreign_test(test_a_row_is_cut),
		foreign_test(test_coordinates_are_cut),
		foreign_test(test_a_large_record_is_not_held_for_each_client),
		foreign_test(test_a_record_comes_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
