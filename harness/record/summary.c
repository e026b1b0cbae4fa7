/* What the index keeps of a record: see summary.h. Must never take a figure from anywhere but the
 * record's samples. */
#include "harness/record/summary.h"

#include "harness/base/fs.h"
#include "harness/record/cut.h"
#include "harness/record/samples.h"

#include <string.h>
#include <time.h>

static char *dump(const json_t *value)
{
	char *text = json_dumps(value ? value : json_null(),
		JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);

	if (!text)
		abort();
	return text;
}

/* Bytes of a run's row: with all that may be escaped it is below 16 KiB. */
enum { TEXT_BYTES = 100, MECHANISMS_BYTES = 1024, LIST_BYTES = 2048, IMAGES_BYTES = 3072 };

/* Of what tells why a claim has its verdict. */
#define REASON_BYTES 1024

/* As JSON in a text; takes `list` over. */
static void set_list(json_t *row, const char *key, json_t *list)
{
	_cleanup_free_ char *text = dump(list);

	json_object_set_new(row, key, json_string(text));
	json_decref(list);
}

/* "2026-01-31T20:15:12Z" as seconds since 1970; no year that a lab host cannot have. */
static bool parse_utc(const char *text, json_int_t *seconds)
{
	struct tm tm = {0};
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);

	if (!end || strlen(text) > TEXT_BYTES || *end || tm.tm_year < 100 || tm.tm_year > 400)
		return false;
	*seconds = timegm(&tm);
	return true;
}

struct totals {
	json_int_t ok, failed, invalid, skipped;
	double wall_s, disk_bytes;
};

static struct totals count_trials(const json_t *trials)
{
	struct totals totals = {0};
	const json_t *trial;
	size_t i;

	json_array_foreach (trials, i, trial) {
		const char *outcome = json_text(trial, "outcome");

		totals.ok += strcmp(outcome, "ok") == 0;
		totals.failed += strcmp(outcome, "failed") == 0;
		totals.invalid += strcmp(outcome, "invalid") == 0;
		totals.skipped += strcmp(outcome, "skipped") == 0;
		totals.wall_s += json_number(trial, "wall_s", 0);
		totals.disk_bytes += json_number(trial, "disk_bytes", 0);
	}
	return totals;
}

static struct error *run_row(const struct record *record, json_t **row)
{
	static const char *const of_image[] = {"name", "hash", NULL};
	const json_t *json = record->json;
	const json_t *plan = json_object_get(json, "plan");
	const json_t *build = json_object_get(json, "build");
	const char *started = json_text(json, "started"), *state = json_text(json, "state");
	const struct totals totals = count_trials(json_object_get(json, "trials"));
	json_int_t started_s;
	json_t *made;

	if (!parse_utc(started, &started_s))
		return error_new(ERROR_USAGE,
			"started is \"%.40s\", expected a time like 2026-01-31T20:15:12Z", started);
	made = json_pack("{s:O, s:I, s:s, s:O*, s:s, s:b, s:b, s:b, s:O, s:O, s:O, s:O}", "id",
		json_object_get(json, "id"), "started_s", started_s, "started", started, "finished",
		json_object_get(json, "finished"), "state", state, "complete",
		strcmp(state, "complete") == 0, "synthetic",
		json_is_true(json_object_get(json, "synthetic")), "altered", (int)record->altered,
		"version", json_object_get(build, "version"), "commit",
		json_object_get(build, "commit"), "profile", json_object_get(plan, "profile"),
		"seed", json_object_get(plan, "seed"));
	if (!made)
		return error_new(ERROR_INTERNAL, "cannot form the index's row of a run");
	cut_members(made, TEXT_BYTES);
	set_list(made, "notes", cut_list(record->notes, NULL, LIST_BYTES));
	set_list(made, "mechanisms",
		cut_list(json_object_get(plan, "mechanisms"), NULL, MECHANISMS_BYTES));
	set_list(made, "command", cut_list(json_object_get(json, "command"), NULL, LIST_BYTES));
	set_list(made, "images", cut_list(json_object_get(json, "images"), of_image, IMAGES_BYTES));
	json_object_set_new(made, "planned",
		json_integer((json_int_t)json_array_size(json_object_get(plan, "trials"))));
	json_object_set_new(made, "ok", json_integer(totals.ok));
	json_object_set_new(made, "failed", json_integer(totals.failed));
	json_object_set_new(made, "invalid", json_integer(totals.invalid));
	json_object_set_new(made, "skipped", json_integer(totals.skipped));
	json_object_set_new(made, "wall_s", json_real(totals.wall_s));
	json_object_set_new(made, "disk_bytes", json_real(totals.disk_bytes));
	*row = made;
	return NULL;
}

/* How many trials of each variant ended how. */
static json_t *outcome_rows(const json_t *trials)
{
	static const char *const keys[] = {"mechanism", "experiment", "variant", "outcome"};
	_cleanup_json_ json_t *by_name = json_object();
	json_t *rows = json_array(), *trial, *row;
	size_t i;

	json_array_foreach (trials, i, trial) {
		_cleanup_free_ char *name = format_string("%s\n%s\n%s\n%s",
			json_text(trial, keys[0]), json_text(trial, keys[1]),
			json_text(trial, keys[2]), json_text(trial, keys[3]));

		row = json_object_get(by_name, name);
		if (!row) {
			row = json_object();
			for (size_t k = 0; k < ARRAY_SIZE(keys); k++)
				json_object_set(row, keys[k], json_object_get(trial, keys[k]));
			json_object_set_new(row, "trials", json_integer(0));
			json_array_append_new(rows, row);
			json_object_set(by_name, name, row);
		}
		json_integer_set(json_object_get(row, "trials"),
			json_integer_value(json_object_get(row, "trials")) + 1);
	}
	return rows;
}

/* A share that its paper gives per cent is told so. */
static void show_per_cent(const json_t *test, json_t *row)
{
	static const char *const shares[] = {
		"measured", "low", "high", "published", "published_low", "published_high"};

	if (strcmp(json_text(test, "shown_in"), "%") != 0 ||
		strcmp(json_text(test, "unit"), "x") != 0)
		return;
	json_object_set_new(row, "unit", json_string("%"));
	for (size_t i = 0; i < ARRAY_SIZE(shares); i++) {
		const json_t *share = json_object_get(row, shares[i]);

		if (json_is_number(share))
			json_object_set_new(
				row, shares[i], json_real(100 * json_number_value(share)));
	}
}

static json_t *claim_row(const json_t *claim)
{
	static const char *const of_claim[] = {
		"paper", "verdict", "reason", "evidence", "wall_s", "disk_bytes"};
	static const char *const of_test[] = {"kind", "measured", "low", "high", "unit", "pairs",
		"published", "published_low", "published_high"};
	const json_t *comparable = json_object_get(claim, "comparable");
	const json_t *test = claim_deciding_test(claim);
	json_t *row = json_pack("{s:O, s:b}", "claim", json_object_get(claim, "id"), "comparable",
		json_is_true(json_object_get(comparable, "ok")));

	for (size_t i = 0; i < ARRAY_SIZE(of_claim); i++)
		json_object_set(row, of_claim[i], json_object_get(claim, of_claim[i]));
	for (size_t i = 0; i < ARRAY_SIZE(of_test); i++)
		json_object_set(row, of_test[i], json_object_get(test, of_test[i]));
	show_per_cent(test, row);
	json_object_set(row, "comparable_reason", json_object_get(comparable, "reason"));
	cut_members(row, REASON_BYTES);
	return row;
}

static json_t *claim_rows(const json_t *claims)
{
	json_t *rows = json_array(), *claim;
	size_t i;

	json_array_foreach (claims, i, claim)
		json_array_append_new(rows, claim_row(claim));
	return rows;
}

struct error *summary_of_record(const struct record *record, json_t **summary)
{
	const json_t *trials = json_object_get(record->json, "trials");
	_cleanup_json_ json_t *metrics = NULL;
	_cleanup_json_ json_t *made = NULL;
	json_t *run;

	try_(run_row(record, &run));
	made = summary_of_host(json_object_get(record->json, "host"));
	json_object_set_new(made, "run", run);
	metrics = summary_metrics(record->json);
	if (!metrics)
		return error_new(
			ERROR_USAGE, "it has more than %d series of readings", SUMMARY_MAX_SERIES);
	json_object_set(made, "metrics", metrics);
	json_object_set_new(made, "outcomes", outcome_rows(trials));
	json_object_set_new(made, "claims", claim_rows(json_object_get(record->json, "claims")));
	*summary = take_ptr(made);
	return NULL;
}
