/* Every format must be well-formed and every line fit, whatever the record holds. */
#include "harness/report/test/rendering.h"
#include "harness/record/test/synthetic.h"
#include "harness/base/process.h"
#include "harness/record/samples.h"
#include "harness/report/figures.h"
#include "harness/report/line.h"

/* A record that tries to break out of every format. */
static json_t *hostile(void)
{
	static const char *const poison =
		"\033[31m</x>\",|`*\r\n\t&amp;<script>\u202e 日本語 "
		"averyveryveryverylongwordwithoutanyspaceinitatallthatgoes"
		"onandonandonandonandonandonandonandonandonandonandonandon";
	json_t *json = synthetic_shmipc(8, 150);
	json_t *trials = json_object_get(json, "trials"), *trial;
	size_t i;

	json_object_set_new(json_object_get(json, "host"), "kernel", json_string(poison));
	json_object_set_new(json_object_get(json_object_get(json, "host"), "accelerator"), "reason",
		json_string(poison));
	for (int f = 0; f < 30; f++) {
		trial = synthetic_trial(json, "shmipc", "roundtrip", "udp", "baseline", 50 + f, 0);
		json_object_set_new(trial, "outcome", json_string(f % 2 ? "failed" : "invalid"));
		json_object_set_new(trial, "reason", json_string(poison));
	}
	json_array_foreach (trials, i, trial) {
		json_t *evidence = json_array_get(json_object_get(trial, "evidence"), 0);

		json_object_set_new(trial, "parameters",
			json_pack("{s:s}", "emulated", "a link of 1 Gbit/s, shaped"));
		json_object_set_new(evidence, "name", json_string("<&\"\033[2J,|"));
		if (i == 5)
			synthetic_sample(trial, "<metric|\"", "us\033", 0, 1e300);
	}
	json_array_append_new(json_object_get(json_object_get(json, "plan"), "mechanisms"),
		json_string("zerocopy"));
	json_array_append_new(json_object_get(json_object_get(json, "plan"), "mechanisms"),
		json_string("peacemaker"));
	return json;
}

static void assert_lines_fit(const char *text, int width)
{
	while (*text) {
		size_t length = strcspn(text, "\n");
		_cleanup_free_ char *line = format_string("%.*s", (int)length, text);

		if (text_columns(line) > width)
			print_error("%d columns: %s\n", text_columns(line), line);
		assert_true(text_columns(line) <= width);
		text += length + (text[length] == '\n');
	}
}

static void assert_no_control(const char *text)
{
	for (; *text; text++)
		assert_true(*text == '\n' || *text == '\r' || (unsigned char)*text >= ' ');
}

static void test_text_fits_every_width(void **state)
{
	static const int widths[] = {60, 72, 80, 99, 100, 132};
	_cleanup_record_ struct record *poor = made(hostile());
	_cleanup_record_ struct record *good = made(synthetic_shmipc(8, 150));

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(widths); i++) {
		const struct report_options options = {.width = widths[i], .verbose = true};
		_cleanup_free_ char *one = render(poor, REPORT_TEXT, &options);
		_cleanup_free_ char *two = render(good, REPORT_TEXT, &options);

		const struct report_options brief = {.width = widths[i], .brief = true};
		_cleanup_free_ char *three = render(poor, REPORT_TEXT, &brief);

		assert_lines_fit(one, widths[i]);
		assert_lines_fit(two, widths[i]);
		assert_lines_fit(three, widths[i]);
		assert_no_control(one);
	}
}

static void test_text_says_what_a_reader_needs(void **state)
{
	static const char *const words[] = {"Table 3", "14978 us", "tcp-nodelay", "C1-best",
		"reproduced", "not-comparable", "emulated: CPU by tcg", "SYNTHETIC",
		"A  library sharing: not run", "[95 % interval]", "in short: C1 reproduced, C2",
		"how to read this:", "/ paper"};
	_cleanup_record_ struct record *record = made(synthetic_shmipc(8, 150));
	const struct report_options options = {.width = 100};
	_cleanup_free_ char *text = render(record, REPORT_TEXT, &options);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (!strstr(text, words[i]))
			print_error("lacks \"%s\"\n", words[i]);
		assert_non_null(strstr(text, words[i]));
	}
	assert_null(strstr(text, "\033["));
}

/* Colour changes nothing but escapes: without them the text is the same. */
static void test_colour_only_when_asked(void **state)
{
	_cleanup_record_ struct record *record = made(synthetic_shmipc(8, 0.5));
	const struct report_options plain = {.width = 80}, colour = {.width = 80, .colour = true};
	_cleanup_free_ char *one = render(record, REPORT_TEXT, &plain);
	_cleanup_free_ char *two = render(record, REPORT_TEXT, &colour);
	char *to = two;

	(void)state;
	assert_non_null(strstr(two, "\033[1;31mcontradicted"));
	for (const char *p = two; *p; p++) {
		if (*p == '\033')
			p += strcspn(p, "m");
		else
			*to++ = *p;
	}
	*to = '\0';
	assert_string_equal(one, two);
}

static void test_json_parses_and_holds_all(void **state)
{
	_cleanup_record_ struct record *record = made(hostile());
	const struct report_options options = {.verbose = true};
	_cleanup_free_ char *text = render(record, REPORT_JSON, &options);
	_cleanup_json_ json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

	(void)state;
	assert_non_null(json);
	assert_int_equal(json_array_size(json_object_get(json, "papers")), 3);
	assert_int_equal(json_array_size(json_object_get(json, "not_run")), 2);
	assert_int_equal(json_array_size(json_object_get(json, "problems")), 30);
	assert_true(json_array_size(json_object_get(json, "samples")) > 30);
}

/* Fields of a CSV line; quotes may hold commas, and a quote is doubled in them. */
static int fields_of(const char *line, size_t length)
{
	bool quoted = false;
	int fields = 1;

	for (size_t i = 0; i < length; i++) {
		if (line[i] == '"')
			quoted = !quoted;
		fields += line[i] == ',' && !quoted;
	}
	assert_false(quoted);
	return fields;
}

static void test_csv_lines_have_equal_fields(void **state)
{
	_cleanup_record_ struct record *record = made(hostile());
	const struct report_options options = {0};
	_cleanup_free_ char *text = render(record, REPORT_CSV, &options);
	int lines = 0;

	(void)state;
	for (const char *line = text; *line; lines++) {
		size_t length = strcspn(line, "\r");

		assert_int_equal(fields_of(line, length), 23);
		assert_int_equal(line[length + 1], '\n');
		line += length + 2;
	}
	assert_true(lines > 40);
}

/* Tags open and close in turn, and nothing that must be escaped stands bare. */
static void assert_balanced(const char *xml)
{
	int depth = 0;

	for (const char *p = strstr(xml, "?>") + 2; *p; p++) {
		if (*p == '&')
			assert_true(strncmp(p, "&amp;", 5) == 0 || strncmp(p, "&lt;", 4) == 0 ||
				    strncmp(p, "&gt;", 4) == 0 || strncmp(p, "&quot;", 6) == 0);
		if (*p != '<')
			continue;
		const char *end = p + strcspn(p, ">");

		assert_int_equal(*end, '>');
		depth += p[1] == '/' ? -1 : end[-1] == '/' ? 0 : 1;
		assert_true(depth >= 0);
	}
	assert_int_equal(depth, 0);
}

static size_t count_of(const char *text, const char *word)
{
	size_t count = 0;

	for (; (text = strstr(text, word)); text++)
		count++;
	return count;
}

static void test_junit_is_well_formed(void **state)
{
	_cleanup_record_ struct record *poor = made(hostile());
	_cleanup_record_ struct record *wrong = made(synthetic_shmipc(8, 0.5));
	const struct report_options options = {0};
	_cleanup_free_ char *one = render(poor, REPORT_JUNIT, &options);
	_cleanup_free_ char *two = render(wrong, REPORT_JUNIT, &options);
	const char *const argv[] = {"xmllint", "--noout", "-", NULL};

	(void)state;
	assert_balanced(one);
	assert_no_control(one);
	assert_int_equal(count_of(one, "<error"), 30);
	assert_int_equal(count_of(two, "<failure"), 2); /* C1, C2 */
	assert_int_equal(count_of(two, "<skipped"), 1); /* C4 */
	assert_non_null(strstr(two, "failures=\"2\""));
	if (process_in_path("xmllint")) {
		struct error *err = process_check(argv, one, deadline_after_ms(30000), NULL);

		if (err)
			print_error("%s\n", error_message(err));
		assert_null(err);
	}
}

static void test_markdown_tables_keep_their_columns(void **state)
{
	_cleanup_record_ struct record *record = made(hostile());
	const struct report_options options = {.verbose = true};
	_cleanup_free_ char *text = render(record, REPORT_MARKDOWN, &options);
	int columns = 0;

	(void)state;
	for (const char *line = text; *line;) {
		size_t length = strcspn(line, "\n");
		int bars = 0;

		for (size_t i = 0; i < length; i++)
			bars += line[i] == '|' && (i == 0 || line[i - 1] != '\\');
		if (line[0] == '|') {
			assert_true(columns == 0 || bars == columns);
			columns = bars;
		} else {
			columns = 0;
		}
		line += length + (line[length] == '\n');
	}
	assert_null(strstr(text, "<script>"));
}

static void test_filters(void **state)
{
	_cleanup_record_ struct record *record = made(hostile());
	const struct report_options options = {.claim = "c2"}, paper = {.paper = "C"};
	_cleanup_free_ char *text = render(record, REPORT_CSV, &options);
	_cleanup_free_ char *all = render(record, REPORT_CSV, &paper);

	(void)state;
	assert_int_equal(count_of(text, "\r\n"), 1 + 2);
	assert_int_equal(count_of(all, "\r\n"), 1 + 3 + 2 + 1 + 1);
}

static void test_an_altered_record_is_called_so(void **state)
{
	json_t *json = synthetic_shmipc(8, 150);
	const struct report_options options = {0};
	enum report_format formats[] = {REPORT_TEXT, REPORT_MARKDOWN};

	(void)state;
	json_object_set_new(json, "digest", json_string("00000000000000000000000000000000"));
	_cleanup_record_ struct record *record = made(json);

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		_cleanup_free_ char *text = render(record, formats[i], &options);

		assert_non_null(strcasestr(text, "altered"));
		assert_non_null(strstr(text, "digest does not fit"));
	}
}

static char *compare(
	const struct record *a, const struct record *b, enum report_format format, int width)
{
	const struct report_options options = {.width = width};
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_null(report_compare(a, b, format, &options, out));
	fclose(out);
	return text;
}

static json_t *compare_json(const struct record *a, const struct record *b)
{
	_cleanup_free_ char *text = compare(a, b, REPORT_JSON, 80);
	json_t *json = json_loads(text, 0, NULL);

	assert_non_null(json);
	return json;
}

static void test_compare_finds_what_differs(void **state)
{
	json_t *other = synthetic_shmipc(8, 300);
	_cleanup_record_ struct record *a = made(synthetic_shmipc(8, 150));
	_cleanup_json_ json_t *json = NULL;
	const json_t *first;

	(void)state;
	json_object_set_new(json_object_get(json_object_get(other, "host"), "accelerator"), "name",
		json_string("kvm"));
	json_object_set_new(json_object_get(other, "host"), "zebra", json_true());
	_cleanup_record_ struct record *b = made(other);
	_cleanup_free_ char *text = compare(a, b, REPORT_TEXT, 80);

	assert_non_null(strstr(text, "NOT comparable"));
	assert_lines_fit(text, 80);
	json = compare_json(a, b);
	first = json_array_get(json_object_get(json_object_get(json, "hosts"), "differences"), 0);
	assert_string_equal(json_string_value(json_object_get(first, "field")), "accelerator.name");
	first = json_array_get(json_object_get(json, "claims"), 0);
	assert_true(json_is_true(json_object_get(first, "excludes_one")));
	assert_float_equal(json_number_value(json_object_get(first, "ratio")), 2, 0.2);
}

/* Paper D beside another, with figures of four digits and unlike ends: the longest there are. */
static json_t *of_long_figures(void)
{
	json_t *json = synthetic_shmipc(8, 150);

	for (int i = 0; i < 16; i++) {
		static const char *const variants[] = {"vmbeam", "phys", "nest", "blanket"};

		for (size_t v = 0; v < ARRAY_SIZE(variants); v++) {
			json_t *trial = synthetic_trial(json, "zerocopy", "migration", variants[v],
				v ? "baseline" : "subject", i / 2, i % 2);
			double scale = 1 + i * 0.001237 * (double)(v + 1);
			const struct {
				const char *metric, *unit;
				double value;
			} rows[] = {{"network_traffic", "%", 0.0361234},
				{"downtime", "s", 0.0123456}, {"migration_time", "s", 1.234567},
				{"cpu_time", "s", 0.0187654}, {"cpu_time_source", "s", 1.123},
				{"cpu_time_destination", "s", 1.123},
				{"memory_traffic", "x RAM", 0.00781234}};

			for (size_t r = 0; r < ARRAY_SIZE(rows); r++)
				json_array_append_new(json_object_get(trial, "samples"),
					json_pack("{s:s, s:s, s:{s:i}, s:[f]}", "metric",
						rows[r].metric, "unit", rows[r].unit, "at",
						"memory_mib", 1024, "values",
						rows[r].value * scale));
		}
	}
	json_array_append_new(json_object_get(json_object_get(json, "plan"), "mechanisms"),
		json_string("zerocopy"));
	return json;
}

/* The tables of figures: with none of them, and nothing in brackets, cut. */
static void test_no_interval_is_cut(void **state)
{
	static const int widths[] = {60, 80, 100, 140};
	_cleanup_record_ struct record *record = made(of_long_figures());

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(widths); i++) {
		const struct report_options options = {.width = widths[i], .brief = true};
		_cleanup_free_ char *text = render(record, REPORT_TEXT, &options);

		assert_lines_fit(text, widths[i]);
		assert_non_null(strstr(text, "0.0"));
		for (const char *at = text; (at = strchr(at, '[')); at++) {
			size_t inside = strcspn(at, "]\n");

			if (at[inside] != ']' || memmem(at, inside, "…", strlen("…")))
				fail_msg("%d columns: cut: %.60s", widths[i], at);
		}
	}
}

/* Every trial of the record gets this parameter, as a plan gives it. */
static json_t *with_parameter(json_t *json, const char *name, const char *value)
{
	json_t *trial;
	size_t i;

	json_array_foreach (json_object_get(json, "trials"), i, trial)
		json_object_set_new(json_object_get(trial, "parameters"), name, json_string(value));
	return json;
}

static void test_compare_names_settings_that_differ(void **state)
{
	json_t *one = with_parameter(synthetic_shmipc(8, 150), "delay_us", "1000");
	json_t *two = with_parameter(synthetic_shmipc(8, 150), "delay_us", "4000");
	static const enum report_format texts[] = {REPORT_TEXT, REPORT_MARKDOWN};

	(void)state;
	with_parameter(one, "same", "7");
	with_parameter(two, "same", "7");
	json_object_set_new(json_object_get(two, "plan"), "profile", json_string("paper"));
	_cleanup_record_ struct record *a = made(one);
	_cleanup_record_ struct record *b = made(two);
	_cleanup_json_ json_t *json = compare_json(a, b);
	const json_t *settings = json_object_get(json, "settings");
	const json_t *first = json_array_get(settings, 0), *second = json_array_get(settings, 1);

	assert_int_equal(json_array_size(settings), 2);
	assert_string_equal(json_string_value(json_object_get(first, "field")), "profile");
	assert_string_equal(json_string_value(json_object_get(second, "field")), "delay_us");
	assert_string_equal(json_string_value(json_object_get(second, "a")), "1000");
	assert_string_equal(json_string_value(json_object_get(second, "b")), "4000");
	assert_string_equal(json_string_value(json_object_get(second, "mechanism")), "shmipc");
	assert_true(json_array_size(json_object_get(second, "experiments")) > 0);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_free_ char *text = compare(a, b, texts[i], 80);
		_cleanup_free_ char *same = compare(a, a, texts[i], 80);

		assert_non_null(strstr(text, "settings that differ"));
		assert_non_null(strstr(text, "profile: quick"));
		assert_non_null(strstr(text, "1000"));
		assert_non_null(strstr(text, "4000"));
		assert_null(strstr(same, "settings that differ"));
	}
}

/* Where a row is too wide, its name gets a line of its own; no figure is cut. */
static void test_compare_cuts_no_figure(void **state)
{
	static const int widths[] = {60, 80, 100, 140};
	_cleanup_record_ struct record *a = made(synthetic_shmipc(8, 150));
	_cleanup_record_ struct record *b = made(synthetic_shmipc(8, 300));

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(widths); i++) {
		_cleanup_free_ char *text = compare(a, b, REPORT_TEXT, widths[i]);

		assert_lines_fit(text, widths[i]);
		assert_null(strstr(text, "…"));
		assert_non_null(strstr(text, "roundtrip_less_syscalls, us"));
	}
}

static const json_t *row_of(const json_t *comparison, const char *id)
{
	const json_t *row;
	size_t i;

	json_array_foreach (json_object_get(comparison, "claims"), i, row) {
		if (strcmp(json_string_value(json_object_get(row, "claim")), id) == 0)
			return row;
	}
	fail_msg("no claim %s", id);
	return NULL;
}

/* Each run's figures are of the test that decided there; of two tests there is no ratio. */
static void test_compare_has_no_ratio_of_two_tests(void **state)
{
	_cleanup_record_ struct record *open = made(synthetic_downtimes(1));
	_cleanup_record_ struct record *decided = made(synthetic_downtimes(1.5));
	_cleanup_json_ json_t *json = compare_json(open, decided);
	_cleanup_json_ json_t *itself = compare_json(open, open);
	const json_t *row = row_of(json, "D3b");

	(void)state;
	assert_string_equal(json_string_value(json_object_get(row, "a")), "inconclusive");
	assert_string_equal(json_string_value(json_object_get(row, "b")), "reproduced");
	assert_float_equal(
		json_number_value(json_object_get(json_object_get(row, "test_a"), "measured")), 1,
		1e-6);
	assert_float_equal(
		json_number_value(json_object_get(json_object_get(row, "test_b"), "measured")), 2,
		1e-6);
	assert_null(json_object_get(row, "ratio"));
	row = row_of(itself, "D3b");
	assert_float_equal(json_number_value(json_object_get(row, "ratio")), 1, 1e-6);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(row, "test_a"), "verdict")),
		"inconclusive");
}

/* Paper D's downtimes of VMBeam at two sizes of guest: at the second `grown` times as long. */
static json_t *growing_downtimes(double grown)
{
	json_t *record = synthetic_record("zerocopy", "tcg");
	uint64_t state = 5;

	for (int i = 0; i < 8; i++) {
		json_t *trial = synthetic_trial(
			record, "zerocopy", "migration", "vmbeam", "subject", i / 2, i % 2);

		for (int s = 0; s < 2; s++)
			json_array_append_new(json_object_get(trial, "samples"),
				json_pack("{s:s, s:s, s:{s:i}, s:[f]}", "metric", "downtime",
					"unit", "s", "at", "memory_mib", 512 << s, "values",
					(s ? grown : 1) * synthetic_noise(&state, 0.01)));
	}
	return record;
}

/* Growths are shares that may be about 0: their ratio would say nothing. */
static void test_growths_are_compared_by_their_difference(void **state)
{
	_cleanup_record_ struct record *a = made(growing_downtimes(1.4));
	_cleanup_record_ struct record *b = made(growing_downtimes(1.8));
	_cleanup_free_ char *text = compare(a, b, REPORT_TEXT, 80);
	_cleanup_json_ json_t *json = compare_json(a, b);
	const json_t *row = row_of(json, "D3a");
	double of_a = json_number(json_object_get(row, "test_a"), "measured", NAN);
	double of_b = json_number(json_object_get(row, "test_b"), "measured", NAN);

	(void)state;
	assert_null(json_object_get(row, "ratio"));
	assert_true(of_b > of_a && of_a > 0);
	assert_float_equal(json_number(row, "difference", NAN), of_b - of_a, 1e-12);
	assert_true(json_number(row, "difference_low", NAN) > 0);
	assert_true(json_is_true(json_object_get(row, "excludes_one")));
	assert_non_null(strstr(text, " points ["));
	assert_lines_fit(text, 80);
}

static void test_compare_with_itself_is_same(void **state)
{
	_cleanup_record_ struct record *a = made(hostile());
	_cleanup_json_ json_t *json = NULL;
	json_t *row;
	size_t i;

	(void)state;
	_cleanup_free_ char *text = compare(a, a, REPORT_TEXT, 100);
	_cleanup_free_ char *markdown = compare(a, a, REPORT_MARKDOWN, 0);

	assert_lines_fit(text, 100);
	assert_no_control(text);
	assert_no_control(markdown);
	json = compare_json(a, a);
	assert_true(json_is_true(json_object_get(json_object_get(json, "hosts"), "comparable")));
	assert_true(json_array_size(json_object_get(json, "metrics")) > 5);
	json_array_foreach (json_object_get(json, "metrics"), i, row)
		assert_false(json_is_true(json_object_get(row, "excludes_one")));
}

static void test_formats_by_name(void **state)
{
	enum report_format format = REPORT_TEXT;
	struct error *err;

	(void)state;
	assert_null(report_format_parse("junit", &format));
	assert_int_equal(format, REPORT_JUNIT);
	err = report_format_parse("markdwon", &format);
	assert_non_null(err);
	assert_non_null(strstr(error_remedy(err), "markdown"));
	error_destroy(err);
}

static void test_figures(void **state)
{
	char out[FIGURE_SIZE];

	(void)state;
	figure_interval(91.188, 84.5619, 96.63, "us", out);
	assert_string_equal(out, "91.19 us [84.56, 96.63]");
	figure_interval(14978, -1.0 / 0.0, 1.0 / 0.0, "us", out);
	assert_string_equal(out, "14978 us");
	figure_bytes(48200000, out);
	assert_string_equal(out, "48.2 MB");
	figure_number(0.0 / 0.0, out);
	assert_string_equal(out, "-");
	assert_int_equal(text_columns("日本 é…"), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_fits_every_width),
		cmocka_unit_test(test_text_says_what_a_reader_needs),
		cmocka_unit_test(test_colour_only_when_asked),
		cmocka_unit_test(test_json_parses_and_holds_all),
		cmocka_unit_test(test_csv_lines_have_equal_fields),
		cmocka_unit_test(test_junit_is_well_formed),
		cmocka_unit_test(test_markdown_tables_keep_their_columns),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_an_altered_record_is_called_so),
		cmocka_unit_test(test_compare_finds_what_differs),
		cmocka_unit_test(test_no_interval_is_cut),
		cmocka_unit_test(test_compare_names_settings_that_differ),
		cmocka_unit_test(test_compare_cuts_no_figure),
		cmocka_unit_test(test_compare_has_no_ratio_of_two_tests),
		cmocka_unit_test(test_compare_with_itself_is_same),
		cmocka_unit_test(test_growths_are_compared_by_their_difference),
		cmocka_unit_test(test_formats_by_name),
		cmocka_unit_test(test_figures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
