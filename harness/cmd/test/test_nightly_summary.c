/* Who is told of a night, and what remains when telling fails. SYNTHETIC readings. */
#include "harness/nightly/test/fake_lab.h"

#include "harness/base/log.h"
#include "harness/cmd/nightly_summary.h"
#include "harness/record/samples.h"

/* A night that ended and that nobody has been told of yet. */
static json_t *untold_night(bool has_hook)
{
	struct fake_lab lab;
	json_t *night;

	fake_lab_init(&lab, 1);
	night = fake_night_with(
		&lab, (struct night_options){.force_busy = true, .has_hook = has_hook});
	gsl_rng_free(lab.rng);
	assert_true(json_is_true(json_object_get(night, "untold")));
	return night;
}

static char *read_scratch(const char *name)
{
	_cleanup_free_ char *path = scratch_path(name);
	char *text = NULL;

	assert_ok(fs_read(path, 1 << 20, &text, NULL));
	return text;
}

static json_t *saved(const json_t *night)
{
	_cleanup_free_ char *name =
		format_string("results/nightly/%s.json", json_text(night, "id"));
	_cleanup_free_ char *text = read_scratch(name);

	return json_loads(text, 0, NULL);
}

/* It says so in the record and the summary, and is told again. */
static void a_night_whose_hook_fails_stays_untold(void **state)
{
	_cleanup_json_ json_t *night = untold_night(true);
	_cleanup_json_ json_t *kept = NULL;
	_cleanup_json_ json_t *later = NULL;
	_cleanup_free_ char *results = scratch_path("results");
	_cleanup_free_ char *again = format_string("cat >%s/mail", scratch);
	_cleanup_free_ char *markdown =
		format_string("results/nightly/%s.md", json_text(night, "id"));
	struct summary_options options = {.results_dir = results};
	bool told;

	(void)state;
	options.hook = "echo no mail here >&2; exit 7";
	assert_fails(summary_write(&options, night, &told), ERROR_SETUP,
		"exit status 7: no mail here; nobody was told");
	kept = saved(night);
	assert_true(json_is_true(json_object_get(kept, "untold")));
	_cleanup_free_ char *summary = read_scratch(markdown);

	assert_non_null(strstr(summary, "the hook failed: exit status 7: no mail here"));
	assert_non_null(strstr(summary, "--resume"));

	options.hook = again;
	assert_ok(summary_write(&options, night, &told));
	assert_true(told);
	later = saved(night);
	assert_null(json_object_get(later, "untold"));
	_cleanup_free_ char *mail = read_scratch("mail");
	_cleanup_free_ char *at_last = read_scratch(markdown);

	assert_non_null(strstr(mail, json_text(night, "id")));
	assert_null(strstr(mail, "the hook failed"));
	assert_null(strstr(at_last, "the hook failed"));
}

static void without_a_hook_none_that_was_to_have_one_is_told(void **state)
{
	_cleanup_free_ char *results = scratch_path("results");
	const struct summary_options options = {.results_dir = results};

	(void)state;
	for (int has_hook = 0; has_hook < 2; has_hook++) {
		_cleanup_json_ json_t *night = untold_night(has_hook);
		bool told;

		assert_ok(summary_write(&options, night, &told));
		assert_int_equal(told, !has_hook);
	}
}

/* A full disk, for one. */
static void people_are_told_where_no_file_can_be_written(void **state)
{
	_cleanup_json_ json_t *night = untold_night(true);
	_cleanup_free_ char *results = scratch_path("results");
	_cleanup_free_ char *no_directory = scratch_path("file");
	_cleanup_free_ char *hook = format_string("cat >%s/mail", scratch);
	const struct summary_options options = {results, no_directory, hook};
	bool told;

	(void)state;
	assert_ok(fs_write_atomic(no_directory, "", 0));
	assert_fails(summary_write(&options, night, &told), ERROR_SETUP, "/file");
	_cleanup_free_ char *mail = read_scratch("mail");

	assert_non_null(strstr(mail, json_text(night, "id")));
}

static void why_there_is_no_night_is_told(void **state)
{
	_cleanup_free_ char *results = scratch_path("results");
	_cleanup_free_ char *hook =
		format_string("{ cat; echo \"$FLEETLAB_NIGHT_STATE $FLEETLAB_NIGHT_EXIT "
			      "$FLEETLAB_NIGHT_HEADLINE\"; } >%s/mail",
			scratch);
	const struct summary_options options = {results, NULL, hook};
	_cleanup_error_ struct error *why =
		error_hint(error_new(ERROR_SETUP, "no room on the disk"), "make room");

	(void)state;
	summary_tell_error(&options, why);
	_cleanup_free_ char *mail = read_scratch("mail");

	assert_string_equal(mail, "# fleetlab nightly\n\n"
				  "**there is no night: no room on the disk**\n\n"
				  "- try: make room\n"
				  "not-started 1 there is no night: no room on the disk\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(a_night_whose_hook_fails_stays_untold),
		scratch_test(without_a_hook_none_that_was_to_have_one_is_told),
		scratch_test(people_are_told_where_no_file_can_be_written),
		scratch_test(why_there_is_no_night_is_told),
	};

	log_set_level(LOG_QUIET);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
