/* Drills: what they find, miss, or can say nothing of, and that they leave nothing behind in what
 * is real. SYNTHETIC readings. */
#include "harness/nightly/test/stored_nights.h"

#include "harness/base/log.h"
#include "harness/host/use.h"
#include "harness/nightly/judge.h"
#include "harness/nightly/night_internal.h"

#include <sys/stat.h>

static void a_drill_leaves_nothing_behind(void **state)
{
	_cleanup_(night_list_deinit) struct night_list list = {0};
	_cleanup_json_ json_t *first = NULL;
	_cleanup_json_ json_t *second = NULL;
	struct fake_lab lab;

	(void)state;
	fake_lab_init(&lab, 3);
	spend_nights(&lab, LEARNED);
	first = fake_night_with(
		&lab, (struct night_options){.force_busy = true, .drill = true, .slowdown = 1.5});
	second = fake_night(&lab); /* it goes on by itself */
	const json_t *drill = json_object_get(second, "drill");
	const json_t *slowed = row_of(json_object_get(drill, "metrics"), "delay");
	const json_t *real = row_of(json_object_get(second, "metrics"), "delay");

	assert_string_equal(json_text(json_object_get(first, "drill"), "state"), "open");
	assert_string_equal(json_text(drill, "state"), "caught");
	assert_string_equal(json_text(drill, "variant"), "delay");
	assert_int_equal(json_number(drill, "delay_nights", -1), 1);
	assert_int_equal(json_number(drill, "controls", 0), 2);
	assert_true(json_number(slowed, "value", 0) > 1.3 * json_number(real, "value", 0));
	/* What is real is quiet, and so is what the next night is compared with. */
	assert_string_equal(json_text(json_object_get(real, "verdict"), "state"), "quiet");
	assert_int_equal(json_number(second, "exit_status", -1), NIGHT_QUIET);
	_cleanup_free_ char *key = judge_memory_key(real);
	const json_t *memory = json_object_get(json_object_get(second, "memory"), key);

	assert_non_null(memory);
	assert_null(json_object_get(memory, "changed"));
	/* Its records are apart, and say what they are. */
	_cleanup_free_ char *path = format_string(
		"%s/results/%s", scratch, json_text(run_of(second, "drill"), "record"));
	_cleanup_record_ struct record *record = NULL;

	assert_non_null(strstr(path, "/nightly/drills/runs/"));
	assert_ok(record_load(path, &record));
	assert_true(json_is_true(json_object_get(json_object_get(record->json, "plan"), "drill")));
	assert_int_equal(json_array_size(json_object_get(record->json, "claims")), 0);
	load_nights(&list);
	assert_int_equal(list.count, LEARNED + 2);
	gsl_rng_free(lab.rng);
}

static void a_drill_waits_for_enough_nights(void **state)
{
	_cleanup_json_ json_t *night = NULL;
	struct fake_lab lab;

	(void)state;
	fake_lab_init(&lab, 1);
	night = fake_night_with(&lab, (struct night_options){.force_busy = true, .drill = true});
	assert_string_equal(json_text(json_object_get(night, "drill"), "state"), "skipped");
	assert_non_null(strstr(json_text(json_object_get(night, "drill"), "reason"), "nights"));
	assert_int_equal(lab.drill_runs, 0);
	assert_int_equal(json_number(json_object_get(night, "ledger"), "drills", -1), 0);
	gsl_rng_free(lab.rng);
}

/* A slowdown of 1 % is less than what matters: after ten nights it is missed, and no more is asked.
 */
static void what_is_not_found_is_missed(void **state)
{
	_cleanup_json_ json_t *night = NULL;
	struct fake_lab lab;

	(void)state;
	fake_lab_init(&lab, 5);
	spend_nights(&lab, LEARNED);
	json_decref(fake_night_with(
		&lab, (struct night_options){.force_busy = true, .drill = true, .slowdown = 1.01}));
	spend_nights(&lab, 8);
	night = fake_night(&lab);
	assert_string_equal(json_text(json_object_get(night, "drill"), "state"), "missed");
	assert_true(json_number(json_object_get(night, "ledger"), "recall", -1) == 0);
	json_decref(night);
	night = fake_night(&lab);
	assert_true(json_is_null(json_object_get(night, "drill")));
	gsl_rng_free(lab.rng);
}

/* The mechanism did not do what the drill wanted to be found: that says nothing of the watch. */
static void a_drill_that_slowed_nothing_is_void(void **state)
{
	_cleanup_json_ json_t *night = NULL;
	struct fake_lab lab;

	(void)state;
	fake_lab_init(&lab, 5);
	spend_nights(&lab, LEARNED);
	json_decref(fake_night_with(
		&lab, (struct night_options){.force_busy = true, .drill = true, .slowdown = 1.5}));
	lab.slowed_outcome = "invalid";
	night = fake_night(&lab);
	const json_t *drill = json_object_get(night, "drill");
	const json_t *ledger = json_object_get(night, "ledger");

	assert_string_equal(json_text(drill, "state"), "void");
	assert_non_null(strstr(json_text(drill, "reason"), "invalid, SYNTHETIC reason"));
	assert_int_equal(json_number(ledger, "drills", -1), 1);
	assert_int_equal(json_number(ledger, "void", -1), 1);
	assert_int_equal(json_number(ledger, "open", -1), 0);
	assert_int_equal(json_number(ledger, "missed", -1), 0);
	json_decref(night);
	night = fake_night(&lab);
	assert_true(json_is_null(json_object_get(night, "drill")));
	gsl_rng_free(lab.rng);
}

/* The guests were braked, and what is read does not show it: it is too short. */
static void a_drill_that_does_not_reach_what_is_read_is_void(void **state)
{
	_cleanup_json_ json_t *night = NULL;
	struct fake_lab lab;

	(void)state;
	fake_lab_init(&lab, 5);
	spend_nights(&lab, LEARNED);
	lab.drill_effect = 1;
	night = fake_night_with(
		&lab, (struct night_options){.force_busy = true, .drill = true, .slowdown = 1.5});
	const json_t *drill = json_object_get(night, "drill");

	assert_string_equal(json_text(drill, "state"), "void");
	assert_non_null(strstr(json_text(drill, "reason"), "not 1.5"));
	assert_null(run_of(night, "drill-confirm"));
	assert_int_equal(json_number(json_object_get(night, "ledger"), "void", -1), 1);
	gsl_rng_free(lab.rng);
}

static struct error *no_aa_in_drills(const struct run_options *options)
{
	return options->plan.aa && strstr(options->results_dir, "/drills")
		       ? error_new(ERROR_SETUP, "no room on the disk")
		       : NULL;
}

static void what_a_note_says_of_a_drill_is_marked(void **state)
{
	_cleanup_json_ json_t *night = NULL;
	struct fake_lab lab;

	(void)state;
	fake_lab_init(&lab, 3);
	spend_nights(&lab, LEARNED);
	lab.refuse = no_aa_in_drills;
	night = fake_night_with(
		&lab, (struct night_options){.force_busy = true, .drill = true, .slowdown = 1.5});
	const json_t *notes = json_object_get(night, "notes");

	assert_int_equal(json_array_size(notes), 1);
	const char *note = json_string_value(json_array_get(notes, 0));

	assert_non_null(strstr(note, "have no A/A beside them"));
	assert_int_equal(strncmp(note, "DRILL: ", 7), 0);
	gsl_rng_free(lab.rng);
}

/* What has really changed is told as such, and is no false alarm of the drill's. */
static void a_control_that_really_changes_is_no_false_alarm(void **state)
{
	_cleanup_json_ json_t *night = NULL;
	struct fake_lab lab;

	(void)state;
	fake_lab_init(&lab, 3);
	spend_nights(&lab, LEARNED);
	lab.slow_control = 1.5;
	json_decref(fake_night_with(&lab, (struct night_options){.force_busy = true,
						  .drill = true,
						  .drill_target = "null/effect/delay",
						  .slowdown = 1.5}));
	night = fake_night(&lab);
	const json_t *drill = json_object_get(night, "drill");
	const json_t *real = row_of(json_object_get(night, "metrics"), "none-again");
	const json_t *control = row_of(json_object_get(drill, "metrics"), "none-again");

	assert_true(json_is_true(json_object_get(json_object_get(real, "verdict"), "alert")));
	assert_true(json_is_true(json_object_get(json_object_get(control, "verdict"), "alert")));
	assert_string_equal(json_text(drill, "state"), "caught");
	assert_string_equal(json_text(drill, "caught_by"), "null effect delay time");
	assert_int_equal(json_array_size(json_object_get(drill, "false_alarms")), 0);
	assert_int_equal(json_number(drill, "controls", -1), 1);
	gsl_rng_free(lab.rng);
}

/* … and neither is one that the night after tells as real. */
static void false_alarms_are_withdrawn(void **state)
{
	json_t *nights[] = {json_pack("{s:s, s:{s:s, s:i, s:s, s:i, s:[s]}}", "id", "N1", "drill",
		"id", "N1", "night", 0, "state", "open", "controls", 2, "false_alarms", "x")};
	const struct night_list before = {.nights = nights, .count = 1};

	(void)state;
	for (int real = 0; real < 2; real++) {
		_cleanup_json_ json_t *tonight =
			json_pack("{s:s, s:[{s:s, s:{s:b, s:s}}]}", "id", "N2", "metrics", "name",
				"x", "verdict", "alert", 1, "since", real ? "N1" : "N2");
		_cleanup_json_ json_t *ledger = night_ledger(&before, tonight);

		assert_int_equal(json_number(ledger, "false_alarms", -1), !real);
	}
	json_decref(nights[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(a_drill_leaves_nothing_behind),
		scratch_test(a_drill_waits_for_enough_nights),
		scratch_test(what_is_not_found_is_missed),
		scratch_test(a_drill_that_slowed_nothing_is_void),
		scratch_test(a_drill_that_does_not_reach_what_is_read_is_void),
		scratch_test(what_a_note_says_of_a_drill_is_marked),
		scratch_test(a_control_that_really_changes_is_no_false_alarm),
		cmocka_unit_test(false_alarms_are_withdrawn),
	};

	log_set_level(LOG_QUIET);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
