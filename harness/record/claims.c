/* From a paper's tests to a verdict for each claim: see claims.h. Must never soften a test that
 * contradicts. */
#include "harness/record/claims.h"

#include "harness/base/fs.h"
#include "harness/record/grade.h"

#include <string.h>
#include <strings.h>

int verdict_rank(const char *verdict)
{
	static const char *const order[] = {"contradicted", "inconclusive", "direction-only",
		"reproduced", "not-comparable", "not-run"};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		if (strcmp(verdict, order[i]) == 0)
			return (int)i;
	}
	return (int)ARRAY_SIZE(order);
}

static const char *cpu_of(const json_t *host)
{
	const json_t *cpu = json_object_get(host, "cpu");
	const char *model = json_string_value(cpu);

	return model ? model : json_string_value(json_object_get(cpu, "model"));
}

char *host_difference(const json_t *record, const json_t *paper)
{
	const json_t *host = json_object_get(record, "host");
	const json_t *wanted = json_object_get(paper, "host");
	const char *accelerator = json_text(json_object_get(host, "accelerator"), "name");
	const char *wanted_cpu = json_string_value(json_object_get(wanted, "cpu"));
	const char *cpu = cpu_of(host);
	bool emulated = json_object_get(wanted, "accelerator") && strcmp(accelerator, "kvm") != 0;
	bool other_cpu = wanted_cpu && (!cpu || !strcasestr(cpu, wanted_cpu));

	if (!emulated && !other_cpu)
		return NULL;
	if (!other_cpu)
		return format_string("accelerator: %s (emulated) here, hardware in the paper",
			*accelerator ? accelerator : "unknown");
	if (!emulated)
		return format_string(
			"CPU: %s here, %s in the paper", cpu ? cpu : "unknown", wanted_cpu);
	return format_string(
		"accelerator: %s (emulated) here, hardware in the paper; CPU: %s here, "
		"%s in the paper",
		*accelerator ? accelerator : "unknown", cpu ? cpu : "unknown", wanted_cpu);
}

/* Which test decides a claim that all tests must bear out: what refutes comes first, then what is
 * missing; what cannot be compared says nothing unless nothing else was tested. */
static int weight(const char *verdict)
{
	static const char *const order[] = {"contradicted", "not-run", "inconclusive",
		"direction-only", "reproduced", "not-comparable"};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		if (strcmp(verdict, order[i]) == 0)
			return (int)i;
	}
	return -1;
}

static size_t deciding_test(const json_t *claim, const json_t *results)
{
	const json_t *result;
	size_t deciding = 0, i;

	if (strcmp(json_text(claim, "combine"), "all") != 0)
		return 0;
	json_array_foreach (results, i, result) {
		const json_t *so_far = json_array_get(results, deciding);

		if (weight(json_text(result, "verdict")) < weight(json_text(so_far, "verdict")))
			deciding = i;
	}
	return deciding;
}

size_t claim_test_at(const json_t *claim, size_t place)
{
	size_t decided_by = (size_t)json_integer_value(json_object_get(claim, "decided_by"));

	if (place == 0)
		return decided_by;
	return place <= decided_by ? place - 1 : place;
}

const json_t *claim_deciding_test(const json_t *claim)
{
	return json_array_get(json_object_get(claim, "tests"), claim_test_at(claim, 0));
}

const json_t *claim_headline_test(const json_t *claim)
{
	const json_t *deciding = claim_deciding_test(claim), *test;
	size_t i;

	if (strcmp(json_text(deciding, "verdict"), "not-run") != 0)
		return deciding;
	json_array_foreach (json_object_get(claim, "tests"), i, test) {
		if (json_object_get(test, "measured"))
			return test;
	}
	return deciding;
}

/* A part that was not run leaves the whole open when other parts were. */
static const char *verdict_of(const json_t *claim, const json_t *deciding, const json_t *results)
{
	const json_t *result;
	size_t i;

	if (strcmp(json_text(claim, "combine"), "all") != 0 ||
		strcmp(json_text(deciding, "verdict"), "not-run") != 0)
		return json_text(deciding, "verdict");
	json_array_foreach (results, i, result) {
		if (strcmp(json_text(result, "verdict"), "not-run") != 0)
			return "inconclusive";
	}
	return "not-run";
}

/* What a claim's trials took, and how many of those that a counted trial needs have evidence. */
struct account {
	size_t seen, counted;
	double wall_s, disk_bytes;
	const char *evidence; /* name of the first piece of evidence; borrowed */
};

static bool test_selects(const struct grading *grading, const json_t *test, const json_t *trial)
{
	static const char *const selectors[] = {"of", "to"};
	const struct source source = {
		grading->record, grading->mechanism, json_text(test, "experiment"), grading->seed};
	const json_t *selector, *name;
	size_t i;

	for (size_t s = 0; s < ARRAY_SIZE(selectors); s++) {
		selector = json_object_get(test, selectors[s]);
		if (!selector)
			continue;
		if (!json_object_get(selector, "best_of") &&
			trial_selected(trial, &source, selector))
			return true;
		json_array_foreach (json_object_get(selector, "best_of"), i, name) {
			_cleanup_json_ json_t *one = json_pack("{s:O}", "variant", name);

			if (trial_selected(trial, &source, one))
				return true;
		}
	}
	json_array_foreach (json_object_get(test, "ascending"), i, selector) {
		if (trial_selected(trial, &source, selector))
			return true;
	}
	return false;
}

static struct account account_of(const struct grading *grading, const json_t *claim)
{
	struct account account = {0};
	const json_t *trial, *test;
	size_t i, t;

	json_array_foreach (json_object_get(grading->record, "trials"), i, trial) {
		bool selected = false;

		json_array_foreach (json_object_get(claim, "tests"), t, test)
			selected = selected || test_selects(grading, test, trial);
		if (!selected)
			continue;
		account.seen++;
		account.wall_s += json_number_value(json_object_get(trial, "wall_s"));
		account.disk_bytes += json_number_value(json_object_get(trial, "disk_bytes"));
		if (!trial_counts(trial, NULL))
			continue;
		account.counted++;
		if (!account.evidence)
			account.evidence = json_string_value(json_object_get(
				json_array_get(json_object_get(trial, "evidence"), 0), "name"));
	}
	return account;
}

static void put_account(json_t *graded, const struct account *account)
{
	_cleanup_free_ char *evidence = NULL;

	if (account->seen == 0)
		evidence = format_string("none");
	else
		evidence = format_string("%zu of %zu trials%s%s", account->counted, account->seen,
			account->evidence ? ": " : "", account->evidence ? account->evidence : "");
	json_object_set_new(graded, "evidence", json_string(evidence));
	json_object_set_new(graded, "wall_s", json_real(account->wall_s));
	json_object_set_new(graded, "disk_bytes", json_real(account->disk_bytes));
}

static json_t *grade_claim(const struct grading *grading, const json_t *claim)
{
	_cleanup_json_ json_t *results = json_array();
	const struct account account = account_of(grading, claim);
	const json_t *test, *decisive;
	size_t decided_by, i;
	json_t *graded;

	json_array_foreach (json_object_get(claim, "tests"), i, test)
		json_array_append_new(results, grade_test(grading, test));
	decided_by = deciding_test(claim, results);
	decisive = json_array_get(results, decided_by);
	graded = json_pack("{s:O, s:O, s:s, s:O, s:I, s:O, s:{s:b, s:s?}}", "id",
		json_object_get(claim, "id"), "paper", json_object_get(grading->paper, "id"),
		"verdict", verdict_of(claim, decisive, results), "reason",
		json_object_get(decisive, "reason"), "decided_by", (json_int_t)decided_by, "tests",
		results, "comparable", "ok", (int)grading->comparable, "reason",
		grading->incomparable);
	if (json_object_get(decisive, "forecast"))
		json_object_set(graded, "forecast", json_object_get(decisive, "forecast"));
	put_account(graded, &account);
	return graded;
}

struct error *claims_grade(const json_t *record, const json_t *paper, json_t **claims)
{
	_cleanup_free_ char *difference = host_difference(record, paper);
	const struct grading grading = {
		.record = record,
		.paper = paper,
		.mechanism = json_text(paper, "mechanism"),
		.seed = record_seed(record),
		.comparable = !difference,
		.incomparable = difference,
	};
	json_t *graded = json_array();
	const json_t *claim;
	size_t i;

	json_array_foreach (json_object_get(paper, "claims"), i, claim)
		json_array_append_new(graded, grade_claim(&grading, claim));
	*claims = graded;
	return NULL;
}
