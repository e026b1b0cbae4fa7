/* The server as its clients see it: a real one on loopback, with records in its store. */
#include "harness/base/test/support.h"

#include "dashboard/server/pages.h"
#include "dashboard/server/test/http.h"
#include "harness/engine/journal.h"
#include "harness/record/record.h"
#include "harness/record/synthetic.h"

#include <sys/stat.h>
#include <zlib.h>

#define NIGHTS 3

static int set_up(void **state)
{
	const struct synthetic_options options = {.seed = 5, .count = NIGHTS};

	if (scratch_make(state) != 0)
		return -1;
	assert_ok(synthetic_store(&options, scratch, NULL));
	start();
	wait_for_runs(NIGHTS);
	return 0;
}

static int tear_down(void **state)
{
	stop();
	return scratch_remove(state);
}

#define server_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static char *newest_id(void)
{
	char **paths, *id;
	size_t count;

	assert_ok(record_list(scratch, &paths, &count));
	id = record_id_of_path(paths[0]);
	record_list_destroy(paths, count);
	return id;
}

/* ---- what there is ---- */

static void test_overview_is_a_matrix(void **state)
{
	_cleanup_json_ json_t *overview = get_json("overview", 200);
	_cleanup_free_ char *id = newest_id();
	const json_t *paper, *claim;
	size_t i, c, with_verdict = 0;

	(void)state;
	assert_string_equal(json_text(json_object_get(overview, "last_run"), "id"), id);
	assert_int_equal(json_number(json_object_get(overview, "totals"), "runs", -1), NIGHTS);
	json_array_foreach (json_object_get(overview, "papers"), i, paper) {
		json_array_foreach (json_object_get(paper, "claims"), c, claim) {
			assert_true(*json_text(claim, "text"));
			with_verdict += json_object_get(claim, "latest") != NULL;
		}
	}
	assert_int_equal(i, 6);
	assert_true(with_verdict > 0);
}

static void test_a_claim_leads_to_its_samples(void **state)
{
	_cleanup_json_ json_t *claim = get_json("claims/c1", 200);
	const json_t *test = json_array_get(json_object_get(claim, "tests"), 0);
	const json_t *of = json_array_get(json_object_get(test, "selectors"), 0);
	const json_t *ratios = json_object_get(test, "ratios");
	_cleanup_json_ json_t *samples = NULL;

	(void)state;
	assert_string_equal(json_text(json_object_get(claim, "claim"), "id"), "C1");
	assert_true(json_array_size(json_object_get(claim, "trials")) > 0);
	assert_true(json_is_integer(json_object_get(claim, "decided_by")));
	assert_true(strstr(json_text(claim, "command"), "fleetlab run shmipc --only C1") != NULL);
	assert_int_equal(json_array_size(ratios), json_number(test, "pairs", -1));
	assert_true(
		json_is_array(json_object_get(json_object_get(claim, "comparability"), "fields")));
	samples = get_json(json_text(of, "samples") + strlen("/api/v1/"), 200);
	assert_int_equal(json_array_size(json_object_get(samples, "trials")),
		json_array_size(json_object_get(of, "readings")));
}

/* A run of a few days later that measured nothing of what the nights did. */
static void add_a_narrower_run(const char *id)
{
	_cleanup_record_ struct record *record = NULL;
	char **paths;
	size_t count;

	assert_ok(record_list(scratch, &paths, &count));
	assert_ok(record_load(paths[0], &record));
	record_list_destroy(paths, count);
	json_object_set_new(record->json, "id", json_string(id));
	json_object_set_new(record->json, "started", json_string("2036-01-31T20:15:12Z"));
	json_array_clear(json_object_get(record->json, "trials"));
	assert_ok(record_save(record->json, scratch, NULL));
}

static bool is_listed(const json_t *runs, const char *id)
{
	const json_t *run;
	size_t i;

	json_array_foreach (runs, i, run) {
		if (strcmp(json_text(run, "id"), id) == 0)
			return true;
	}
	return false;
}

/* The page of a paper is not emptied by a newer run that measured less of it. */
static void test_a_paper_is_shown_by_the_run_that_graded_most(void **state)
{
	static const char narrow[] = "20360131T201512Z-3f9a1c";
	_cleanup_free_ char *full = newest_id();

	(void)state;
	add_a_narrower_run(narrow);
	wait_for_runs(NIGHTS + 1);
	_cleanup_json_ json_t *paper = get_json("papers/C", 200);
	_cleanup_json_ json_t *asked = get_json("papers/C?run=20360131T201512Z-3f9a1c", 200);

	assert_string_equal(json_text(json_object_get(paper, "run"), "id"), full);
	assert_true(is_listed(json_object_get(paper, "runs"), narrow));
	assert_string_equal(json_text(json_object_get(asked, "run"), "id"), narrow);
}

/* Nothing is offered to run where the build has not what it takes. */
static void test_papers_say_whether_this_build_has_them(void **state)
{
	_cleanup_json_ json_t *ours = get_json("papers/C", 200);
	_cleanup_json_ json_t *other = get_json("papers/A", 200);

	(void)state;
	assert_true(json_is_true(json_object_get(json_object_get(ours, "paper"), "implemented")));
	assert_true(json_is_false(json_object_get(json_object_get(other, "paper"), "implemented")));
}

static void test_every_resource_answers(void **state)
{
	static const char *const paths[] = {"", "papers", "papers/C", "papers/c", "papers/D",
		"papers/null", "claims", "claims/C1", "claims/D2a", "claims/C1/history", "runs",
		"runs/latest", "runs/latest/trials", "runs/latest/trials/0",
		"runs/latest/trials/0/samples", "runs/latest/series", "runs/latest/logs",
		"runs/latest/report.json", "runs/latest/record.json", "series", "hosts", "refused",
		"live", "fleets", "nights"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		json_decref(get_json(paths[i], 200));
}

static void test_a_trend_has_a_point_a_night(void **state)
{
	static const char at[] = "%7B%22ints%22%3A8192%7D";
	_cleanup_free_ char *path = format_string(
		"trends?mechanism=shmipc&experiment=roundtrip&variant=%s&metric=%s&at=%s",
		"tcp-naive", "roundtrip", at);
	_cleanup_json_ json_t *trend = get_json(path, 200);
	const json_t *points = json_object_get(trend, "points");
	_cleanup_free_ char *latest = format_string("%s&limit=1", path);
	_cleanup_json_ json_t *last = get_json(latest, 200);

	(void)state;
	assert_int_equal(json_array_size(points), NIGHTS);
	assert_string_equal(json_text(trend, "unit"), "us");
	assert_string_equal(json_text(trend, "better"), "lower");
	assert_true(json_number(json_array_get(points, 0), "started_s", 0) <
		    json_number(json_array_get(points, 1), "started_s", 0));
	/* the synthetic nights get a new kernel, then a new commit */
	assert_int_equal(json_array_size(json_object_get(trend, "annotations")), 2);
	assert_true(json_is_array(json_object_get(trend, "changes")));
	assert_true(json_equal(json_array_get(json_object_get(last, "points"), 0),
		json_array_get(points, NIGHTS - 1)));
}

static void test_reports_have_their_types(void **state)
{
	static const struct {
		const char *name, *type;
	} reports[] = {
		{"report.md", "text/markdown"},
		{"report.txt", "text/plain"},
		{"report.csv", "text/csv"},
		{"report.xml", "text/xml"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(reports); i++) {
		_cleanup_free_ char *target =
			format_string("/api/v1/runs/latest/%s", reports[i].name);
		_cleanup_reply_ struct reply reply = get(target);
		const char *type = reply_header(&reply, "Content-Type");

		assert_int_equal(reply.status, 200);
		assert_non_null(type);
		assert_int_equal(strncmp(type, reports[i].type, strlen(reports[i].type)), 0);
		assert_true(strlen(reply.body) > 100);
	}
}

static void test_compare_wants_two_runs(void **state)
{
	char **paths;
	size_t count;

	(void)state;
	assert_ok(record_list(scratch, &paths, &count));
	_cleanup_free_ char *a = record_id_of_path(paths[1]);
	_cleanup_free_ char *b = record_id_of_path(paths[0]);
	_cleanup_free_ char *path = format_string("compare?a=%s&b=%s", a, b);
	_cleanup_free_ char *back = format_string("compare?a=%s&b=%s", b, a);
	_cleanup_free_ char *self = format_string("compare?a=%s&b=%s", a, a);
	_cleanup_json_ json_t *comparison = get_json(path, 200);
	_cleanup_json_ json_t *reverse = get_json(back, 200);
	const json_t *runs = json_object_get(comparison, "runs");

	record_list_destroy(paths, count);
	assert_string_equal(json_text(json_array_get(runs, 0), "id"), a);
	assert_string_equal(json_text(json_array_get(runs, 1), "id"), b);
	runs = json_object_get(reverse, "runs");
	assert_string_equal(json_text(json_array_get(runs, 0), "id"), b);
	json_decref(get_json(self, 200));
	json_decref(get_json("compare?a=latest", 400));
}

/* ---- what there is not ---- */

static void test_what_is_unknown_is_told(void **state)
{
	static const char *const missing[] = {"nothing", "runs/x", "runs/..", "papers/Z",
		"claims/Z9", "runs/latest/trials/99999", "runs/latest/trials/x", "runs/latest/nope",
		"runs/latest/logs/x", "runs/latest/logs/journal.jsonl", "fleets/nobody",
		"nights/20260101T000000Z-000000", "claims/C1/history/x", "runs/%2e%2e"};
	static const char *const bad[] = {"runs?limit=0", "runs?limit=1001", "runs?limit=x",
		"runs?offset=-1", "runs?limit=1&limit=2", "runs?page=2", "overview?limit=3",
		"trends?mechanism=shmipc", "runs/latest/samples?metric=x",
		"runs/latest/samples?mechanism=a&experiment=b&metric=c&at=[]"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(missing); i++) {
		_cleanup_free_ char *target = format_string("/api/v1/%s", missing[i]);
		_cleanup_reply_ struct reply reply = get(target);

		if (reply.status != 404 && reply.status != 400)
			fail_msg("%s: %d", missing[i], reply.status);
		assert_non_null(strstr(reply.body, "{\"error\":{\"status\":"));
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		json_decref(get_json(bad[i], 400));
	_cleanup_reply_ struct reply other = get("/api/v2/runs");

	assert_int_equal(other.status, 404);
}

static void test_an_empty_store_is_no_trouble(void **state)
{
	(void)state;
	start();
	wait_for_runs(0);
	_cleanup_json_ json_t *overview = get_json("overview", 200);
	_cleanup_json_ json_t *paper = get_json("papers/D", 200);
	_cleanup_json_ json_t *claim = get_json("claims/D2a", 200);

	assert_null(json_object_get(overview, "last_run"));
	assert_null(json_object_get(paper, "run"));
	assert_true(json_array_size(json_object_get(paper, "tables")) > 0);
	assert_string_equal(json_text(claim, "verdict"), "not-run");
	json_decref(get_json("runs/latest", 404));
	json_decref(get_json("live", 200));
	stop();
}

/* ---- how ---- */

static void test_only_get_and_head(void **state)
{
	static const char *const methods[] = {
		"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "FOO"};
	_cleanup_reply_ struct reply head = ask("HEAD", "/api/v1/overview", NULL);
	_cleanup_reply_ struct reply whole = get("/api/v1/overview");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		_cleanup_reply_ struct reply reply = ask(methods[i], "/api/v1/overview", NULL);

		if (reply.status != 405)
			fail_msg("%s: %d", methods[i], reply.status);
	}
	assert_int_equal(head.status, 200);
	assert_string_equal(head.body, "");
	assert_int_equal(
		strtoul(reply_header(&head, "Content-Length"), NULL, 10), strlen(whole.body));
	_cleanup_reply_ struct reply body =
		ask("GET", "/api/v1/overview", "Content-Length: 5\r\n\r\nhello");

	assert_int_equal(body.status, 413);
}

static void test_every_answer_is_guarded(void **state)
{
	static const char *const targets[] = {"/", "/login", "/icon.svg", "/api/v1/overview",
		"/api/v1/nothing", "/nothing.js", "/%"};
	static const char *const headers[] = {"Content-Security-Policy", "X-Content-Type-Options",
		"Referrer-Policy", "Cross-Origin-Resource-Policy"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		_cleanup_reply_ struct reply reply = get(targets[i]);

		for (size_t h = 0; h < ARRAY_SIZE(headers); h++) {
			if (!reply_header(&reply, headers[h]))
				fail_msg("%s has no %s", targets[i], headers[h]);
		}
		assert_non_null(strstr(reply.text, "default-src 'none'"));
		assert_non_null(strstr(reply.text, "frame-ancestors 'none'"));
		assert_null(strstr(reply.text, "unsafe-inline"));
		assert_null(reply_header(&reply, "Access-Control-Allow-Origin"));
	}
}

static double generation_of(const struct reply *reply)
{
	_cleanup_json_ json_t *overview = json_loads(reply->body, 0, NULL);

	return json_number(overview, "generation", -1);
}

/* The condition under which the overview need not be sent again, once it was not: a generation may
 * begin in between, and is told. To be freed. */
static char *seen_already(void)
{
	for (;;) {
		_cleanup_reply_ struct reply first = get("/api/v1/overview");
		const char *etag = reply_header(&first, "ETag");
		_cleanup_free_ char *header =
			format_string("If-None-Match: %.*s\r\n", (int)strcspn(etag, "\r"), etag);
		_cleanup_reply_ struct reply same = ask("GET", "/api/v1/overview", header);

		if (same.status == 304) {
			assert_string_equal(same.body, "");
			assert_non_null(reply_header(&same, "ETag"));
			return take_ptr(header);
		}
		assert_int_equal(same.status, 200);
		assert_true(generation_of(&same) > generation_of(&first));
	}
}

static void test_nothing_is_sent_twice(void **state)
{
	_cleanup_free_ char *header = seen_already();
	_cleanup_reply_ struct reply other =
		ask("GET", "/api/v1/overview", "If-None-Match: \"x\"\r\n");
	char **paths;
	size_t count;

	(void)state;
	assert_int_equal(other.status, 200);
	/* until a record goes */
	assert_ok(record_list(scratch, &paths, &count));
	assert_int_equal(unlink(paths[0]), 0);
	record_list_destroy(paths, count);
	wait_for_runs(NIGHTS - 1);
	_cleanup_reply_ struct reply changed = ask("GET", "/api/v1/overview", header);

	assert_int_equal(changed.status, 200);
}

static void test_json_is_compressed_for_who_asks(void **state)
{
	_cleanup_reply_ struct reply plain = get("/api/v1/overview");
	int fd = connect_to_it();
	_cleanup_free_ char *request = format_string(
		"GET /api/v1/overview HTTP/1.1\r\nHost: localhost:%u\r\nAccept-Encoding: gzip\r\n"
		"Connection: close\r\n\r\n",
		port);
	_cleanup_free_ char *packed = malloc(1 << 20);
	_cleanup_free_ char *back = malloc(1 << 20);
	z_stream stream = {0};
	size_t size = 0;
	ssize_t n;

	(void)state;
	send_text(fd, request);
	while ((n = recv(fd, packed + size, (1 << 20) - size - 1, 0)) > 0)
		size += (size_t)n;
	close(fd);
	packed[size] = '\0';
	assert_non_null(strstr(packed, "Content-Encoding: gzip"));
	const char *body = (char *)memmem(packed, size, "\r\n\r\n", 4) + 4;

	assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
	stream.next_in = (Bytef *)body;
	stream.avail_in = (uInt)(size - (size_t)(body - packed));
	stream.next_out = (Bytef *)back;
	stream.avail_out = 1 << 20;
	assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
	assert_int_equal(stream.total_out, strlen(plain.body));
	assert_memory_equal(back, plain.body, strlen(plain.body));
	inflateEnd(&stream);
}

static void test_lists_come_in_pages(void **state)
{
	_cleanup_json_ json_t *first = get_json("runs?limit=2", 200);
	_cleanup_json_ json_t *rest = get_json("runs?limit=2&offset=2", 200);
	_cleanup_json_ json_t *past = get_json("runs?limit=2&offset=2000000000", 200);
	_cleanup_json_ json_t *trials = get_json("runs/latest/trials?limit=1&offset=1", 200);

	(void)state;
	assert_int_equal(json_array_size(json_object_get(first, "runs")), 2);
	assert_int_equal(json_array_size(json_object_get(rest, "runs")), NIGHTS - 2);
	assert_int_equal(json_array_size(json_object_get(past, "runs")), 0);
	assert_int_equal(json_number(past, "total", -1), NIGHTS);
	assert_int_equal(
		json_number(json_array_get(json_object_get(trials, "trials"), 0), "index", -1), 1);
}

static void test_pages_are_one_file_for_all_views(void **state)
{
	_cleanup_reply_ struct reply index = get("/");
	_cleanup_reply_ struct reply view = get("/runs/20260131T201512Z-3f9a1c");
	_cleanup_free_ char *target = asset(".js");
	_cleanup_reply_ struct reply script = get(target);
	_cleanup_reply_ struct reply missing = get("/missing.js");

	(void)state;
	assert_int_equal(index.status, 200);
	assert_string_equal(index.body, view.body);
	assert_non_null(strstr(reply_header(&index, "Content-Type"), "text/html"));
	assert_int_equal(strncmp(reply_header(&script, "Content-Type"), "text/javascript", 15), 0);
	assert_int_equal(strncmp(reply_header(&script, "Cache-Control"), "public, max-age", 15), 0);
	assert_int_equal(strncmp(reply_header(&index, "Cache-Control"), "no-cache", 8), 0);
	assert_int_equal(missing.status, 404);
}

/* ---- who ---- */

static void test_foreign_hosts_and_sites_get_nothing(void **state)
{
	static const char *const refused[] = {"Host: evil.example\r\n", "Host: localhost\r\n",
		"Host: localhost:PORT\r\nHost: localhost:PORT\r\n",
		"Host: localhost:PORT\r\nOrigin: http://evil.example\r\n",
		"Host: localhost:PORT\r\nSec-Fetch-Site: cross-site\r\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		_cleanup_reply_ struct reply reply = ask("GET", "/api/v1/runs", refused[i]);

		if (reply.status != 403 && reply.status != 400)
			fail_msg("%s: %d", refused[i], reply.status);
		assert_null(strstr(reply.body, "\"runs\""));
	}
	_cleanup_reply_ struct reply own =
		ask("GET", "/api/v1/runs", "Sec-Fetch-Site: same-origin\r\n");

	assert_int_equal(own.status, 200);
}

static void test_a_token_is_wanted_where_one_is_set(void **state)
{
	static const char token[] = "0123456789abcdef-token";

	(void)state;
	start_with((struct server_options){.token = token});
	_cleanup_reply_ struct reply none = get("/api/v1/");
	_cleanup_reply_ struct reply page = get("/");
	_cleanup_reply_ struct reply form = get("/login");
	_cleanup_reply_ struct reply wrong = get("/login?token=0123456789abcdef-tokex");
	_cleanup_reply_ struct reply right = get("/login?token=0123456789abcdef-token");
	_cleanup_reply_ struct reply bearer =
		ask("GET", "/api/v1/", "Authorization: Bearer 0123456789abcdef-token\r\n");
	const char *cookie = reply_header(&right, "Set-Cookie");

	assert_int_equal(none.status, 401);
	assert_non_null(reply_header(&none, "WWW-Authenticate"));
	assert_int_equal(page.status, 303);
	assert_int_equal(form.status, 200);
	assert_int_equal(wrong.status, 403);
	assert_null(reply_header(&wrong, "Set-Cookie"));
	assert_int_equal(bearer.status, 200);
	assert_int_equal(right.status, 303);
	assert_non_null(cookie);
	assert_non_null(strstr(cookie, "HttpOnly"));
	assert_null(strstr(cookie, token));
	_cleanup_free_ char *header =
		format_string("Cookie: %.*s\r\n", (int)strcspn(cookie, ";"), cookie);
	_cleanup_reply_ struct reply with_cookie = ask("GET", "/api/v1/", header);

	assert_int_equal(with_cookie.status, 200);
	stop();
}

static void test_other_addresses_want_a_token(void **state)
{
	const struct server_options open = {.results_dir = scratch, .address = "0.0.0.0"};
	const struct server_options half = {
		.results_dir = scratch, .address = "127.0.0.1", .cert = "x"};
	const struct server_options name = {.results_dir = scratch, .address = "localhost"};
	const struct server_options bad = {
		.results_dir = scratch, .address = "127.0.0.1", .cert = "x", .key = "y"};
	struct server *made;

	(void)state;
	assert_fails(server_create(&open, &made), ERROR_USAGE, "wants a token");
	assert_fails(server_create(&half, &made), ERROR_USAGE, "certificate and its key");
	assert_fails(server_create(&name, &made), ERROR_USAGE, "no IP address");
	assert_fails(server_create(&bad, &made), ERROR_SETUP, "--cert and --key");
}

static void test_a_port_in_use_is_named(void **state)
{
	struct server *second;

	(void)state;
	const struct server_options same = {
		.results_dir = scratch, .address = "127.0.0.1", .port = port};
	_cleanup_free_ char *text = format_string("port %u", port);

	assert_fails(server_create(&same, &second), ERROR_SETUP, text);
	assert_fails(server_create(&same, &second), ERROR_SETUP, "--listen 127.0.0.1:");
}

/* ---- files ---- */

static void write_below(const char *name, const char *text)
{
	_cleanup_free_ char *path = scratch_path(name);
	_cleanup_free_ char *parent = format_string("%.*s", (int)(strrchr(path, '/') - path), path);

	assert_ok(fs_make_dirs(parent));
	assert_ok(fs_write_atomic(path, text, strlen(text)));
}

static void test_logs_are_read_and_nothing_else(void **state)
{
	_cleanup_free_ char *id = newest_id();
	_cleanup_free_ char *name = format_string("runs/%s/trial-0000/g0.console", id);
	_cleanup_free_ char *link = format_string("%s/runs/%s/trial-0000/secret.log", scratch, id);
	_cleanup_free_ char *out = format_string("%s/runs/%s/away", scratch, id);

	(void)state;
	write_below(name, "booted <script>\n");
	assert_int_equal(symlink("/etc/hostname", link), 0);
	assert_int_equal(symlink("/etc", out), 0);
	_cleanup_json_ json_t *logs = get_json("runs/latest/logs", 200);
	_cleanup_json_ json_t *trial = get_json("runs/latest/trials/0", 200);
	_cleanup_reply_ struct reply log = get("/api/v1/runs/latest/logs/trial-0000/g0.console");
	_cleanup_reply_ struct reply tail =
		get("/api/v1/runs/latest/logs/trial-0000/g0.console?offset=7");

	assert_int_equal(json_array_size(json_object_get(logs, "logs")), 1);
	assert_int_equal(json_array_size(json_object_get(trial, "logs")), 1);
	assert_int_equal(log.status, 200);
	assert_non_null(strstr(reply_header(&log, "Content-Type"), "text/plain"));
	assert_string_equal(log.body, "booted <script>\n");
	assert_string_equal(tail.body, "<script>\n");
	json_decref(get_json("runs/latest/logs/trial-0000/secret.log", 404));
	json_decref(get_json("runs/latest/logs/away/hostname", 404));
	json_decref(get_json("runs/latest/logs/trial-0000", 404));
}

static void test_damaged_files_are_listed(void **state)
{
	(void)state;
	write_below("runs/20260101T000000Z-bad000.json", "{\"schema\": \"fleetlab.run/1\"");
	struct deadline deadline = deadline_after_ms(TEST_TIMEOUT_MS);

	for (;;) {
		_cleanup_json_ json_t *refused = get_json("refused", 200);

		if (json_number(refused, "total", 0) == 1)
			break;
		assert_false(deadline_passed(deadline));
		poll(NULL, 0, 20);
	}
	json_decref(get_json("runs/20260101T000000Z-bad000", 404));
	json_decref(get_json("overview", 200));
}

/* A metric of a night; takes the verdict's state. */
static json_t *metric_of(const char *name, const char *verdict, double aa)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:{s:i}, s:f, s:i, s:f,"
			 " s:{s:s, s:s, s:s, s:b, s:i}}",
		"name", name, "mechanism", "shmipc", "experiment", "roundtrip", "variant",
		"tcp-naive", "metric", "roundtrip", "at", "ints", 8192, "value", 1.0, "pairs", 8,
		"aa", aa, "verdict", "state", verdict, "kind", "none", "reason", "", "alert",
		strcmp(verdict, "confirmed") == 0, "nights", 20);
}

/* A night as fleetlab nightly writes it; takes the metrics over. */
static json_t *night_of(const char *id, json_t *metrics)
{
	static const char *const totals[] = {"metrics", "learning", "quiet", "suspect", "confirmed",
		"recovered", "regressions", "improvements", "changes"};
	json_t *night = json_pack("{s:s, s:s, s:s, s:s, s:s, s:{s:[]}, s:[], s:o, s:{}, s:{s:i}}",
		"schema", "fleetlab.night/1", "id", id, "started", "2026-01-02T01:00:00Z", "state",
		"complete", "reason", "", "host", "changed", "runs", "metrics", metrics, "totals",
		"memory", "m", 1);

	for (size_t i = 0; i < ARRAY_SIZE(totals); i++)
		json_object_set_new(json_object_get(night, "totals"), totals[i], json_integer(0));
	return night;
}

/* Takes the night over. */
static void write_night(json_t *night)
{
	_cleanup_json_ json_t *owned = night;
	_cleanup_free_ char *name = format_string("nightly/%s.json", json_text(night, "id"));
	_cleanup_free_ char *text = json_dumps(night, 0);

	write_below(name, text);
}

static void test_nights_are_told(void **state)
{
	(void)state;
	write_night(night_of("20260102T010000Z-aaaaaa",
		json_pack("[o, o]", metric_of("m", "confirmed", 1), metric_of("q", "quiet", 1))));
	write_below("nightly/20260103T010000Z-bbbbbb.json", "{\"schema\":");
	_cleanup_json_ json_t *nights = get_json("nights", 200);
	_cleanup_json_ json_t *night = get_json("nights/20260102T010000Z-aaaaaa", 200);
	const json_t *rows = json_object_get(nights, "nights");

	assert_int_equal(json_number(nights, "total", -1), 2);
	assert_string_equal(json_text(json_array_get(rows, 0), "state"), "damaged");
	assert_string_equal(json_text(json_array_get(rows, 1), "state"), "complete");
	assert_int_equal(json_array_size(json_object_get(json_array_get(rows, 1), "notable")), 1);
	assert_int_equal(json_array_size(json_object_get(night, "metrics")), 2);
	assert_null(json_object_get(night, "memory"));
}

/* Each is a night but for one thing. */
static void test_a_night_is_checked_whole(void **state)
{
	static const struct {
		const char *path, *value, *reason;
	} wrong[] = {
		{"state", "\"splendid\"", "state"},
		{"totals", "[]", "totals"},
		{"surprise", "1", "surprise"},
		{"id", "\"20260102T010000Z-bbbbbb\"", "another night"},
		{"runs", "[{\"id\":\"20260102T010000Z-c\",\"purpose\":\"fun\"}]", "runs[0]"},
		{"metrics", "[{\"name\":{\"a\":1}}]", "metrics[0]"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		_cleanup_free_ char *id = format_string("2026010%zuT010000Z-aaaaaa", i + 1);
		_cleanup_free_ char *path = format_string("nightly/%s.json", id);
		_cleanup_free_ char *target = format_string("nights/%s", id);
		_cleanup_json_ json_t *night = night_of(id, json_array());
		_cleanup_json_ json_t *answer = NULL;

		json_object_set_new(
			night, wrong[i].path, json_loads(wrong[i].value, JSON_DECODE_ANY, NULL));
		_cleanup_free_ char *text = json_dumps(night, 0);

		write_below(path, text);
		answer = get_json(target, 500);
		const char *message = json_text(json_object_get(answer, "error"), "message");

		if (!strstr(message, path) || !strstr(message, wrong[i].reason))
			fail_msg("%s: '%s'", wrong[i].path, message);
	}
	_cleanup_json_ json_t *nights = get_json("nights", 200);
	const json_t *row;
	size_t i;

	json_array_foreach (json_object_get(nights, "nights"), i, row)
		assert_string_equal(json_text(row, "state"), "damaged");
	assert_int_equal(i, ARRAY_SIZE(wrong));
}

/* A trend is kept until the index changes, and its noise does not come from there. */
static void test_new_nights_change_a_trend(void **state)
{
	static const char trend[] =
		"trends?mechanism=shmipc&experiment=roundtrip&variant=tcp-naive&metric=roundtrip"
		"&at=%7B%22ints%22%3A8192%7D";
	struct deadline deadline = deadline_after_ms(TEST_TIMEOUT_MS);
	_cleanup_json_ json_t *before = get_json(trend, 200);

	(void)state;
	assert_null(json_object_get(before, "noise"));
	for (int i = 1; i <= 5; i++) {
		_cleanup_free_ char *id = format_string("2026010%dT010000Z-aaaaaa", i);

		write_night(
			night_of(id, json_pack("[o]", metric_of("m", "quiet", 1.0 + i / 10.0))));
	}
	for (;;) {
		_cleanup_json_ json_t *now = get_json(trend, 200);

		if (json_number(json_object_get(now, "noise"), "nights", 0) == 5)
			break;
		assert_false(deadline_passed(deadline));
		poll(NULL, 0, 20);
	}
}

/* ---- the first view ---- */

/* What index.html has for its script. */
static json_t *answers_in(const char *page)
{
	static const char mark[] = "<script type=\"application/json\" id=\"answers\">";
	const char *at = strstr(page, mark);

	assert_non_null(at);
	at += strlen(mark);
	return json_loadb(at, (size_t)(strstr(at, "</script>") - at), 0, NULL);
}

static void test_the_page_comes_with_its_first_answers(void **state)
{
	_cleanup_reply_ struct reply page = get("/");
	_cleanup_json_ json_t *answers = answers_in(page.body);
	_cleanup_json_ json_t *overview = get_json("overview", 200);
	_cleanup_json_ json_t *about = get_json("", 200);

	(void)state;
	assert_true(json_equal(json_object_get(answers, "/overview"), overview));
	assert_true(json_equal(json_object_get(answers, "/"), about));
}

static void test_answers_in_a_page_are_only_data(void **state)
{
	static const char hostile[] = "{\"/overview\":\"</script><script>alert(1)</script><!--\"}";
	struct request request = {0};
	struct pages *pages = pages_create();
	struct answer *answer;
	const char *why, *text;
	size_t size;

	(void)state;
	assert_true(request_parse("/", &request, &why));
	pages_give(pages, hostile);
	answer = pages_find(pages, &request);
	text = answer_content(answer, &size);
	_cleanup_free_ char *page = format_string("%.*s", (int)size, text);
	_cleanup_json_ json_t *given = json_loads(hostile, 0, NULL);
	_cleanup_json_ json_t *answers = answers_in(page);

	assert_true(json_equal(answers, given));
	assert_null(strstr(page, "<script>alert"));
	assert_null(strstr(page, "<!--"));
	/* what was given before is not in the way, and goes when its last reader has gone */
	pages_give(pages, "{}");
	answer_unref(answer);
	pages_destroy(pages);
	request_deinit(&request);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		server_test(test_overview_is_a_matrix),
		server_test(test_a_claim_leads_to_its_samples),
		server_test(test_a_paper_is_shown_by_the_run_that_graded_most),
		server_test(test_papers_say_whether_this_build_has_them),
		server_test(test_every_resource_answers),
		server_test(test_a_trend_has_a_point_a_night),
		server_test(test_reports_have_their_types),
		server_test(test_compare_wants_two_runs),
		server_test(test_what_is_unknown_is_told),
		scratch_test(test_an_empty_store_is_no_trouble),
		server_test(test_only_get_and_head),
		server_test(test_every_answer_is_guarded),
		server_test(test_nothing_is_sent_twice),
		server_test(test_json_is_compressed_for_who_asks),
		server_test(test_lists_come_in_pages),
		server_test(test_pages_are_one_file_for_all_views),
		server_test(test_foreign_hosts_and_sites_get_nothing),
		scratch_test(test_a_token_is_wanted_where_one_is_set),
		scratch_test(test_other_addresses_want_a_token),
		server_test(test_a_port_in_use_is_named),
		server_test(test_logs_are_read_and_nothing_else),
		server_test(test_damaged_files_are_listed),
		server_test(test_nights_are_told),
		server_test(test_a_night_is_checked_whole),
		server_test(test_new_nights_change_a_trend),
		server_test(test_the_page_comes_with_its_first_answers),
		cmocka_unit_test(test_answers_in_a_page_are_only_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
