/* Reports tell what is emulated of the tables it concerns, and in brief no more than claims and
 * published tables. */
#include "harness/report/test/rendering.h"
#include "harness/record/samples.h"
#include "harness/record/test/synthetic.h"

#include <sys/stat.h>
#include <unistd.h>

/* A record of two mechanisms on an emulated CPU, of which the second has one variant behind a
 * shaped link: papers C and D, with a sweep each. */
static json_t *partly_emulated(void)
{
	json_t *json = synthetic_shmipc(8, 150);

	for (int i = 0; i < 6; i++) {
		static const char *const variants[] = {"vmbeam", "phys"};

		for (size_t v = 0; v < ARRAY_SIZE(variants); v++) {
			json_t *trial = synthetic_trial(json, "zerocopy", "migration", variants[v],
				v ? "baseline" : "subject", i / 2, i % 2);

			if (v)
				json_object_set_new(trial, "parameters",
					json_pack("{s:s}", "emulated", "a shaped link"));
			for (int size = 128; size <= 256; size += 128) {
				json_t *sample = json_pack("{s:s, s:s, s:{s:i}, s:[f]}", "metric",
					"migration_time", "unit", "s", "at", "memory_mib", size,
					"values", v ? 2.0 : 1.0);

				json_array_append_new(json_object_get(trial, "samples"), sample);
			}
		}
	}
	json_array_append_new(json_object_get(json_object_get(json, "plan"), "mechanisms"),
		json_string("zerocopy"));
	return json;
}

static size_t count_of(const char *text, const char *word)
{
	size_t count = 0;

	for (; (text = strstr(text, word)); text++)
		count++;
	return count;
}

static void test_every_table_names_what_is_emulated(void **state)
{
	static const struct report_options options[] = {
		{.width = 100,
			.paper = "C"}, /* in D's, tables without a trial have nothing to tell */
		{.width = 100, .brief = true},
	};
	_cleanup_record_ struct record *record = made(partly_emulated());

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		_cleanup_free_ char *text = render(record, REPORT_TEXT, &options[i]);
		size_t tables = count_of(text, "measured [95 % interval]") +
				count_of(text, "  also measured: ");

		assert_true(tables >= 3);
		assert_int_equal(count_of(text, "  emulated: CPU by tcg"), tables);
	}
}

/* Of the trials that a table is made of: a link of paper D's says nothing of paper C's tables. */
static void test_only_tables_of_its_trials_name_an_emulation(void **state)
{
	_cleanup_record_ struct record *record = made(partly_emulated());
	enum report_format formats[] = {REPORT_TEXT, REPORT_MARKDOWN};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		const struct report_options c = {.paper = "C"}, d = {.paper = "D"};
		_cleanup_free_ char *of_c = render(record, formats[i], &c);
		_cleanup_free_ char *of_d = render(record, formats[i], &d);

		assert_null(strstr(of_c, "shaped link"));
		assert_non_null(strstr(of_c, "mulated: CPU by tcg"));
		assert_non_null(strstr(of_d, "CPU by tcg; a shaped link (phys)"));
	}
}

static void test_an_emulation_of_all_trials_needs_no_variants(void **state)
{
	json_t *json = synthetic_shmipc(8, 150), *trial;
	const struct report_options options = {.width = 100};
	size_t i;

	(void)state;
	json_array_foreach (json_object_get(json, "trials"), i, trial)
		json_object_set_new(
			trial, "parameters", json_pack("{s:s}", "emulated", "a shaped link"));
	_cleanup_record_ struct record *record = made(json);
	_cleanup_free_ char *text = render(record, REPORT_TEXT, &options);

	assert_non_null(strstr(text, "emulated: CPU by tcg; a shaped link\n"));
}

/* Nothing is emulated on a host with KVM unless trials say so. */
static void test_nothing_emulated_is_not_mentioned(void **state)
{
	json_t *json = synthetic_shmipc(8, 150);
	const struct report_options options = {.width = 100};

	(void)state;
	json_object_set_new(json_object_get(json_object_get(json, "host"), "accelerator"), "name",
		json_string("kvm"));
	_cleanup_record_ struct record *record = made(json);
	_cleanup_free_ char *text = render(record, REPORT_TEXT, &options);
	_cleanup_free_ char *markdown = render(record, REPORT_MARKDOWN, &options);

	assert_null(strcasestr(text, "emulated"));
	assert_null(strcasestr(markdown, "emulated"));
}

/* In brief: claims and published tables, of the rest only how to get it, and the claims once more
 * at the very end, where there are several papers. */
static void test_brief_ends_with_the_claims(void **state)
{
	_cleanup_record_ struct record *record = made(partly_emulated());
	const struct report_options all = {.width = 80}, brief = {.width = 80, .brief = true};
	_cleanup_free_ char *full = render(record, REPORT_TEXT, &all);
	_cleanup_free_ char *text = render(record, REPORT_TEXT, &brief);
	_cleanup_free_ char *left_out =
		format_string("also measured, %zu table", count_of(full, "  also measured: "));
	const char *summary = strstr(text, "\n17 claims: ");

	(void)state;
	assert_null(strstr(text, "  also measured: "));
	assert_non_null(strstr(text, left_out));
	assert_non_null(strstr(text, ": fleetlab report 20260131T201512Z-3f9a1c\n"));
	assert_non_null(strstr(text, "not measured in this run: Figure 6 ("));
	assert_non_null(summary);
	assert_true(summary > strstr(text, "how to read this:"));
	assert_int_equal(count_of(summary, "\n  C"), 4);
	assert_int_equal(count_of(summary, "\n  D"), 13);
	assert_non_null(strstr(summary, "\n  D8    not-run "));
}

static void test_one_paper_needs_no_summary(void **state)
{
	_cleanup_record_ struct record *record = made(synthetic_shmipc(8, 150));
	const struct report_options options = {.width = 80, .brief = true};
	_cleanup_free_ char *text = render(record, REPORT_TEXT, &options);

	(void)state;
	assert_null(strstr(text, " claims: "));
}

static void test_brief_markdown_is_for_a_readme(void **state)
{
	_cleanup_record_ struct record *record = made(partly_emulated());
	const struct report_options options = {.brief = true};
	_cleanup_free_ char *text = render(record, REPORT_MARKDOWN, &options);

	(void)state;
	assert_null(strstr(text, "Also measured"));
	assert_null(strstr(text, "not measured"));
	assert_non_null(strstr(text, "**C1**: shared memory is faster"));
	assert_non_null(strstr(text, "| **reproduced**: "));
	assert_non_null(strstr(text, "**Table 3**"));
	assert_non_null(strstr(text, "Not measured: Figure 6 ("));
	assert_non_null(strstr(text, "Claims not run: D1a (Figure 6)"));
}

/* A copy of the first line that has both words; the caller's. */
static char *line_with(const char *text, const char *word, const char *other)
{
	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		char *copy = strndup(line, strcspn(line, "\n"));

		if (strstr(copy, word) && strstr(copy, other))
			return copy;
		free(copy);
	}
	fail_msg("no line with %s and %s", word, other);
	return NULL;
}

/* Of a claim whose tests must all hold the row has the figures of the one that decided: D3b's
 * first test is a ratio of 2 and holds, its second leaves it open. */
static void test_a_claims_row_is_of_the_test_that_decided(void **state)
{
	static const struct {
		enum report_format format;
		bool brief;
		const char *row; /* begins it */
	} cases[] = {
		{REPORT_TEXT, false, "  D3b  "},
		{REPORT_TEXT, true, "  D3b  "},
		{REPORT_MARKDOWN, false, "| **D3b** "},
		{REPORT_MARKDOWN, true, "| **D3b**: "},
	};
	json_t *json = synthetic_downtimes(1);

	(void)state;
	json_array_append_new(
		json_object_get(json_object_get(json, "plan"), "mechanisms"), json_string("null"));
	_cleanup_record_ struct record *record = made(json);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct report_options options = {.width = 200, .brief = cases[i].brief};
		_cleanup_free_ char *text = render(record, cases[i].format, &options);
		_cleanup_free_ char *row = line_with(text, cases[i].row, "inconclusive");

		assert_non_null(strstr(row, "1 x [0.8, 1.25]"));
		assert_null(strstr(row, "2 x [2, 2]"));
		if (cases[i].format == REPORT_MARKDOWN)
			assert_non_null(strstr(row, "Xen-Blanket over Xen-Nest; "));
		/* And at a glance, at the end. */
		if (cases[i].format == REPORT_TEXT) {
			_cleanup_free_ char *last =
				line_with(strstr(text, " claims: "), cases[i].row, "inconclusive");

			assert_non_null(strstr(last, "1 x [0.8, 1.25]"));
		}
	}
	const struct report_options options = {.width = 200};
	_cleanup_free_ char *text = render(record, REPORT_TEXT, &options);
	_cleanup_free_ char *other = line_with(text, " + 1 ", "reproduced");

	assert_non_null(strstr(other, "2 x [2, 2]"));
}

/* Without the trials of one of them there is still a figure, of the test that was measured. */
static void test_what_was_measured_stands_beside_what_was_not(void **state)
{
	json_t *json = synthetic_downtimes(1);
	json_t *trials = json_object_get(json, "trials");
	const struct report_options options = {.width = 200, .brief = true};

	(void)state;
	for (size_t i = json_array_size(trials); i-- > 0;) {
		if (strcmp(json_text(json_array_get(trials, i), "variant"), "blanket") == 0)
			json_array_remove(trials, i);
	}
	_cleanup_record_ struct record *record = made(json);
	_cleanup_free_ char *text = render(record, REPORT_MARKDOWN, &options);
	_cleanup_free_ char *row = line_with(text, "| **D3b**: ", "inconclusive");

	assert_non_null(strstr(row, "2 x [2, 2]"));
	assert_non_null(strstr(row, "Xen-Nest over VMBeam: "));
	assert_non_null(strstr(row, "Xen-Blanket over Xen-Nest; no trial of blanket"));
}

/* What is logged after a report must not come before its end. */
static void test_a_report_is_written_when_it_is_done(void **state)
{
	_cleanup_record_ struct record *record = made(synthetic_shmipc(8, 150));
	const struct report_options options = {0};
	char path[] = "/tmp/test-report-XXXXXX";
	int fd = mkstemp(path);
	FILE *out = fdopen(fd, "w");
	struct stat written;

	(void)state;
	assert_non_null(out);
	assert_int_equal(setvbuf(out, NULL, _IOFBF, 1 << 20), 0);
	assert_null(report_render(record, REPORT_TEXT, &options, out));
	assert_int_equal(fstat(fd, &written), 0);
	assert_true(written.st_size > 1000);
	assert_int_equal(ftell(out), written.st_size);
	fclose(out);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_table_names_what_is_emulated),
		cmocka_unit_test(test_only_tables_of_its_trials_name_an_emulation),
		cmocka_unit_test(test_an_emulation_of_all_trials_needs_no_variants),
		cmocka_unit_test(test_nothing_emulated_is_not_mentioned),
		cmocka_unit_test(test_brief_ends_with_the_claims),
		cmocka_unit_test(test_one_paper_needs_no_summary),
		cmocka_unit_test(test_brief_markdown_is_for_a_readme),
		cmocka_unit_test(test_a_claims_row_is_of_the_test_that_decided),
		cmocka_unit_test(test_what_was_measured_stands_beside_what_was_not),
		cmocka_unit_test(test_a_report_is_written_when_it_is_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
