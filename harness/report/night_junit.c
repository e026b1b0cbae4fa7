/* A night as JUnit XML: see night_page.h. */
#include "harness/base/fs.h"
#include "harness/record/samples.h"
#include "harness/report/figures.h"
#include "harness/report/night.h"
#include "harness/report/night_page.h"
#include "harness/report/xml.h"

#include <stdbool.h>
#include <string.h>

struct suite {
	const char *name, *class_name;
	FILE *cases; /* into `text`: counts stand before the cases */
	char *text;
	size_t size;
	size_t tests, failures, errors, skipped;
};

static void suite_open(struct suite *suite, const char *name, const char *class_name)
{
	*suite = (struct suite){.name = name, .class_name = class_name};
	suite->cases = open_memstream(&suite->text, &suite->size);
	if (!suite->cases)
		abort();
}

/* `element`: "failure", "error", "skipped", or NULL for a pass. */
static void suite_case(struct suite *suite, const char *name, const char *element, const char *type,
	const char *message)
{
	suite->tests++;
	fputs("    <testcase", suite->cases);
	xml_attribute(suite->cases, "classname", suite->class_name);
	xml_attribute(suite->cases, "name", name);
	fputc('>', suite->cases);
	if (element) {
		suite->failures += strcmp(element, "failure") == 0;
		suite->errors += strcmp(element, "error") == 0;
		suite->skipped += strcmp(element, "skipped") == 0;
		fprintf(suite->cases, "<%s", element);
		if (type)
			xml_attribute(suite->cases, "type", type);
		xml_attribute(suite->cases, "message", message);
		fputs("/>", suite->cases);
	}
	fputs("</testcase>\n", suite->cases);
}

/* An empty one is left out. */
static void suite_close(struct suite *suite, const json_t *night, FILE *out)
{
	fclose(suite->cases);
	if (suite->tests) {
		fputs("  <testsuite", out);
		xml_attribute(out, "name", suite->name);
		xml_attribute(out, "timestamp", json_text(night, "started"));
		fprintf(out, " tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\">\n",
			suite->tests, suite->failures, suite->errors, suite->skipped);
		fwrite(suite->text, 1, suite->size, out);
		fputs("  </testsuite>\n", out);
	}
	free(suite->text);
}

static void put_metric(struct suite *suite, const json_t *row)
{
	const json_t *verdict = json_object_get(row, "verdict");
	const char *state = json_text(verdict, "state");
	bool confirmed = strcmp(state, "confirmed") == 0;
	bool worse = strcmp(json_text(verdict, "direction"), "worse") == 0;
	char effect[FIGURE_SIZE];

	night_effect(verdict, effect);
	_cleanup_free_ char *message = format_string(
		"%s, %s: %s", *state ? state : "not judged", effect, json_text(verdict, "reason"));

	if (confirmed && worse)
		suite_case(suite, json_text(row, "name"), "failure",
			json_is_true(json_object_get(verdict, "alert")) ? "regression" : "standing",
			message);
	else if (!*state || strcmp(state, "learning") == 0 || strcmp(state, "suspect") == 0)
		suite_case(suite, json_text(row, "name"), "skipped", NULL, message);
	else
		suite_case(suite, json_text(row, "name"), NULL, NULL, NULL);
}

static void put_metrics(const json_t *night, const char *mechanism, FILE *out)
{
	_cleanup_free_ char *class_name = format_string("fleetlab.nightly.%s", mechanism);
	struct suite suite;
	const json_t *row;
	size_t i;

	suite_open(&suite, mechanism, class_name);
	json_array_foreach (json_object_get(night, "metrics"), i, row) {
		if (strcmp(json_text(row, "mechanism"), mechanism) == 0)
			put_metric(&suite, row);
	}
	suite_close(&suite, night, out);
}

static bool is_drill(const json_t *run)
{
	return strncmp(json_text(run, "purpose"), "drill", 5) == 0;
}

/* The real runs or the drill's: failed trials are errors. */
static void put_runs(struct suite *suite, const json_t *night, bool drill)
{
	const char *mark = drill ? "DRILL " : "";
	const json_t *run;
	size_t i;

	json_array_foreach (json_object_get(night, "runs"), i, run) {
		const json_t *trials = json_object_get(run, "trials");
		double bad = json_number(trials, "failed", 0) + json_number(trials, "invalid", 0);
		bool failed = strcmp(json_text(run, "state"), "failed") == 0;
		_cleanup_free_ char *name = format_string(
			"%s%s run %s", mark, json_text(run, "purpose"), json_text(run, "id"));
		_cleanup_free_ char *message =
			failed ? format_string("%s%s", mark, json_text(run, "reason"))
			       : format_string("%s%.0f trials failed or invalid", mark, bad);

		if (is_drill(run) == drill)
			suite_case(suite, name, failed || bad > 0 ? "error" : NULL, NULL, message);
	}
}

/* The night itself, and its runs. */
static void put_night(const json_t *night, FILE *out)
{
	_cleanup_free_ char *headline = night_headline(night);
	const char *state = json_text(night, "state");
	struct suite suite;

	suite_open(&suite, "night", "fleetlab.nightly.night");
	suite_case(&suite, "the night took place",
		strcmp(state, "complete") == 0	   ? NULL
		: strcmp(state, "incomplete") == 0 ? "error"
						   : "skipped",
		NULL, headline);
	put_runs(&suite, night, false);
	suite_close(&suite, night, out);
}

static void put_drill(const json_t *night, FILE *out)
{
	const json_t *drill = json_object_get(night, "drill");
	const char *state = json_text(drill, "state");
	struct suite suite;

	if (!json_is_object(drill))
		return;
	_cleanup_free_ char *name = format_string("DRILL %s %s %s", json_text(drill, "mechanism"),
		json_text(drill, "experiment"), json_text(drill, "variant"));
	_cleanup_free_ char *message = format_string("%s %s", state, json_text(drill, "reason"));

	suite_open(&suite, "DRILL", "fleetlab.nightly.drill");
	suite_case(&suite, name,
		strcmp(state, "caught") == 0   ? NULL
		: strcmp(state, "missed") == 0 ? "failure"
					       : "skipped",
		NULL, message);
	put_runs(&suite, night, true);
	suite_close(&suite, night, out);
}

void night_junit(const json_t *night, FILE *out)
{
	const json_t *name;
	size_t i;

	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites", out);
	xml_attribute(out, "name", json_text(night, "id"));
	fputs(">\n", out);
	put_night(night, out);
	json_array_foreach (json_object_get(night, "mechanisms"), i, name) {
		if (json_is_string(name))
			put_metrics(night, json_string_value(name), out);
	}
	put_drill(night, out);
	fputs("</testsuites>\n", out);
}
