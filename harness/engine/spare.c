/* Where a budget's spare time does most good: see spare.h. */
#include "harness/engine/spare.h"
#include "harness/base/error.h"
#include "harness/record/paper.h"
#include "harness/record/record.h"

#include <math.h>
#include <string.h>

static bool is_undecided(const json_t *graded)
{
	const char *verdict = json_string_value(json_object_get(graded, "verdict"));

	return verdict && strcmp(verdict, "inconclusive") == 0;
}

/* The test that more trials would decide: the first open one with a forecast; else the first. */
static size_t open_test(const json_t *claim)
{
	const json_t *test;
	size_t i;

	json_array_foreach (json_object_get(claim, "tests"), i, test) {
		if (is_undecided(test) && json_object_get(test, "forecast"))
			return i;
	}
	return 0;
}

/* How much a claim would gain: relative width of its open test's interval; more where there is none
 * yet and trials would give one, and nothing where none ever would. */
static double width_of(const json_t *claim)
{
	const char *verdict = json_string_value(json_object_get(claim, "verdict"));
	const json_t *test = json_array_get(json_object_get(claim, "tests"), open_test(claim));
	double measured = json_number_value(json_object_get(test, "measured"));
	double low = json_number_value(json_object_get(test, "low"));
	double high = json_number_value(json_object_get(test, "high"));

	if (!verdict || strcmp(verdict, "not-run") == 0 || strcmp(verdict, "not-comparable") == 0)
		return 0;
	if (measured == 0 || !json_object_get(test, "low") || !json_object_get(test, "high"))
		return is_undecided(claim) && json_object_get(test, "forecast") ? 1e6 : 0;
	return fabs((high - low) / measured);
}

/* The plan's own copy of the names, which live as long as the plan. */
static bool find_in_plan(const json_t *header, const char *paper, const char *experiment,
	const char **mechanism, const char **its_experiment)
{
	json_t *planned;
	size_t i;

	json_array_foreach (
		json_object_get(json_object_get(header, "plan"), "trials"), i, planned) {
		const char *m = json_string_value(json_object_get(planned, "mechanism"));
		const char *e = json_string_value(json_object_get(planned, "experiment"));
		const char *its_paper = m ? paper_id_of_mechanism(m) : NULL;

		if (e && its_paper && strcmp(its_paper, paper) == 0 && strcmp(e, experiment) == 0) {
			*mechanism = m;
			*its_experiment = e;
			return true;
		}
	}
	return false;
}

static const char *experiment_of_test(const char *paper_id, const char *claim_id, size_t test)
{
	const json_t *paper = NULL, *tests;
	struct error *err = paper_load(paper_id, &paper);

	if (err) {
		error_destroy(err);
		return NULL;
	}
	tests = json_object_get(paper_claim(paper, claim_id), "tests");
	return json_string_value(json_object_get(json_array_get(tests, test), "experiment"));
}

bool spare_choose(const json_t *header, json_t *trials, bool undecided_only, const char **mechanism,
	const char **experiment)
{
	_cleanup_json_ json_t *document = json_copy((json_t *)header);
	_cleanup_json_ json_t *claims = NULL;
	/* Narrower than 2 %, more blocks change nothing a reader would see. */
	double widest = undecided_only ? 0 : 0.02;
	bool found = false;
	json_t *claim;
	size_t i;

	json_object_set(document, "trials", trials);
	struct error *err = record_grade(document, &claims);

	if (err) {
		error_destroy(err);
		return false;
	}
	json_array_foreach (claims, i, claim) {
		const char *paper = json_string_value(json_object_get(claim, "paper"));
		const char *id = json_string_value(json_object_get(claim, "id"));
		const char *name =
			paper && id ? experiment_of_test(paper, id, open_test(claim)) : NULL;

		if (undecided_only && (!is_undecided(claim) || !json_object_get(claim, "forecast")))
			continue;

		if (name && width_of(claim) > widest &&
			find_in_plan(header, paper, name, mechanism, experiment)) {
			widest = width_of(claim);
			found = true;
		}
	}
	return found;
}
