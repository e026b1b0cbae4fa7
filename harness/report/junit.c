/*
 * JUnit XML for CI servers: a suite for each paper, a case for each claim. Contradicted is a
 * failure, a trial that failed or is invalid an error; whatever was not decided is skipped, never
 * passed.
 */
#include "harness/record/samples.h"
#include "harness/report/formats.h"
#include "harness/report/xml.h"

#include <string.h>

/* The element for a verdict; NULL for a pass. */
static const char *element_of(const char *verdict)
{
	if (strcmp(verdict, "contradicted") == 0)
		return "failure";
	if (strcmp(verdict, "reproduced") == 0 || strcmp(verdict, "direction-only") == 0)
		return NULL;
	return "skipped";
}

static void put_claim(FILE *out, const json_t *paper, const json_t *claim)
{
	const char *verdict = json_text(claim, "verdict");
	const char *element = element_of(verdict);

	fputs("    <testcase", out);
	fprintf(out, " classname=\"fleetlab.%s\"", json_text(paper, "mechanism"));
	fputs(" name=\"", out);
	xml_put(out, json_text(claim, "id"));
	fputs(": ", out);
	xml_put(out, json_text(claim, "text"));
	fprintf(out, "\" time=\"%.3f\">", json_number(claim, "wall_s", 0));
	if (element) {
		fprintf(out, "<%s", element);
		if (strcmp(element, "failure") == 0)
			xml_attribute(out, "type", verdict);
		fprintf(out, " message=\"%s: ", verdict);
		xml_put(out, json_text(claim, "reason"));
		fputs("\"/>", out);
	}
	fputs("</testcase>\n", out);
}

static size_t count_elements(const json_t *claims, const char *element)
{
	const json_t *claim;
	size_t count = 0, i;

	json_array_foreach (claims, i, claim) {
		const char *own = element_of(json_text(claim, "verdict"));

		count += own && strcmp(own, element) == 0;
	}
	return count;
}

static void put_paper(FILE *out, const json_t *view, const json_t *paper)
{
	const json_t *claims = json_object_get(paper, "claims"), *claim;
	size_t i;

	fputs("  <testsuite", out);
	xml_attribute(out, "name", json_text(paper, "short"));
	xml_attribute(out, "timestamp", json_text(json_object_get(view, "run"), "started"));
	fprintf(out, " tests=\"%zu\" failures=\"%zu\" errors=\"0\" skipped=\"%zu\">\n",
		json_array_size(claims), count_elements(claims, "failure"),
		count_elements(claims, "skipped"));
	json_array_foreach (claims, i, claim)
		put_claim(out, paper, claim);
	fputs("  </testsuite>\n", out);
}

static bool is_error(const json_t *problem)
{
	return strcmp(json_text(problem, "outcome"), "skipped") != 0;
}

static void put_problems(FILE *out, const json_t *problems)
{
	const json_t *problem;
	size_t errors = 0, i;

	json_array_foreach (problems, i, problem)
		errors += is_error(problem);
	if (json_array_size(problems) == 0)
		return;
	fprintf(out,
		"  <testsuite name=\"trials\" tests=\"%zu\" failures=\"0\" errors=\"%zu\" "
		"skipped=\"%zu\">\n",
		json_array_size(problems), errors, json_array_size(problems) - errors);
	json_array_foreach (problems, i, problem) {
		const char *element = is_error(problem) ? "error" : "skipped";

		fputs("    <testcase classname=\"fleetlab.trials\" name=\"", out);
		fprintf(out, "trial %.0f: ", json_number(problem, "index", 0));
		xml_put(out, json_text(problem, "experiment"));
		fputc(' ', out);
		xml_put(out, json_text(problem, "variant"));
		fprintf(out, "\"><%s", element);
		if (is_error(problem))
			xml_attribute(out, "type", json_text(problem, "outcome"));
		xml_attribute(out, "message", json_text(problem, "reason"));
		fputs("/></testcase>\n", out);
	}
	fputs("  </testsuite>\n", out);
}

void junit_render(const json_t *view, FILE *out)
{
	const json_t *paper;
	size_t i;

	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites", out);
	xml_attribute(out, "name", json_text(json_object_get(view, "run"), "id"));
	fputs(">\n", out);
	json_array_foreach (json_object_get(view, "papers"), i, paper)
		put_paper(out, view, paper);
	put_problems(out, json_object_get(view, "problems"));
	fputs("</testsuites>\n", out);
}
