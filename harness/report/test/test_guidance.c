/* The commands, the reasons and the lists that tell a reader how to go on. */
#include "harness/report/test/rendering.h"
#include "harness/record/test/synthetic.h"
#include "harness/record/paper.h"
#include "harness/report/redo.h"

/* As JSON, the claim with this index of the first paper; *all is the caller's. */
static const json_t *rendered_claim(json_t *record, size_t index, json_t **all)
{
	const struct report_options options = {.paper = "C"};
	_cleanup_free_ char *text = render_json(record, REPORT_JSON, &options);

	*all = json_loads(text, 0, NULL);
	return json_array_get(
		json_object_get(json_array_get(json_object_get(*all, "papers"), 0), "claims"),
		index);
}

static void test_a_claim_has_its_command(void **state)
{
	static const char *const command = "fleetlab run shmipc --only C1 --profile quick";
	const struct report_options quiet = {.width = 100},
				    verbose = {.width = 80, .verbose = true};
	_cleanup_free_ char *brief = render_json(synthetic_shmipc(8, 150), REPORT_TEXT, &quiet);
	_cleanup_free_ char *full = render_json(synthetic_shmipc(8, 150), REPORT_TEXT, &verbose);
	_cleanup_free_ char *markdown =
		render_json(synthetic_shmipc(8, 150), REPORT_MARKDOWN, &quiet);
	_cleanup_json_ json_t *all = NULL;
	const json_t *claim;

	(void)state;
	assert_null(strstr(brief, command));
	assert_non_null(strstr(full, command));
	assert_non_null(strstr(markdown, command));
	claim = rendered_claim(synthetic_shmipc(8, 150), 0, &all);
	assert_string_equal(json_string_value(json_object_get(claim, "command")), command);
	assert_true(json_number_value(json_object_get(claim, "wall_s")) > 0);
	assert_true(json_number_value(json_object_get(claim, "disk_bytes")) > 0);
}

static void test_no_command_for_what_cannot_be_run(void **state)
{
	_cleanup_json_ json_t *all = NULL;
	const json_t *claim = rendered_claim(synthetic_shmipc(8, 150), 3, &all);

	(void)state;
	assert_string_equal(json_string_value(json_object_get(claim, "id")), "C4");
	assert_null(json_object_get(claim, "command"));
}

static void test_parameters_are_part_of_the_command(void **state)
{
	json_t *json = synthetic_shmipc(2, 150);
	_cleanup_json_ json_t *all = NULL;
	const json_t *claim;

	(void)state;
	json_object_set_new(json, "command",
		json_pack("[s, s, s, s, s, s]", "run", "shmipc", "-p", "ints=64", "--param=runs=3",
			"-pwarmup=1"));
	claim = rendered_claim(json, 0, &all);
	assert_string_equal(json_string_value(json_object_get(claim, "command")),
		"fleetlab run shmipc --only C1 --profile quick -p ints=64 -p runs=3 -p warmup=1");
}

/* What a reader would copy into a shell: nothing of a strange record gets there. */
static void test_a_strange_record_gives_no_command(void **state)
{
	json_t *json = synthetic_shmipc(2, 150);
	_cleanup_json_ json_t *all = NULL;
	_cleanup_json_ json_t *more = NULL;

	(void)state;
	json_object_set_new(
		json, "command", json_pack("[s, s, s]", "run", "-p", "ints=64; reboot"));
	assert_null(json_object_get(rendered_claim(json, 0, &all), "command"));
	json = synthetic_shmipc(2, 150);
	json_object_set_new(
		json_object_get(json, "plan"), "profile", json_string("quick $(reboot)"));
	assert_null(json_object_get(rendered_claim(json, 0, &more), "command"));
}

/* A record of another build may have a mechanism that this one lacks. */
static void test_no_command_for_a_mechanism_that_is_not_here(void **state)
{
	_cleanup_json_ json_t *record = synthetic_record("libdedup", "tcg");
	const json_t *paper = NULL, *ours = NULL;

	(void)state;
	assert_null(paper_load("A", &paper));
	assert_null(paper_load("C", &ours));
	assert_null(redo_command(record, paper, paper_claim(paper, "A1")));
	_cleanup_free_ char *command = redo_command(record, ours, paper_claim(ours, "C1"));

	assert_non_null(command);
}

static void test_not_run_and_not_implemented_are_told_apart(void **state)
{
	const struct report_options options = {.width = 80};
	json_t *json = synthetic_shmipc(2, 150);

	(void)state;
	json_object_set_new(json_object_get(json, "build"), "mechanisms",
		json_pack("[s, s]", "shmipc", "zerocopy"));
	_cleanup_free_ char *text = render_json(json, REPORT_TEXT, &options);

	assert_non_null(strstr(text, "A  library sharing: not implemented in this build"));
	assert_non_null(strstr(text, "D  zero-copy migration: not run in this record"));
}

static void set_sample(json_t *trial, const char *metric, double value)
{
	json_t *sample;
	size_t i;

	json_array_foreach (json_object_get(trial, "samples"), i, sample) {
		if (strcmp(json_string_value(json_object_get(sample, "metric")), metric) == 0)
			json_object_set_new(sample, "values", json_pack("[f]", value));
	}
}

static json_t *overcorrected(double part)
{
	json_t *json = synthetic_shmipc(8, 150), *trial;
	size_t i;

	json_array_foreach (json_object_get(json, "trials"), i, trial) {
		set_sample(trial, "roundtrip_less_paper", -10);
		set_sample(trial, "switching_paper", part);
	}
	return json;
}

static void test_a_correction_above_the_whole_is_said_in_words(void **state)
{
	const struct report_options options = {.width = 200};
	_cleanup_free_ char *text = render_json(overcorrected(43210), REPORT_TEXT, &options);
	_cleanup_free_ char *other = render_json(overcorrected(1), REPORT_TEXT, &options);

	(void)state;
	assert_non_null(
		strstr(text, "the correction (43210 us) is larger than the round trip itself ("));
	assert_null(strstr(other, "is larger than"));
	assert_non_null(strstr(other, "zero or negative in 8 of 8 pairs"));
}

/* One slow trial is one line, whatever is computed from its time. */
static void test_outliers_are_told_by_trial(void **state)
{
	const struct report_options brief = {.width = 100};
	json_t *json = synthetic_shmipc(8, 150), *trial;
	size_t i;

	(void)state;
	json_array_foreach (json_object_get(json, "trials"), i, trial) {
		if (strcmp(json_string_value(json_object_get(trial, "variant")), "tcp-naive") != 0)
			continue;
		set_sample(trial, "roundtrip", 9e6);
		set_sample(trial, "roundtrip_less_paper", 9e6);
		set_sample(trial, "roundtrip_less_syscalls", 9e6);
		break;
	}
	_cleanup_free_ char *text = render_json(json, REPORT_TEXT, &brief);
	char line[64];
	const char *found;

	snprintf(line, sizeof(line), "  trial %zu, tcp-naive: ", i);
	found = strstr(text, line);
	assert_non_null(found);
	assert_null(strstr(found + 1, line));
	found = strchr(found, '\n');
	assert_memory_equal(
		found - strlen("; 2 more metrics"), "; 2 more metrics", strlen("; 2 more metrics"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_claim_has_its_command),
		cmocka_unit_test(test_no_command_for_what_cannot_be_run),
		cmocka_unit_test(test_parameters_are_part_of_the_command),
		cmocka_unit_test(test_a_strange_record_gives_no_command),
		cmocka_unit_test(test_no_command_for_a_mechanism_that_is_not_here),
		cmocka_unit_test(test_not_run_and_not_implemented_are_told_apart),
		cmocka_unit_test(test_a_correction_above_the_whole_is_said_in_words),
		cmocka_unit_test(test_outliers_are_told_by_trial),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
