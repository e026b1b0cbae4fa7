/* Runs in progress: their journals as they grow, told by server-sent events. */
#include "harness/base/test/support.h"

#include "dashboard/server/test/http.h"
#include "harness/engine/journal.h"
#include "harness/record/record.h"
#include "harness/record/synthetic.h"

#include <fcntl.h>
#include <sys/file.h>

#define ID "20260131T201512Z-3f9a1c"

static json_t *record; /* a synthetic one, whose trials the journal gets */
static struct journal *journal;

static int set_up(void **state)
{
	const struct synthetic_options options = {.seed = 9, .count = 1};

	if (scratch_make(state) != 0)
		return -1;
	assert_ok(synthetic_night(&options, 0, &record));
	json_object_set_new(record, "id", json_string(ID));
	json_object_del(record, "synthetic");
	start();
	wait_for_runs(0);
	return 0;
}

static int tear_down(void **state)
{
	stop();
	journal_close(journal);
	journal = NULL;
	json_decref(record);
	return scratch_remove(state);
}

#define live_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static size_t trials(void)
{
	return json_array_size(json_object_get(record, "trials"));
}

static void begin_run(void)
{
	_cleanup_free_ char *dir = scratch_path("runs/" ID);
	_cleanup_json_ json_t *header = json_copy(record);

	json_object_del(header, "trials");
	json_object_del(header, "claims");
	json_object_del(header, "digest");
	json_object_del(header, "finished");
	json_object_set_new(header, "state", json_string("running"));
	assert_ok(journal_create(dir, header, &journal));
}

static void finish_trial(size_t index)
{
	assert_ok(journal_append(
		journal, "trial", json_array_get(json_object_get(record, "trials"), index)));
}

static void end_run(void)
{
	_cleanup_json_ json_t *made = json_copy(record);
	_cleanup_free_ char *done = scratch_path("runs/" ID "/complete");

	assert_ok(record_save(made, scratch, NULL));
	assert_ok(fs_write_atomic(done, "", 0));
	journal_close(journal);
	journal = NULL;
}

/* ---- a follower ---- */

struct stream {
	int fd;
	char *text;
	size_t size;
	size_t at; /* where the next event begins */
};

static struct stream follow(const char *path, const char *more)
{
	_cleanup_free_ char *request = format_string(
		"GET /api/v1/%s HTTP/1.1\r\nHost: localhost:%u\r\n%s\r\n", path, port, more);
	struct stream stream = {.fd = connect_to_it(), .text = calloc(1, 1)};

	send_text(stream.fd, request);
	return stream;
}

static void stream_deinit(struct stream *stream)
{
	close(stream->fd);
	free(stream->text);
}
#define _cleanup_stream_ _cleanup_(stream_deinit)

/* The data of the next event of that name; others are passed over. *id (may be NULL) is its id, -1
 * without one. */
static json_t *next_event(struct stream *stream, const char *name, long *id)
{
	_cleanup_free_ char *begin = format_string("event: %s\n", name);
	struct deadline deadline = deadline_after_ms(TEST_TIMEOUT_MS);

	for (;;) {
		char *found = strstr(stream->text + stream->at, begin), *end, bytes[4096];
		ssize_t n;

		if (found && (end = strstr(found, "\n\n"))) {
			_cleanup_free_ char *event = strndup(found, (size_t)(end - found));
			const char *data = strstr(event, "\ndata: ");
			const char *number = strstr(event, "\nid: ");

			stream->at = (size_t)(end + 2 - stream->text);
			assert_non_null(data);
			if (id)
				*id = number && number < data ? strtol(number + 5, NULL, 10) : -1;
			return json_loads(data + 7, 0, NULL);
		}
		if (deadline_passed(deadline))
			fail_msg("no event %s in: %.600s", name, stream->text + stream->at);
		n = recv(stream->fd, bytes, sizeof(bytes), 0);
		if (n <= 0)
			fail_msg("the stream ended before %s: %.600s", name, stream->text);
		stream->text = realloc(stream->text, stream->size + (size_t)n + 1);
		/* chunk sizes stand between the events, on lines of their own */
		memcpy(stream->text + stream->size, bytes, (size_t)n);
		stream->size += (size_t)n;
		stream->text[stream->size] = '\0';
		for (char *nul; (nul = memchr(stream->text, '\0', stream->size));)
			*nul = ' ';
	}
}

static void assert_ended(struct stream *stream)
{
	char bytes[4096];
	ssize_t n;

	while ((n = recv(stream->fd, bytes, sizeof(bytes), 0)) > 0)
		;
	assert_int_equal(n, 0);
}

/* ---- tests ---- */

static void test_a_run_is_followed_from_before_it_begins(void **state)
{
	_cleanup_stream_ struct stream stream =
		follow("runs/" ID "/events", "Connection: close\r\n");

	(void)state;
	begin_run();
	_cleanup_json_ json_t *run = next_event(&stream, "run", NULL);

	assert_string_equal(json_text(run, "state"), "running");
	assert_int_equal(json_number(run, "planned", -1), trials());
	assert_int_equal(json_number(run, "finished", -1), 0);
	assert_true(json_is_object(json_object_get(run, "trial")));
	for (size_t i = 0; i < trials(); i++) {
		long id;

		finish_trial(i);
		_cleanup_json_ json_t *event = next_event(&stream, "trial", &id);
		const json_t *trial = json_object_get(event, "trial");

		assert_int_equal(id, i + 1);
		assert_int_equal(json_number(trial, "index", -1), i);
		assert_true(json_is_integer(json_object_get(trial, "samples")));
		assert_int_equal(
			json_number(json_object_get(event, "progress"), "finished", -1), i + 1);
	}
	end_run();
	_cleanup_json_ json_t *end = next_event(&stream, "end", NULL);

	assert_string_equal(json_text(end, "id"), ID);
	assert_ended(&stream);
}

static void test_latest_is_the_run_in_progress(void **state)
{
	_cleanup_stream_ struct stream stream = follow("runs/latest/events", "");

	(void)state;
	begin_run();
	_cleanup_json_ json_t *run = next_event(&stream, "run", NULL);

	assert_string_equal(json_text(run, "id"), ID);
}

static void test_who_comes_back_gets_the_rest(void **state)
{
	long id;

	(void)state;
	begin_run();
	for (size_t i = 0; i < 4; i++)
		finish_trial(i);
	_cleanup_stream_ struct stream stream =
		follow("runs/" ID "/events", "Last-Event-ID: 2\r\n");
	_cleanup_json_ json_t *run = next_event(&stream, "run", NULL);
	_cleanup_json_ json_t *trial = next_event(&stream, "trial", &id);

	assert_int_equal(json_number(run, "finished", -1), 4);
	assert_int_equal(id, 3);
	assert_int_equal(json_number(json_object_get(trial, "trial"), "index", -1), 2);
}

static void test_a_run_that_is_cut_is_interrupted(void **state)
{
	_cleanup_stream_ struct stream stream = follow("runs/" ID "/events", "");

	(void)state;
	begin_run();
	finish_trial(0);
	json_decref(next_event(&stream, "trial", NULL));
	journal_close(journal);
	journal = NULL;
	_cleanup_json_ json_t *cut = next_event(&stream, "state", NULL);

	assert_string_equal(json_text(cut, "state"), "interrupted");
	_cleanup_json_ json_t *live = get_json("live", 200);
	const json_t *run = json_array_get(json_object_get(live, "runs"), 0);

	assert_string_equal(json_text(run, "id"), ID);
	assert_string_equal(json_text(run, "state"), "interrupted");
}

static void test_a_run_without_a_record_can_be_looked_at(void **state)
{
	(void)state;
	begin_run();
	finish_trial(0);
	_cleanup_json_ json_t *run = get_json("runs/" ID, 200);
	_cleanup_json_ json_t *rows = get_json("runs/" ID "/trials", 200);

	assert_string_equal(json_text(json_object_get(run, "live"), "state"), "running");
	assert_null(json_object_get(run, "run"));
	assert_int_equal(json_number(rows, "total", -1), 1);
	json_decref(get_json("runs/" ID "/trials/0/samples", 200));
	json_decref(get_json("runs/" ID "/record.json", 404));
	finish_trial(1);
	_cleanup_json_ json_t *more = get_json("runs/" ID "/trials", 200);

	assert_int_equal(json_number(more, "total", -1), 2);
	end_run();
	wait_for_runs(1);
	_cleanup_json_ json_t *ended = get_json("runs/" ID, 200);

	assert_null(json_object_get(ended, "live"));
	assert_non_null(json_object_get(ended, "run"));
}

/* Trials that are planned beside those of the header, as for spare time. */
static void plan_more(size_t first, size_t count)
{
	const json_t *plan = json_object_get(record, "plan");
	_cleanup_json_ json_t *block = json_array();

	for (size_t i = 0; i < count; i++) {
		json_t *trial = json_deep_copy(json_array_get(json_object_get(plan, "trials"), i));

		json_object_set_new(trial, "index", json_integer((json_int_t)(first + i)));
		json_array_append_new(block, trial);
	}
	assert_ok(journal_append(journal, "planned", block));
}

static void test_what_is_added_to_the_plan_is_told(void **state)
{
	_cleanup_stream_ struct stream stream = follow("runs/" ID "/events", "");

	(void)state;
	begin_run();
	_cleanup_json_ json_t *first = next_event(&stream, "run", NULL);

	plan_more(trials(), 4);
	_cleanup_json_ json_t *second = next_event(&stream, "run", NULL);

	plan_more(trials() + 4, 2);
	_cleanup_json_ json_t *third = next_event(&stream, "run", NULL);

	assert_int_equal(json_number(first, "planned", -1), trials());
	assert_int_equal(json_number(second, "planned", -1), trials() + 4);
	assert_int_equal(json_number(third, "planned", -1), trials() + 6);
	assert_true(json_number(third, "expected_s", 0) > json_number(second, "expected_s", 0));
	_cleanup_json_ json_t *run = get_json("runs/" ID, 200);

	assert_int_equal(json_number(json_object_get(run, "trials"), "planned", -1), trials() + 6);
}

static void test_the_store_tells_what_comes(void **state)
{
	_cleanup_stream_ struct stream stream = follow("events", "");
	_cleanup_json_ json_t *first = next_event(&stream, "index", NULL);
	_cleanup_json_ json_t *none = next_event(&stream, "live", NULL);

	(void)state;
	assert_int_equal(json_array_size(json_object_get(none, "runs")), 0);
	begin_run();
	_cleanup_json_ json_t *live = next_event(&stream, "live", NULL);

	assert_int_equal(json_array_size(json_object_get(live, "runs")), 1);
	end_run();
	_cleanup_json_ json_t *second = next_event(&stream, "index", NULL);

	assert_true(json_number(second, "generation", 0) > json_number(first, "generation", 0));
}

static void test_a_damaged_journal_is_no_trouble(void **state)
{
	static const char *const texts[] = {"", "\n", "{}\n", "{\"run\": 5}\n", "nonsense\n",
		"{\"run\": {}}\n{\"trial\": []}\n", "{\"trial\": {}}\n",
		"{\"run\": {\"plan\": 1}}\n",
		"{\"run\": {\"plan\": {\"trials\": {}}}}\n{\"trial\": {\"index\": \"x\"}}\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_free_ char *dir = format_string("%s/runs/bad-%zu", scratch, i);
		_cleanup_free_ char *path = format_string("%s/journal.jsonl", dir);
		_cleanup_free_ char *target = format_string("/api/v1/runs/bad-%zu", i);

		assert_ok(fs_make_dirs(dir));
		assert_ok(fs_write_atomic(path, texts[i], strlen(texts[i])));
		_cleanup_reply_ struct reply reply = get(target);

		assert_true(reply.status >= 400);
	}
	json_decref(get_json("live", 200));
}

enum { MANY_SAMPLES = 40000 };

/* A journal of about so many bytes, of a run that nobody goes on with; each trial has samples of so
 * many. */
static size_t leave_long_journal(const char *id, size_t bytes, const char *reason, int samples)
{
	_cleanup_free_ char *dir = format_string("%s/runs/%s", scratch, id);
	_cleanup_free_ char *path = format_string("%s/journal.jsonl", dir);
	_cleanup_free_ char *text = NULL;
	size_t size = 0, count = 0;
	FILE *out = open_memstream(&text, &size);

	fputs("{\"run\": {\"started\": \"2026-01-31T20:15:12Z\", \"plan\": {\"trials\": []}}}\n",
		out);
	for (size_t written = 0; written < bytes; count++)
		written += (size_t)fprintf(out,
			"{\"trial\": {\"index\": %zu, \"outcome\": \"ok\", \"reason\": \"%s\", "
			"\"samples\": [%*d]}}\n",
			count, reason, samples, 1);
	fclose(out);
	assert_ok(fs_make_dirs(dir));
	assert_ok(fs_write_atomic(path, text, size));
	return count;
}

static json_int_t finished_of(const json_t *live)
{
	return (json_int_t)json_number(
		json_array_get(json_object_get(live, "runs"), 0), "finished", -1);
}

static void wait_for_finished(json_int_t wanted)
{
	struct deadline deadline = deadline_after_ms(TEST_TIMEOUT_MS);
	json_int_t finished;

	do {
		_cleanup_json_ json_t *live = get_json("live", 200);

		finished = finished_of(live);
	} while (finished != wanted && !deadline_passed(deadline));
	assert_int_equal(finished, wanted);
}

/* Who asks meanwhile does not wait for all of it. */
static void test_a_long_journal_is_read_piece_by_piece(void **state)
{
	enum { LONG = 20 << 20 };
	size_t count = leave_long_journal(ID, LONG, "", MANY_SAMPLES);
	_cleanup_json_ json_t *first = get_json("live", 200);
	_cleanup_stream_ struct stream stream = follow("runs/" ID "/events", "");
	long id = -1;

	(void)state;
	assert_in_range(finished_of(first), 1, count - 1);
	while (id < (long)count)
		json_decref(next_event(&stream, "trial", &id));
	_cleanup_json_ json_t *all = get_json("live", 200);

	assert_int_equal(finished_of(all), count);
}

static void test_the_journal_of_an_ended_run_is_not_read(void **state)
{
	_cleanup_free_ char *done = scratch_path("runs/" ID "/complete");
	_cleanup_json_ json_t *made = json_copy(record);

	(void)state;
	leave_long_journal(ID, 1 << 20, "", MANY_SAMPLES);
	assert_ok(fs_write_atomic(done, "", 0));
	assert_ok(record_save(made, scratch, NULL));
	wait_for_runs(1);
	_cleanup_stream_ struct stream stream =
		follow("runs/" ID "/events", "Connection: close\r\n");
	_cleanup_json_ json_t *end = next_event(&stream, "end", NULL);

	assert_string_equal(json_text(end, "state"), "ended");
	assert_ended(&stream);
	assert_null(strstr(stream.text, "event: run"));
	assert_null(strstr(stream.text, "event: trial"));
}

/* It is named, with the reason, and keeps nobody. */
static void test_what_cannot_be_followed_is_told(void **state)
{
	enum { TOO_LONG = 100000 };
	_cleanup_free_ char *path = scratch_path("runs/" ID "/journal.jsonl");
	_cleanup_free_ char *reason = calloc(1, TOO_LONG + 1);

	(void)state;
	memset(reason, 'x', TOO_LONG);
	leave_long_journal(ID, 1, reason, MANY_SAMPLES);
	leave_long_journal("20260131T201513Z-3f9a1d", 1, "", MANY_SAMPLES);
	_cleanup_free_ char *large = scratch_path("runs/20260131T201513Z-3f9a1d/journal.jsonl");

	assert_int_equal(truncate(large, JOURNAL_FOLLOWED_BYTES + 1), 0);
	_cleanup_json_ json_t *live = get_json("live", 200);
	const json_t *runs = json_object_get(live, "runs");

	assert_int_equal(json_array_size(runs), 2);
	assert_non_null(
		strstr(json_text(json_array_get(runs, 0), "trouble"), "too large to be followed"));
	assert_non_null(
		strstr(json_text(json_array_get(runs, 1), "trouble"), "too large to be told"));
	_cleanup_stream_ struct stream stream = follow("runs/" ID "/events", "");
	_cleanup_json_ json_t *run = next_event(&stream, "run", NULL);

	assert_true(*json_text(run, "trouble"));
	json_decref(get_json("runs/20260131T201513Z-3f9a1d", 413));
}

static const char *trouble_of(const json_t *live)
{
	return json_text(json_array_get(json_object_get(live, "runs"), 0), "trouble");
}

/* Each line is small: what they add up to is bounded. */
static void test_a_plan_does_not_grow_without_bounds(void **state)
{
	enum { TRIALS = 20000, LINES = 40 };
	_cleanup_json_ json_t *many = json_array();

	(void)state;
	begin_run();
	for (size_t i = 0; i < TRIALS; i++)
		json_array_append_new(many, json_object());
	for (size_t i = 0; i < LINES; i++)
		assert_ok(journal_append(journal, "planned", many));
	_cleanup_json_ json_t *live = get_json("live", 200);

	assert_non_null(strstr(trouble_of(live), "too large to be followed"));
}

static void test_a_planned_trial_may_be_too_large_to_be_told(void **state)
{
	enum { TOO_LONG = 100000 };
	_cleanup_json_ json_t *large = json_pack("[{s:o}]", "x", json_sprintf("%*d", TOO_LONG, 1));

	(void)state;
	begin_run();
	assert_ok(journal_append(journal, "planned", large));
	_cleanup_json_ json_t *live = get_json("live", 200);

	assert_non_null(strstr(trouble_of(live), "a plan that is too large to be told"));
}

/* How many of the runs that are told have a trouble; those that are asked for are waited for. */
static size_t wait_for_troubles(size_t runs, size_t wanted)
{
	struct deadline deadline = deadline_after_ms(TEST_TIMEOUT_MS);
	size_t troubles, told;

	do {
		_cleanup_json_ json_t *live = get_json("live", 200);
		const json_t *run;
		size_t i;

		troubles = 0;
		told = json_array_size(json_object_get(live, "runs"));
		json_array_foreach (json_object_get(live, "runs"), i, run)
			troubles += *json_text(run, "trouble") != '\0';
	} while ((told != runs || troubles != wanted) && !deadline_passed(deadline));
	assert_int_equal(told, runs);
	return troubles;
}

/* So much of all journals is kept; what had no room is read when others have gone. */
static void test_crowded_out_is_not_for_good(void **state)
{
	enum { RUNS = 5, LONG = 28 << 20, TRIAL = 60000 };
	_cleanup_free_ char *reason = calloc(1, TRIAL + 1);
	char *directories[RUNS];
	int locks[RUNS];

	(void)state;
	memset(reason, 'x', TRIAL);
	for (size_t i = 0; i < RUNS; i++) {
		_cleanup_free_ char *id = format_string("20260131T20151%zuZ-3f9a1d", i);
		_cleanup_free_ char *path = format_string("runs/%s/journal.jsonl", id);
		_cleanup_free_ char *file = scratch_path(path);

		directories[i] = format_string("%s/runs/%s", scratch, id);
		leave_long_journal(id, LONG, reason, 1);
		/* as if it were written, for all but one: those are read without a limit */
		locks[i] = open(file, O_RDONLY | O_CLOEXEC);
		assert_int_equal(flock(locks[i], i ? LOCK_EX : LOCK_UN), 0);
	}
	assert_int_equal(wait_for_troubles(RUNS, 1), 1);
	/* one that is gone on with is followed */
	assert_int_equal(flock(locks[0], LOCK_EX), 0);
	assert_int_equal(wait_for_troubles(RUNS, 0), 0);
	for (size_t i = 0; i < RUNS; i++)
		close(locks[i]);
	for (size_t i = 1; i < RUNS; i++)
		assert_ok(fs_remove_tree(directories[i]));
	assert_int_equal(wait_for_troubles(1, 0), 0);
	for (size_t i = 0; i < RUNS; i++)
		free(directories[i]);
}

/* Journals of runs that ended by their budget lie about for ever. */
static void test_an_old_run_that_is_resumed_is_found(void **state)
{
	enum { OTHERS = 33 };
	const struct timespec long_ago[2] = {{1700000000, 0}, {1700000000, 0}};
	_cleanup_free_ char *journal_path = scratch_path("runs/" ID "/journal.jsonl");
	_cleanup_close_ int fd = -1;
	bool found = false;

	(void)state;
	for (int i = 0; i < OTHERS + 1; i++) {
		_cleanup_free_ char *id =
			i ? format_string("20270131T2015%02dZ-3f9a1d", i) : format_string(ID);
		_cleanup_free_ char *path = format_string("%s/runs/%s/journal.jsonl", scratch, id);

		leave_long_journal(id, 1, "", 1);
		assert_int_equal(utimensat(AT_FDCWD, path, long_ago, 0), 0);
	}
	_cleanup_json_ json_t *before = get_json("live", 200);

	assert_int_equal(json_array_size(json_object_get(before, "runs")), OTHERS - 1);
	fd = open(journal_path, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(write(fd, "{}\n", 3), 3);
	for (struct deadline deadline = deadline_after_ms(TEST_TIMEOUT_MS);
		!found && !deadline_passed(deadline);) {
		_cleanup_json_ json_t *live = get_json("live", 200);
		const json_t *first = json_array_get(json_object_get(live, "runs"), 0);

		found = strcmp(json_text(first, "id"), ID) == 0 &&
			strcmp(json_text(first, "state"), "running") == 0;
	}
	assert_true(found);
}

/* The same id in another results directory is another run. */
static void test_another_directory_has_runs_of_its_own(void **state)
{
	_cleanup_free_ char *away = format_string("%s.away", scratch);

	(void)state;
	leave_long_journal(ID, 100000, "", MANY_SAMPLES);
	_cleanup_json_ json_t *before = get_json("live", 200);

	assert_in_range(finished_of(before), 2, 10);
	assert_int_equal(rename(scratch, away), 0);
	leave_long_journal(ID, 1, "", MANY_SAMPLES);
	wait_for_finished(1);
	assert_ok(fs_remove_tree(away));
}

/* Each line of it is within bounds. */
static void test_a_journal_of_small_values_is_not_shown(void **state)
{
	enum { VALUES = 400000, LINES = 6 };
	_cleanup_free_ char *dir = scratch_path("runs/" ID);
	_cleanup_free_ char *path = scratch_path("runs/" ID "/journal.jsonl");
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	fputs("{\"run\": {\"plan\": {\"trials\": []}}}\n", out);
	for (size_t i = 0; i < LINES; i++) {
		fputs("{\"trial\": {\"index\": 0, \"samples\": [", out);
		for (size_t k = 0; k < VALUES; k++)
			fputs("[],", out);
		fputs("[]]}}\n", out);
	}
	fclose(out);
	assert_ok(fs_make_dirs(dir));
	assert_ok(fs_write_atomic(path, text, size));
	_cleanup_json_ json_t *shown = get_json("runs/" ID, 413);

	assert_non_null(
		strstr(json_text(json_object_get(shown, "error"), "message"), "MiB of memory"));
}

static void test_followers_are_limited(void **state)
{
	struct stream streams[80];
	size_t refused = 0, served = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
		char bytes[16] = {0};

		streams[i] = follow("events", "");
		assert_true(recv(streams[i].fd, bytes, 12, MSG_WAITALL) == 12);
		served += strcmp(bytes, "HTTP/1.1 200") == 0;
		refused += strcmp(bytes, "HTTP/1.1 503") == 0;
	}
	assert_int_equal(served, 64);
	assert_int_equal(refused, 16);
	/* the others are not in the way of anybody */
	json_decref(get_json("overview", 200));
	for (size_t i = 0; i < ARRAY_SIZE(streams); i++)
		stream_deinit(&streams[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		live_test(test_a_run_is_followed_from_before_it_begins),
		live_test(test_latest_is_the_run_in_progress),
		live_test(test_who_comes_back_gets_the_rest),
		live_test(test_a_run_that_is_cut_is_interrupted),
		live_test(test_a_run_without_a_record_can_be_looked_at),
		live_test(test_what_is_added_to_the_plan_is_told),
		live_test(test_the_store_tells_what_comes),
		live_test(test_a_damaged_journal_is_no_trouble),
		live_test(test_a_long_journal_is_read_piece_by_piece),
		live_test(test_the_journal_of_an_ended_run_is_not_read),
		live_test(test_what_cannot_be_followed_is_told),
		live_test(test_a_plan_does_not_grow_without_bounds),
		live_test(test_a_planned_trial_may_be_too_large_to_be_told),
		live_test(test_crowded_out_is_not_for_good),
		live_test(test_an_old_run_that_is_resumed_is_found),
		live_test(test_another_directory_has_runs_of_its_own),
		live_test(test_a_journal_of_small_values_is_not_shown),
		live_test(test_followers_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
