/* Reading, writing and finding records; schemas; the papers' data. Records are damaged in every way
 * that a hand or a disk could, and must be refused or shown as altered. */
#include "harness/base/embedded.h"
#include "harness/base/fs.h"
#include "harness/base/version.h"
#include "harness/record/claims.h"
#include "harness/record/paper.h"
#include "harness/record/record.h"
#include "harness/record/schema.h"
#include "harness/record/test/synthetic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static int make_directory(void **state)
{
	char *template = strdup("/tmp/fleetlab-record-XXXXXX");

	*state = mkdtemp(template);
	return *state ? 0 : -1;
}

static int remove_directory(void **state)
{
	error_destroy(fs_remove_tree(*state));
	free(*state);
	return 0;
}

static void assert_fine(struct error *err)
{
	if (err)
		print_error("%s\n", error_message(err));
	assert_null(err);
}

/* The error must say all of the words. */
static void assert_error(struct error *err, const char *word, const char *other)
{
	assert_non_null(err);
	if (!strstr(error_message(err), word) || !strstr(error_message(err), other))
		print_error("\"%s\" lacks \"%s\" or \"%s\"\n", error_message(err), word, other);
	assert_non_null(strstr(error_message(err), word));
	assert_non_null(strstr(error_message(err), other));
	error_destroy(err);
}

static char *save(const char *directory, json_t *json)
{
	char *path = NULL;

	assert_fine(record_save(json, directory, &path));
	return path;
}

static void test_what_is_saved_is_loaded(void **state)
{
	_cleanup_json_ json_t *json = synthetic_shmipc(8, 150);
	_cleanup_free_ char *path = save(*state, json);
	_cleanup_record_ struct record *record = NULL;

	assert_fine(record_load(path, &record));
	assert_true(json_equal(json, record->json));
	assert_false(record->altered);
	assert_int_equal(json_array_size(record->notes), 0);
	assert_non_null(strstr(path, "/runs/20260131T201512Z-3f9a1c.json"));
}

/* Changes the text of a saved record and loads it. */
static struct error *load_changed(
	const char *path, const char *from, const char *to, struct record **record)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_free_ char *changed = NULL;
	char *at;

	assert_fine(fs_read(path, RECORD_MAX_BYTES, &text, NULL));
	at = strstr(text, from);
	assert_non_null(at);
	*at = '\0';
	changed = format_string("%s%s%s", text, to, at + strlen(from));
	assert_fine(fs_write_atomic(path, changed, strlen(changed)));
	return record_load(path, record);
}

static const char *verdict(const struct record *record, const char *id)
{
	const json_t *claim;
	size_t i;

	json_array_foreach (json_object_get(record->json, "claims"), i, claim) {
		if (strcmp(json_string_value(json_object_get(claim, "id")), id) == 0)
			return json_string_value(json_object_get(claim, "verdict"));
	}
	return "";
}

static void test_a_changed_verdict_is_computed_again(void **state)
{
	_cleanup_json_ json_t *json = synthetic_shmipc(8, 0.5);
	_cleanup_free_ char *path = save(*state, json);
	_cleanup_record_ struct record *record = NULL;

	assert_fine(load_changed(path, "\"contradicted\"", "\"reproduced\"", &record));
	assert_true(record->altered);
	assert_string_equal(verdict(record, "C1"), "contradicted");
	assert_int_equal(json_array_size(record->notes), 2); /* digest and verdict */
}

/* A record by the build `commit` that grades C1 otherwise than this build, with a digest to fit. */
static void load_graded_otherwise(const char *commit, struct record **record)
{
	_cleanup_json_ json_t *json = synthetic_shmipc(8, 0.5);
	_cleanup_json_ json_t *claims = NULL;
	char digest[33];

	json_object_set_new(json_object_get(json, "build"), "commit", json_string(commit));
	assert_fine(record_grade(json, &claims));
	json_object_set_new(json_array_get(claims, 0), "verdict", json_string("reproduced"));
	json_object_set(json, "claims", claims);
	record_digest(json, digest);
	json_object_set_new(json, "digest", json_string(digest));
	assert_fine(record_from_json(json, record));
	assert_string_equal(verdict(*record, "C1"), "contradicted");
}

/* Who also renews the digest is found out by the samples. */
static void test_a_forged_digest_does_not_help(void **state)
{
	_cleanup_record_ struct record *record = NULL;

	(void)state;
	load_graded_otherwise(fleetlab_commit, &record);
	assert_true(record->altered);
}

/* A later build may grade better: that is told, and accuses nobody. */
static void test_another_build_may_grade_otherwise(void **state)
{
	_cleanup_record_ struct record *record = NULL;

	(void)state;
	load_graded_otherwise("0123456789ab", &record);
	assert_false(record->altered);
	assert_int_equal(json_array_size(record->notes), 1);
	assert_non_null(strstr(
		json_string_value(json_array_get(record->notes, 0)), "0123456789ab, which wrote"));
}

static void test_changed_samples_change_the_verdict(void **state)
{
	_cleanup_json_ json_t *json = synthetic_shmipc(8, 150);
	_cleanup_free_ char *path = save(*state, json);
	_cleanup_record_ struct record *record = NULL;
	_cleanup_json_ json_t *other = json_deep_copy(json);
	json_t *trial;
	size_t i;

	assert_string_equal(json_string_value(json_object_get(
				    json_array_get(json_object_get(json, "claims"), 0), "verdict")),
		"reproduced");
	json_array_foreach (json_object_get(other, "trials"), i, trial) {
		json_t *sample = json_array_get(json_object_get(trial, "samples"), 0);

		if (strcmp(json_string_value(json_object_get(trial, "variant")), "tcp-naive") == 0)
			json_object_set_new(sample, "values", json_pack("[f]", 1.0));
	}
	assert_fine(record_from_json(other, &record));
	assert_true(record->altered);
	assert_string_equal(verdict(record, "C1"), "contradicted");
}

static void test_damage_is_refused_with_path_and_reason(void **state)
{
	static const struct {
		const char *from, *to, *path, *reason;
	} damages[] = {
		{"\"outcome\": \"ok\"", "\"outcome\": \"fine\"", "trials[0].outcome", "fine"},
		{"\"wall_s\": 3.0", "\"wall_s\": -3.0", "trials[0].wall_s", "at least 0"},
		{"\"index\": 3,", "\"index\": 2,", "trials[3].index", "twice"},
		{"\"seed\": 42", "\"seed\": \"42\"", "plan.seed", "\"integer\""},
		{"\"state\": \"complete\"", "\"states\": \"complete\"", "the document",
			"lacks \"state\""},
		{"fleetlab.run/1", "fleetlab.run/9", "schema", "fleetlab.run/1"},
		{"20260131T201512Z-3f9a1c", "../../etc/passwd", "id", "character"},
		{"\"synthetic\": true", "\"synthetic\": true, \"surprise\": 1", "surprise",
			"known field"},
		{"\"block\": 0", "\"block\": -1", "block", "at least 0"},
		{"\"half\": 0", "\"half\": 1e400", "line", "real number overflow"},
		{"\"half\": 0", "\"half\": NaN", "line", "NaN"},
		{"\"seed\": 42", "\"seed\": 42, \"seed\": 43", "line", "duplicate"},
		{"\"digest\": \"", "\"digest\": \"\xff", "line", "unable to decode"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
		_cleanup_json_ json_t *json = synthetic_shmipc(2, 150);
		_cleanup_free_ char *path = save(*state, json);
		struct record *record = NULL;

		assert_error(load_changed(path, damages[i].from, damages[i].to, &record),
			damages[i].path, damages[i].reason);
		assert_null(record);
	}
}

static void test_truncated_and_foreign_files_are_refused(void **state)
{
	_cleanup_json_ json_t *json = synthetic_shmipc(2, 150);
	_cleanup_free_ char *path = save(*state, json);
	_cleanup_free_ char *text = NULL;
	struct record *record = NULL;
	size_t size;

	assert_fine(fs_read(path, RECORD_MAX_BYTES, &text, &size));
	for (size_t length = 0; length < size; length += size / 7) {
		assert_fine(fs_write_atomic(path, text, length));
		assert_error(record_load(path, &record), path, "line");
	}
	assert_fine(fs_write_atomic(path, "[1, 2]", 6));
	assert_error(record_load(path, &record), "the document", "expected \"object\"");
	assert_error(record_load("/nonexistent/x.json", &record), "/nonexistent/x.json", "");
}

/* Anything else may have no end, or none that comes. */
static void test_only_regular_files_are_read(void **state)
{
	_cleanup_json_ json_t *json = synthetic_shmipc(2, 150);
	_cleanup_free_ char *path = save(*state, json);
	_cleanup_free_ char *fifo = format_string("%s/fifo", (const char *)*state);
	_cleanup_free_ char *link = format_string("%s/link", (const char *)*state);
	_cleanup_record_ struct record *linked = NULL;
	struct record *record = NULL;

	assert_error(record_load("/dev/null", &record), "/dev/null", "no regular file");
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_error(record_load(fifo, &record), fifo, "no regular file");
	assert_int_equal(symlink(path, link), 0);
	assert_fine(record_load(link, &linked));
}

static void test_nesting_is_bounded(void **state)
{
	_cleanup_json_ json_t *json = synthetic_shmipc(1, 150);
	json_t *deep = json_object();

	(void)state;
	for (int i = 0; i < 1000; i++)
		deep = json_pack("{s:o}", "deeper", deep);
	json_object_set_new(json_object_get(json, "host"), "deep", deep);
	struct record *record = NULL;
	struct error *err = record_from_json(json, &record);

	/* The host's facts are free-form: accepted, but never walked. */
	assert_null(err);
	record_destroy(record);
}

static void put(const char *directory, const char *place, const char *id)
{
	_cleanup_json_ json_t *json = synthetic_shmipc(1, 150);
	_cleanup_free_ char *path = NULL;
	_cleanup_free_ char *to = format_string("%s/%s", directory, place);
	_cleanup_free_ char *target = format_string("%s/%s.json", to, id);

	json_object_set_new(json, "id", json_string(id));
	path = save(directory, json);
	assert_fine(fs_make_dirs(to));
	assert_int_equal(rename(path, target), 0);
}

static void test_records_are_found(void **state)
{
	char **paths = NULL;
	char *path = NULL;
	size_t count;

	assert_error(record_find(*state, "latest", &path), "no run", "");
	put(*state, "reference", "20270101T000000Z-aaaaaa");
	assert_error(record_find(*state, "latest", &path), "no run", "");
	put(*state, "runs", "20260101T000000Z-bbbbbb");
	put(*state, "runs", "20260201T000000Z-cccccc");
	assert_fine(record_list(*state, &paths, &count));
	assert_int_equal(count, 3);
	assert_non_null(strstr(paths[0], "aaaaaa"));
	record_list_destroy(paths, count);

	assert_fine(record_find(*state, "latest", &path));
	assert_non_null(strstr(path, "runs/20260201T000000Z-cccccc.json"));
	free(take_ptr(path));
	assert_fine(record_find(*state, "202601", &path));
	assert_non_null(strstr(path, "bbbbbb"));
	free(take_ptr(path));
	assert_fine(record_find(*state, "20270101T000000Z-aaaaaa", &path));
	assert_non_null(strstr(path, "reference/"));
	_cleanup_free_ char *known = take_ptr(path);

	assert_fine(record_find("/nonexistent", known, &path)); /* by path */
	free(take_ptr(path));
	assert_error(record_find(*state, "2026", &path), "several", "2026");
	assert_error(record_find(*state, "", &path), "no run", "");

	struct error *err = record_find(*state, "20260101T000000Z-bbbbxb", &path);

	assert_non_null(err);
	assert_non_null(strstr(error_remedy(err), "20260101T000000Z-bbbbbb"));
	error_destroy(err);
}

static void test_ids_are_fresh_and_fit_for_names(void **state)
{
	char one[32], two[32];

	(void)state;
	record_new_id(one, sizeof(one));
	record_new_id(two, sizeof(two));
	assert_int_equal(strlen(one), 23);
	assert_string_not_equal(one, two);
}

/* Every paper follows its schema, and whatever refers to a cell finds a number. */
static void test_all_papers_load(void **state)
{
	static const char *const counts[] = {"A", "B", "C", "D", "E", "null"};
	static const size_t claims[] = {6, 5, 4, 13, 13, 4};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		const json_t *paper = NULL;
		json_t *claim;
		size_t c;

		assert_string_equal(paper_id_at(i), counts[i]);
		assert_fine(paper_load(counts[i], &paper));
		assert_string_equal(paper_id_of_mechanism(
					    json_string_value(json_object_get(paper, "mechanism"))),
			counts[i]);
		assert_int_equal(json_array_size(json_object_get(paper, "claims")), claims[i]);
		json_array_foreach (json_object_get(paper, "claims"), c, claim) {
			json_t *published = json_object_get(claim, "published");
			const char *found;

			assert_true(json_object_get(published, "text") ||
				    json_object_get(published, "value") ||
				    json_object_get(published, "low"));
			assert_fine(paper_find_claim(
				json_string_value(json_object_get(claim, "id")), &found));
			assert_string_equal(found, counts[i]);
		}
	}
	assert_null(paper_id_at(ARRAY_SIZE(counts)));
}

static double published(const char *id, size_t test)
{
	const json_t *paper = NULL;
	const char *paper_id;
	json_t *claim, *value;

	assert_fine(paper_find_claim(id, &paper_id));
	assert_fine(paper_load(paper_id, &paper));
	claim = paper_claim(paper, id);
	value = json_object_get(
		json_object_get(json_array_get(json_object_get(claim, "tests"), test), "published"),
		"value");
	assert_true(json_is_number(value));
	return json_number_value(value);
}

static void test_published_values_are_computed_from_cells(void **state)
{
	(void)state;
	assert_float_equal(published("C1", 0), 14978.0 / 116, 1e-9);
	assert_float_equal(published("C2", 1), (14978.0 - 10326) / 116, 1e-9);
	assert_float_equal(published("E13", 0), 73.1 / 63.2, 1e-9);
	assert_float_equal(published("D6", 0), 0.29, 1e-9); /* per cent as a share */
	assert_float_equal(published("d2a", 5), 16.3, 1e-9);
}

static void test_misspelt_claims_and_papers(void **state)
{
	const json_t *paper = NULL;
	const char *id;
	struct error *err = paper_find_claim("D2aa", &id);

	(void)state;
	assert_non_null(err);
	assert_non_null(strstr(error_remedy(err), "D2a"));
	error_destroy(err);
	assert_error(paper_load("F", &paper), "no paper", "F");
}

static struct error *parse_changed(const char *from, const char *to)
{
	const struct embedded_file *file = embedded_find("papers/C.json");
	_cleanup_free_ char *text =
		format_string("%.*s", (int)file->size, (const char *)file->data);
	_cleanup_free_ char *changed = NULL;
	_cleanup_json_ json_t *paper = NULL;
	char *at = strstr(text, from);

	assert_non_null(at);
	*at = '\0';
	changed = format_string("%s%s%s", text, to, at + strlen(from));
	return paper_parse("C", changed, strlen(changed), &paper);
}

static void test_bad_papers_are_refused(void **state)
{
	(void)state;
	assert_error(parse_changed("\"kind\": \"ratio\"", "\"kind\": \"rattio\""),
		"claims[0].tests[0].kind", "rattio");
	assert_error(
		parse_changed("\"over\": \"shared\"", "\"over\": \"shard\""), "claim C1", "shard");
	assert_error(parse_changed("\"value\": 116", "\"value\": 0"), "claim C1", "positive");
	assert_error(parse_changed("\"short\"", "\"shirt\""), "C", "short");
}

static void test_schema_words_are_never_skipped(void **state)
{
	_cleanup_json_ json_t *schema = json_pack("{s:s}", "pattern", "^a$");
	_cleanup_json_ json_t *value = json_string("b");

	(void)state;
	assert_error(schema_check_against(schema, value), "pattern", "not understood");
}

/* What is checked before it becomes part of a record is checked as the record is. */
static void test_a_part_is_checked_as_in_the_whole(void **state)
{
	_cleanup_json_ json_t *record = synthetic_record("null", "tcg");
	json_t *trial = synthetic_trial(record, "null", "effect", "none", "baseline", 0, 0);

	(void)state;
	assert_null(schema_check_part("run", "trial", trial));
	json_object_set_new(trial, "parameters", json_pack("{s:{}}", "address"));
	assert_error(schema_check_part("run", "trial", trial), "parameters.address", "is {}");
	assert_error(schema_check("run", record), "trials[0].parameters.address", "is {}");
	assert_error(schema_check_part("run", "trail", trial), "trail", "does not have");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define IN_DIRECTORY(f) cmocka_unit_test_setup_teardown(f, make_directory, remove_directory)
		IN_DIRECTORY(test_what_is_saved_is_loaded),
		IN_DIRECTORY(test_a_changed_verdict_is_computed_again),
		IN_DIRECTORY(test_changed_samples_change_the_verdict),
		IN_DIRECTORY(test_damage_is_refused_with_path_and_reason),
		IN_DIRECTORY(test_truncated_and_foreign_files_are_refused),
		IN_DIRECTORY(test_only_regular_files_are_read),
		IN_DIRECTORY(test_records_are_found),
		cmocka_unit_test(test_a_forged_digest_does_not_help),
		cmocka_unit_test(test_another_build_may_grade_otherwise),
		cmocka_unit_test(test_nesting_is_bounded),
		cmocka_unit_test(test_a_part_is_checked_as_in_the_whole),
		cmocka_unit_test(test_ids_are_fresh_and_fit_for_names),
		cmocka_unit_test(test_all_papers_load),
		cmocka_unit_test(test_published_values_are_computed_from_cells),
		cmocka_unit_test(test_misspelt_claims_and_papers),
		cmocka_unit_test(test_bad_papers_are_refused),
		cmocka_unit_test(test_schema_words_are_never_skipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
