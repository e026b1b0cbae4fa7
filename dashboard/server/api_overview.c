/* The front page, and lists that are one question to the index: see api.h. */
#include "dashboard/server/api.h"

#include "harness/base/fs.h"
#include "harness/record/claims.h"
#include "harness/record/paper.h"
#include "harness/record/samples.h"
#include "mechanisms/mechanism.h"

#include <string.h>

static struct error *give(struct answer **answer, json_t *json)
{
	*answer = answer_json(json, ANSWER_REVALIDATE);
	return NULL;
}

/* ---- overview ---- */

static void count_verdict(json_t *verdicts, const json_t *row)
{
	const json_t *latest = json_object_get(row, "latest");
	const char *verdict = latest ? json_text(latest, "verdict") : "not-run";
	json_int_t before = json_integer_value(json_object_get(verdicts, verdict));

	json_object_set_new(verdicts, verdict, json_integer(before + 1));
}

/* On which side of its limit the claim's bounds want a figure: NULL when it has none, or both. */
static const char *limit_of(const json_t *claim)
{
	bool most = false, least = false;
	const json_t *test;
	size_t i;

	json_array_foreach (json_object_get(claim, "tests"), i, test) {
		most = most || json_object_get(test, "at_most");
		least = least || json_object_get(test, "at_least");
	}
	if (most == least)
		return NULL;
	return most ? "at most" : "at least";
}

/* What is published for a bound is a limit, which the index does not know. */
static void add_limit(const json_t *row, const char *which, const json_t *claim)
{
	json_t *verdict = json_object_get(row, which);
	const char *limit = limit_of(claim);

	if (limit && strcmp(json_text(verdict, "kind"), "bound") == 0)
		json_object_set_new(verdict, "limit", json_string(limit));
}

/* What a matrix needs of a paper, with the rows of its claims. */
static json_t *paper_row(const json_t *paper, const json_t *rows)
{
	static const char *const fields[] = {"id", "mechanism", "short", "title"};
	json_t *shown = json_object(), *claims = json_array(), *verdicts = json_object();
	json_t *row;
	size_t i;

	for (size_t f = 0; f < ARRAY_SIZE(fields); f++)
		json_object_set(shown, fields[f], json_object_get(paper, fields[f]));
	json_object_set_new(shown, "verdicts", verdicts);
	json_object_set_new(shown, "claims", claims);
	json_array_foreach (rows, i, row) {
		const json_t *claim;

		if (strcmp(json_text(row, "paper"), json_text(paper, "id")) != 0)
			continue;
		claim = paper_claim(paper, json_text(row, "claim"));
		count_verdict(verdicts, row);
		add_limit(row, "latest", claim);
		add_limit(row, "before", claim);
		json_object_set(row, "id", json_object_get(row, "claim"));
		json_object_set(row, "text", json_object_get(claim, "text"));
		json_array_append(claims, row);
	}
	return shown;
}

/* Claims whose latest verdict is another than the one before. */
static json_t *changes_of(const json_t *rows)
{
	json_t *changes = json_array();
	const json_t *row;
	size_t i;

	json_array_foreach (rows, i, row) {
		const json_t *latest = json_object_get(row, "latest");
		const json_t *before = json_object_get(row, "before");
		size_t at = 0;

		if (!json_is_true(json_object_get(row, "changed")))
			continue;
		while (at < json_array_size(changes) &&
			strcmp(json_text(json_array_get(changes, at), "started"),
				json_text(latest, "started")) > 0)
			at++;
		json_array_insert_new(changes, at,
			json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "claim",
				json_text(row, "claim"), "paper", json_text(row, "paper"), "from",
				json_text(before, "verdict"), "to", json_text(latest, "verdict"),
				"run", json_text(latest, "run"), "run_before",
				json_text(before, "run"), "started", json_text(latest, "started")));
	}
	return changes;
}

static struct error *add_hosts(struct index *index, json_t *overview)
{
	_cleanup_json_ json_t *hosts = NULL;
	json_t *shown = json_array();
	const json_t *host;
	size_t i;

	json_object_set_new(overview, "hosts", shown);
	try_(index_hosts(index, &hosts));
	json_array_foreach (hosts, i, host) {
		const json_t *prints = json_object_get(host, "fingerprints");
		const json_t *latest = json_array_get(prints, json_array_size(prints) - 1);

		json_array_append_new(shown,
			json_pack("{s:O, s:O, s:O, s:O*}", "host", json_object_get(host, "host"),
				"runs", json_object_get(host, "runs"), "last",
				json_object_get(host, "last"), "cpu",
				json_object_get(latest, "cpu")));
	}
	return NULL;
}

static struct error *add_runs(struct index *index, const char *host, json_t *overview)
{
	const struct index_filter filter = {.host = host};
	_cleanup_json_ json_t *runs = NULL;
	static const char *const names[] = {"last_run", "run_before"};

	try_(index_runs(index, &filter, (struct index_page){.limit = ARRAY_SIZE(names)}, &runs));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		json_object_set(
			overview, names[i], json_array_get(json_object_get(runs, "runs"), i));
	return NULL;
}

static struct error *add_papers(const json_t *rows, json_t *overview)
{
	json_t *papers = json_array();

	json_object_set_new(overview, "papers", papers);
	json_object_set_new(overview, "changes", changes_of(rows));
	for (size_t i = 0; paper_id_at(i); i++) {
		const json_t *paper = NULL;

		try_(paper_load(paper_id_at(i), &paper));
		json_array_append_new(papers, paper_row(paper, rows));
	}
	return NULL;
}

struct error *api_overview_get(struct ask *ask, struct answer **answer)
{
	const char *host = request_parameter(ask->request, "host");
	const struct store_progress progress = store_progress(ask->store);
	_cleanup_json_ json_t *totals = NULL;
	_cleanup_json_ json_t *rows = NULL;
	_cleanup_json_ json_t *overview = NULL;
	_cleanup_free_ char *trouble = store_trouble(ask->store);

	try_(index_totals(ask->reader->index, &totals));
	try_(index_overview(ask->reader->index, host, &rows));
	overview = json_pack("{s:I, s:O, s:{s:b, s:I, s:I, s:s*}}", "generation",
		(json_int_t)ask->generation, "totals", totals, "indexing", "running",
		(int)progress.running, "done", (json_int_t)progress.done, "total",
		(json_int_t)progress.total, "trouble", trouble);
	try_(add_runs(ask->reader->index, host, overview));
	try_(add_papers(rows, overview));
	try_(add_hosts(ask->reader->index, overview));
	return give(answer, take_ptr(overview));
}

/* ---- lists ---- */

struct error *api_papers_get(struct ask *ask, struct answer **answer)
{
	static const char *const fields[] = {"id", "mechanism", "short", "title", "authors"};
	_cleanup_json_ json_t *papers = json_array();

	(void)ask;
	for (size_t i = 0; paper_id_at(i); i++) {
		const json_t *paper = NULL;
		json_t *shown = json_object();

		try_(paper_load(paper_id_at(i), &paper));
		for (size_t f = 0; f < ARRAY_SIZE(fields); f++)
			json_object_set(shown, fields[f], json_object_get(paper, fields[f]));
		json_object_set_new(shown, "implemented",
			json_boolean(mechanism_find(json_text(paper, "mechanism")) != NULL));
		json_array_append_new(papers, shown);
	}
	return give(answer, json_pack("{s:O}", "papers", papers));
}

struct error *api_claims_get(struct ask *ask, struct answer **answer)
{
	_cleanup_json_ json_t *rows = NULL;
	_cleanup_json_ json_t *found = json_object();

	try_(index_overview(ask->reader->index, request_parameter(ask->request, "host"), &rows));
	try_(add_papers(rows, found));
	return give(answer, json_pack("{s:O}", "claims", rows));
}

struct error *api_history_get(struct ask *ask, struct answer **answer)
{
	const json_t *paper = NULL;
	struct index_filter filter;
	struct index_page page;
	const char *paper_id;
	json_t *history;
	struct error *err = paper_find_claim(ask->captured[0], &paper_id);

	if (err)
		return api_not_found(ask, err);
	try_(paper_load(paper_id, &paper));
	try_(api_filter(ask, &filter));
	try_(api_page(ask, API_PAGE_MAX, &page));
	try_(index_claim_history(ask->reader->index,
		json_text(paper_claim(paper, ask->captured[0]), "id"), &filter, page, &history));
	return give(answer, history);
}

struct error *api_runs_get(struct ask *ask, struct answer **answer)
{
	struct index_filter filter;
	struct index_page page;
	json_t *runs;

	try_(api_filter(ask, &filter));
	try_(api_page(ask, API_PAGE_MAX, &page));
	try_(index_runs(ask->reader->index, &filter, page, &runs));
	return give(answer, runs);
}

struct error *api_hosts_get(struct ask *ask, struct answer **answer)
{
	json_t *hosts;

	try_(index_hosts(ask->reader->index, &hosts));
	return give(answer, json_pack("{s:o}", "hosts", hosts));
}

struct error *api_refused_get(struct ask *ask, struct answer **answer)
{
	struct index_page page;
	json_t *files;

	try_(api_page(ask, API_PAGE_MAX, &page));
	try_(index_refused(ask->reader->index, page, &files));
	return give(answer, files);
}
