/* The morning summary: what it says of a night, and that no text of a record becomes markup. */
#include "harness/base/test/support.h"

#include "harness/report/night.h"

#include <stdbool.h>

static json_t *verdict(const char *state, bool alert, const char *direction)
{
	return json_pack("{s:s, s:s, s:b, s:s, s:s, s:s, s:i, s:f, s:[f,f], s:f, s:{s:s, s:[]}}",
		"state", state, "kind", "tonight", "alert", (int)alert, "direction", direction,
		"reason", "fresh trials see it too", "since", "20260101T000000Z-000001", "nights",
		12, "baseline", 2.0, "usual", 1.9, 2.1, "effect", 0.25, "attribution", "text",
		"new kernel (kernel.release: 6.1 → 6.2)", "changes");
}

static json_t *metric(const char *name, json_t *its_verdict)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:f, s:s, s:i, s:o}", "name", name, "mechanism",
		"null", "experiment", "effect", "variant", "delay", "metric", "time", "value", 2.5,
		"unit", "x", "pairs", 6, "verdict", its_verdict);
}

/* One regression, one standing, one learning, and a drill that was missed. */
static json_t *a_night(const char *name)
{
	return json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:i, s:[s], s:{s:[{s:s, s:s, s:s, s:s}]}, "
		"s:[{s:s, s:s, s:s, s:{s:i, s:i, s:i, s:i, s:i}}], s:[o, o, o], "
		"s:{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i}, "
		"s:{s:s, s:s, s:s, s:f, s:s, s:s, s:[o]}, s:{s:i, s:i, s:i, s:i, s:i, s:i}, "
		"s:[s]}",
		"id", "20260102T000000Z-abcdef", "started", "2026-01-02T00:00:00Z", "finished",
		"2026-01-02T01:00:00Z", "state", "complete", "reason", "", "exit_status", 3,
		"mechanisms", "null", "host", "changed", "kind", "kernel", "field",
		"kernel.release", "before", "6.1", "after", "6.2", "runs", "id", "R1", "purpose",
		"measure", "state", "complete", "trials", "planned", 18, "ok", 17, "failed", 1,
		"invalid", 0, "skipped", 0, "metrics",
		metric(name, verdict("confirmed", true, "worse")),
		metric("stands", verdict("confirmed", false, "worse")),
		metric("learns", verdict("learning", false, "other")), "totals", "metrics", 3,
		"learning", 1, "quiet", 0, "suspect", 0, "confirmed", 2, "recovered", 0,
		"regressions", 1, "improvements", 0, "changes", 0, "trials_failed", 1, "drill",
		"mechanism", "null", "experiment", "effect", "variant", "delay", "slowdown", 1.3,
		"state", "missed", "reason", "", "metrics",
		metric("slowed", verdict("quiet", false, "worse")), "ledger", "drills", 2, "caught",
		1, "missed", 1, "open", 0, "false_alarms", 0, "controls", 8, "notes",
		"what is measured was cut by the time");
}

static char *render(const json_t *night, enum night_format format)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_ok(night_report(night, format, out));
	fclose(out);
	return text;
}

#define assert_has(text, part)                                                                     \
	do {                                                                                       \
		if (!strstr(text, part))                                                           \
			fail_msg("no '%s' in:\n%s", part, text);                                   \
	} while (0)

static void the_headline_says_what_matters(void **state)
{
	_cleanup_json_ json_t *night = a_night("slow");
	_cleanup_free_ char *text = night_headline(night);
	_cleanup_json_ json_t *refused = json_pack(
		"{s:s, s:s}", "state", "not-started", "reason", "the host is in use: process 1");
	_cleanup_free_ char *why = night_headline(refused);

	(void)state;
	assert_string_equal(text, "1 regression confirmed, 1 change of an earlier night stands, 1 "
				  "trial failed or invalid (3 metrics)");
	assert_string_equal(why, "not started: the host is in use: process 1");
}

static void markdown_has_it_all(void **state)
{
	_cleanup_json_ json_t *night = a_night("slow");
	_cleanup_free_ char *text = render(night, NIGHT_MARKDOWN);

	(void)state;
	assert_has(text, "# fleetlab night 20260102T000000Z-abcdef\n\n**1 regression");
	assert_has(text, "## Confirmed tonight");
	assert_has(text, "+25.0 %");
	assert_has(text, "## Standing from earlier nights");
	assert_has(text, "since night 20260101T000000Z-000001");
	assert_has(text, "kernel.release");
	assert_has(text, "| DRILL slowed");
	assert_has(text, "2 begun, 1 caught, 1 missed, 0 void, 0 open");
	assert_has(text, "- what is measured was cut by the time");
}

static void junit_fails_and_skips(void **state)
{
	_cleanup_json_ json_t *night = a_night("slow");
	_cleanup_free_ char *text = render(night, NIGHT_JUNIT);

	(void)state;
	assert_has(text, "name=\"slow\"><failure type=\"regression\"");
	assert_has(text, "name=\"stands\"><failure type=\"standing\"");
	assert_has(text, "name=\"learns\"><skipped");
	assert_has(text, "tests=\"3\" failures=\"2\" errors=\"0\" skipped=\"1\"");
	assert_has(text, "<error message=\"1 trials failed or invalid\"");
	assert_has(text, "name=\"DRILL null effect delay\"><failure");
}

/* Failed trials of a drill are no failure of what is real. */
static void junit_marks_what_a_drill_ran(void **state)
{
	_cleanup_json_ json_t *night = a_night("slow");
	_cleanup_free_ char *text = NULL;
	const char *suite, *run;

	(void)state;
	json_array_append_new(json_object_get(night, "runs"),
		json_pack("{s:s, s:s, s:s, s:{s:i}}", "id", "R2", "purpose", "drill-confirm",
			"state", "complete", "trials", "invalid", 2));
	text = render(night, NIGHT_JUNIT);
	suite = strstr(text, "<testsuite name=\"DRILL\"");
	assert_non_null(suite);
	run = strstr(text, "R2");
	assert_true(run > suite);
	assert_has(suite, "name=\"DRILL drill-confirm run R2\"><error message=\"DRILL 2 trials");
	assert_has(suite, "tests=\"2\" failures=\"1\" errors=\"1\"");
}

/* An alert of a night that was cut is not behind the word "incomplete". */
static void an_incomplete_night_tells_its_alerts(void **state)
{
	_cleanup_json_ json_t *night = a_night("slow");
	_cleanup_free_ char *text = NULL;

	(void)state;
	json_object_set_new(night, "state", json_string("incomplete"));
	json_object_set_new(night, "reason", json_string("it was cut"));
	text = night_headline(night);
	assert_has(text, "incomplete: it was cut; before: 1 regression confirmed");
}

static void texts_never_become_markup(void **state)
{
	_cleanup_json_ json_t *night = a_night("<script>\"&|**\x1b[31m");
	_cleanup_free_ char *html = render(night, NIGHT_HTML);
	_cleanup_free_ char *junit = render(night, NIGHT_JUNIT);
	_cleanup_free_ char *markdown = render(night, NIGHT_MARKDOWN);

	(void)state;
	assert_null(strstr(html, "<script"));
	assert_has(html, "&lt;script&gt;&quot;&amp;|**?[31m");
	assert_has(html, "<title>");
	assert_has(html, "</html>");
	assert_null(strstr(junit, "<script"));
	assert_has(markdown, "\\<script\\>");
	for (const char *p = markdown; (p = strchr(p, '<')); p++)
		assert_int_equal(p[-1], '\\');
	assert_null(strchr(markdown, '\x1b'));
}

/* What is missing or of another type is not relied on. */
static void a_damaged_night_is_survived(void **state)
{
	const char *const texts[] = {"{}",
		"{\"metrics\": 3, \"runs\": {}, \"drill\": [], \"id\": 1}",
		"{\"metrics\": [1, {}, {\"verdict\": 7}], \"runs\": [null], \"mechanisms\": [1], "
		"\"drill\": {\"metrics\": [[]]}, \"notes\": [1], \"host\": {\"changed\": [2]}}"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_json_ json_t *night = json_loads(texts[i], 0, NULL);

		for (int format = NIGHT_MARKDOWN; format <= NIGHT_JUNIT; format++)
			free(render(night, (enum night_format)format));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_headline_says_what_matters),
		cmocka_unit_test(markdown_has_it_all),
		cmocka_unit_test(junit_fails_and_skips),
		cmocka_unit_test(junit_marks_what_a_drill_ran),
		cmocka_unit_test(an_incomplete_night_tells_its_alerts),
		cmocka_unit_test(texts_never_become_markup),
		cmocka_unit_test(a_damaged_night_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
