/*
 * A hundred nights through the whole of the night's engine, records and all: a step with a new
 * kernel, a way back, and drills. SYNTHETIC readings. Prints how soon what was told, and whether
 * anything was told that is not so.
 */
#include "harness/nightly/test/fake_lab.h"

#include "harness/base/log.h"
#include "harness/record/samples.h"

enum { NIGHTS = 100, STEP = 30, BACK = 55, FIRST_DRILL = 65 };

struct outcome {
	size_t alerts, false_alarms;
	int told, recovered; /* in which night; -1: never */
	double standing;     /* nights */
};

static const json_t *row_of(const json_t *night, const char *variant)
{
	const json_t *row;
	size_t i;

	json_array_foreach (json_object_get(night, "metrics"), i, row) {
		if (strcmp(json_text(row, "variant"), variant) == 0)
			return row;
	}
	return NULL;
}

static const json_t *verdict_of(const json_t *night, const char *variant)
{
	return json_object_get(row_of(night, variant), "verdict");
}

static void count(const json_t *night, int number, struct outcome *outcome)
{
	const json_t *row, *slow = verdict_of(night, "delay");
	size_t i;

	json_array_foreach (json_object_get(night, "metrics"), i, row) {
		const json_t *verdict = json_object_get(row, "verdict");
		bool alert = json_is_true(json_object_get(verdict, "alert"));
		bool true_one = strcmp(json_text(row, "variant"), "delay") == 0 && number >= STEP &&
				number < BACK;

		outcome->alerts += alert;
		outcome->false_alarms += alert && !true_one;
		if (alert && true_one && outcome->told < 0)
			outcome->told = number;
	}
	outcome->standing += strcmp(json_text(slow, "state"), "confirmed") == 0;
	if (strcmp(json_text(slow, "state"), "recovered") == 0)
		outcome->recovered = number;
}

static void check_alert(const json_t *night)
{
	const json_t *verdict = verdict_of(night, "delay");
	const json_t *totals = json_object_get(night, "totals");
	const json_t *fresh = json_object_get(verdict, "confirmation");

	assert_int_equal(json_number(night, "exit_status", -1), NIGHT_REGRESSION);
	assert_int_equal(json_number(totals, "regressions", 0), 1);
	assert_string_equal(json_text(verdict, "direction"), "worse");
	assert_float_equal(json_number(verdict, "effect", 0), 0.2, 0.06);
	assert_string_equal(json_text(fresh, "answer"), "confirmed");
	assert_true(json_number(fresh, "pairs", 0) >= 8);
	/* The kernel was new in the night of the step. */
	assert_non_null(strstr(json_text(json_object_get(verdict, "attribution"), "text"),
		"new kernel (kernel.release: 6.1.0-1 → 6.1.0-2)"));
}

/* What people have been told of is shortened in memory. */
static struct error *tell(void *context, json_t *night, bool *told)
{
	(void)context;
	(void)night;
	(void)told;
	return NULL;
}

static void a_hundred_nights(void **state)
{
	struct outcome outcome = {.told = -1, .recovered = -1};
	_cleanup_json_ json_t *last = NULL;
	struct fake_lab lab;

	(void)state;
	fake_lab_init(&lab, 1);
	for (int i = 0; i < NIGHTS; i++) {
		bool begins_drill = i >= FIRST_DRILL && (i - FIRST_DRILL) % 5 == 0;
		json_t *night;

		lab.slow_delay = i >= STEP && i < BACK ? 1.2 : 1;
		lab.kernel = i >= STEP ? "6.1.0-2" : "6.1.0-1";
		night = fake_night_with(
			&lab, (struct night_options){
				      .force_busy = true, .drill = begins_drill, .tell = tell});
		assert_string_equal(json_text(night, "state"), "complete");
		count(night, i, &outcome);
		if (outcome.told == i)
			check_alert(night);
		json_decref(last);
		last = night;
	}
	const json_t *ledger = json_object_get(last, "ledger");

	printf("SYNTHETIC: %d nights x 3 metrics, a step of 20 %%: told after %d nights, recovered "
	       "%d nights after the way back, %zu false alarms; %.0f drills of 30 %%: %.0f caught, "
	       "median delay %.1f nights, %.0f false alarms over %.0f controls, precision %.2f, "
	       "recall %.2f\n",
		NIGHTS, outcome.told - STEP, outcome.recovered - BACK, outcome.false_alarms,
		json_number(ledger, "drills", 0), json_number(ledger, "caught", 0),
		json_number(ledger, "delay_median", NAN), json_number(ledger, "false_alarms", 0),
		json_number(ledger, "controls", 0), json_number(ledger, "precision", NAN),
		json_number(ledger, "recall", NAN));
	assert_in_range(outcome.told, STEP, STEP + 2);
	assert_int_equal(outcome.alerts, 1); /* told once */
	assert_int_equal(outcome.false_alarms, 0);
	assert_in_range(outcome.recovered, BACK + 2, BACK + 4);
	assert_true(outcome.standing >= BACK - outcome.told);
	assert_int_equal(json_number(ledger, "drills", 0), (NIGHTS - FIRST_DRILL) / 5);
	assert_true(json_number(ledger, "recall", 0) == 1);
	assert_true(json_number(ledger, "precision", 0) == 1);
	assert_int_equal(json_number(ledger, "delay_median", -1), 1);
	gsl_rng_free(lab.rng);
}

int main(void)
{
	const struct CMUnitTest tests[] = {scratch_test(a_hundred_nights)};

	log_set_level(LOG_QUIET);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
