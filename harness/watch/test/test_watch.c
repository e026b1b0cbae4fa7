/* One metric night by night: each state, and what leads to it. */
#include "harness/base/test/support.h"
#include "harness/base/cleanup.h"
#include "harness/watch/watch.h"

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <math.h>

enum { MOST = 840 };

struct history {
	struct watch_reading readings[MOST];
	size_t count;
	struct watch_memory memory;
	struct watch_verdict verdict;
	gsl_rng *rng;
};

static void history_deinit(struct history *history)
{
	gsl_rng_free(history->rng);
}

#define HISTORY(name, seed)                                                                        \
	_cleanup_(history_deinit) struct history name = {.rng = gsl_rng_alloc(gsl_rng_mt19937)};   \
	gsl_rng_set((name).rng, seed)

static struct watch_options options(void)
{
	struct watch_options made = watch_defaults;

	made.change.permutations = 1999;
	return made;
}

/* One night more: a reading of `value` with 1 % of noise, an A/A arm with 1 %. */
static void add_night(struct history *history, double value)
{
	const struct watch_options limits = options();

	history->readings[history->count] = (struct watch_reading){
		.night = 20000 + (int64_t)history->count,
		.value = value * exp(gsl_ran_gaussian(history->rng, 0.01)),
		.aa = exp(gsl_ran_gaussian(history->rng, 0.01)),
	};
	history->count++;
	watch_judge(
		history->readings, history->count, &limits, &history->memory, &history->verdict);
}

static void add_nights(struct history *history, size_t nights, double value)
{
	for (size_t i = 0; i < nights; i++)
		add_night(history, value);
}

static enum watch_confirmation confirm(struct history *history, double value, double aa)
{
	const struct watch_options limits = options();
	const struct watch_fresh fresh = {value, {value * 0.98, value * 1.02, 0.95}, aa};

	return watch_confirm(history->readings, history->count, &fresh, &limits, &history->memory,
		&history->verdict);
}

/* Nights at a level until a suspect is confirmed; returns how many it took, 0 for never. */
static size_t nights_until_confirmed(struct history *history, double value, size_t most)
{
	for (size_t i = 1; i <= most; i++) {
		add_night(history, value);
		if (history->verdict.state == WATCH_SUSPECT &&
			confirm(history, value, 1) == WATCH_IS_CONFIRMED)
			return i;
	}
	return 0;
}

static void ten_nights_are_learning(void **state)
{
	HISTORY(history, 1);

	(void)state;
	for (size_t i = 0; i < 10; i++) {
		add_night(&history, i == 7 ? 5 : 1);
		assert_int_equal(history.verdict.state, WATCH_LEARNING);
		assert_int_equal(history.verdict.nights, i);
		assert_true(isnan(history.verdict.p_value));
	}
	add_night(&history, 1);
	assert_int_equal(history.verdict.state, WATCH_QUIET);
	assert_int_equal(history.verdict.nights, 10);
	assert_true(fabs(history.verdict.baseline - 1) < 0.02);
}

static void a_large_step_is_told_in_its_second_night(void **state)
{
	HISTORY(history, 2);

	(void)state;
	add_nights(&history, 30, 1);
	add_night(&history, 1.3);
	assert_int_equal(history.verdict.state, WATCH_SUSPECT);
	assert_int_equal(history.verdict.kind, WATCH_TONIGHT);
	assert_true(fabs(history.verdict.effect - 0.3) < 0.05);
	assert_int_equal(confirm(&history, 1.3, 1), WATCH_IS_OPEN);
	assert_int_equal(history.verdict.state, WATCH_SUSPECT);
	add_night(&history, 1.3);
	assert_int_equal(confirm(&history, 1.3, 1), WATCH_IS_CONFIRMED);
	assert_int_equal(history.verdict.state, WATCH_CONFIRMED);
	assert_int_equal(history.verdict.index, 30);
	assert_int_equal(history.memory.changed_night, 20030);
	/* Told once: from now on it stands. */
	add_night(&history, 1.3);
	assert_int_equal(history.verdict.state, WATCH_CONFIRMED);
	assert_true(history.verdict.standing);
}

/* A night that is wild in its fresh trials too, and over by the next one. */
static void one_wild_night_is_not_told(void **state)
{
	HISTORY(history, 3);

	(void)state;
	add_nights(&history, 30, 1);
	add_night(&history, 1.4);
	assert_int_equal(confirm(&history, 1.4, 1), WATCH_IS_OPEN);
	add_night(&history, 1);
	assert_int_equal(history.verdict.state, WATCH_QUIET);
	assert_int_equal(history.memory.pending, 0);
	add_night(&history, 1.4);
	assert_int_equal(confirm(&history, 1.4, 1), WATCH_IS_OPEN);
}

static void a_small_step_is_a_change_point(void **state)
{
	HISTORY(history, 4);
	size_t nights;

	(void)state;
	add_nights(&history, 40, 1);
	nights = nights_until_confirmed(&history, 1.06, 20);
	assert_true(nights >= 2 && nights <= 12);
	assert_int_equal(history.verdict.kind, WATCH_CHANGE);
	assert_true(labs((long)history.verdict.index - 40) <= 1);
	assert_int_equal(history.memory.changed_night, 20000 + history.verdict.index);
	assert_true(history.verdict.within.low > 0);
	assert_false(interval_excludes(history.verdict.within, 0.06));
}

static void fresh_trials_dismiss(void **state)
{
	HISTORY(history, 5);

	(void)state;
	add_nights(&history, 30, 1);
	add_night(&history, 1.3);
	assert_int_equal(history.verdict.state, WATCH_SUSPECT);
	assert_int_equal(confirm(&history, 1.01, 1), WATCH_IS_DISMISSED);
	assert_int_equal(history.verdict.state, WATCH_QUIET);
	assert_false(history.memory.changed);
}

/* Fresh trials that say little or cannot be believed decide nothing. */
static void fresh_trials_leave_it_open(void **state)
{
	const struct watch_options limits = options();
	const struct watch_fresh wide = {1.3, {0.9, 1.6, 0.95}, 1};
	const struct watch_fresh none = {NAN, {-INFINITY, INFINITY, 0.95}, NAN};
	HISTORY(history, 6);

	(void)state;
	add_nights(&history, 30, 1);
	add_nights(&history, 1, 1.3);
	assert_int_equal(confirm(&history, 1.3, 1.5), WATCH_IS_OPEN);
	assert_int_equal(watch_confirm(history.readings, history.count, &wide, &limits,
				 &history.memory, &history.verdict),
		WATCH_IS_OPEN);
	assert_int_equal(watch_confirm(history.readings, history.count, &none, &limits,
				 &history.memory, &history.verdict),
		WATCH_IS_OPEN);
	assert_int_equal(history.memory.pending, 0);
	/* Nothing is suspected: there is nothing to confirm. */
	add_night(&history, 1);
	assert_int_equal(confirm(&history, 1.3, 1), WATCH_IS_OPEN);
	assert_int_equal(history.verdict.state, WATCH_QUIET);
}

/* A refuted change point is not suspected every night from then on, but again with more nights. */
static void a_dismissed_change_rests(void **state)
{
	HISTORY(history, 7);
	size_t suspected = 0;

	(void)state;
	add_nights(&history, 40, 1);
	for (size_t i = 0; i < 20; i++) {
		add_night(&history, 1.06);
		if (history.verdict.state != WATCH_SUSPECT)
			continue;
		suspected++;
		assert_int_equal(confirm(&history, 1, 1), WATCH_IS_DISMISSED);
	}
	assert_true(suspected >= 1 && suspected <= 2);
}

static void recovery_takes_three_nights_and_restores_the_baseline(void **state)
{
	HISTORY(history, 8);

	(void)state;
	add_nights(&history, 30, 1);
	assert_int_equal(nights_until_confirmed(&history, 1.3, 5), 2);
	add_nights(&history, 15, 1.3);
	assert_int_equal(history.verdict.state, WATCH_CONFIRMED);
	add_nights(&history, 2, 1);
	assert_int_equal(history.verdict.state, WATCH_CONFIRMED);
	while (history.verdict.state == WATCH_CONFIRMED && history.count < 56)
		add_night(&history, 1);
	assert_int_equal(history.verdict.state, WATCH_RECOVERED);
	add_night(&history, 1);
	assert_int_equal(history.verdict.state, WATCH_QUIET);
	assert_true(history.verdict.nights > 30 && history.verdict.nights < 45);
	assert_true(fabs(history.verdict.baseline - 1) < 0.01);
	/* And the same again is noticed as soon as the first time. */
	assert_int_equal(nights_until_confirmed(&history, 1.3, 5), 2);
}

/* The new level is a baseline of its own: what comes on top of it is seen. */
static void a_second_change_is_seen(void **state)
{
	HISTORY(history, 9);

	(void)state;
	add_nights(&history, 30, 1);
	assert_int_equal(nights_until_confirmed(&history, 1.3, 5), 2);
	add_nights(&history, 12, 1.3);
	assert_int_equal(nights_until_confirmed(&history, 1.7, 5), 2);
	assert_true(fabs(history.verdict.baseline - 1.3) < 0.05);
}

/* Nights at each level in turn, fresh trials being at that level too. Counts what is told. */
static size_t alerts_at(struct history *history, size_t nights, double value)
{
	size_t told = 0;

	for (size_t i = 0; i < nights; i++) {
		add_night(history, value);
		told += history->verdict.state == WATCH_SUSPECT &&
			confirm(history, value, 1) == WATCH_IS_CONFIRMED;
	}
	return told;
}

/* A change on top of another, which then goes away: what was told of the first is not told again,
 * and what comes later still is. */
static void a_second_change_then_back(void **state)
{
	HISTORY(history, 15);

	(void)state;
	assert_int_equal(alerts_at(&history, 15, 1), 0);
	assert_int_equal(alerts_at(&history, 15, 1.3), 1);
	assert_int_equal(alerts_at(&history, 12, 1.7), 1);
	assert_int_equal(alerts_at(&history, 3, 1.3), 0);
	assert_int_equal(history.verdict.state, WATCH_RECOVERED);
	assert_int_equal(alerts_at(&history, 20, 1.3), 0);
	assert_int_equal(history.verdict.state, WATCH_QUIET);
	assert_true(fabs(history.verdict.baseline - 1.3) < 0.02);
	assert_int_equal(alerts_at(&history, 12, 1.7), 1);
	assert_int_equal(alerts_at(&history, 12, 1), 1);
}

/* Two changes, each over before the next: the first is not told again after the second. */
static void what_is_over_is_not_told_again(void **state)
{
	HISTORY(history, 16);

	(void)state;
	assert_int_equal(alerts_at(&history, 15, 1), 0);
	for (size_t i = 0; i < 2 * WATCH_LEFT_OUT; i++) {
		assert_int_equal(alerts_at(&history, 12, 1.3), 1);
		assert_int_equal(alerts_at(&history, 12, 1), 0);
		assert_int_equal(history.verdict.state, WATCH_QUIET);
		assert_true(fabs(history.verdict.baseline - 1) < 0.02);
	}
}

/* The other mode of a history with two is nothing new. */
static void the_second_mode_is_nothing_new(void **state)
{
	HISTORY(history, 10);

	(void)state;
	for (size_t i = 0; i < 60; i++) {
		add_night(&history, i % 3 == 1 ? 1.2 : 1);
		if (i > 20)
			assert_int_equal(history.verdict.state, WATCH_QUIET);
	}
}

/* What the variant against itself reads on this host is no change. */
static void the_noise_floor_is_respected(void **state)
{
	const struct watch_options limits = options();
	HISTORY(history, 11);

	(void)state;
	add_nights(&history, 30, 1);
	history.readings[29].value = 1.12;
	watch_judge(history.readings, 30, &limits, &history.memory, &history.verdict);
	assert_int_equal(history.verdict.state, WATCH_SUSPECT);
	assert_true(history.verdict.floor > 0.01 && history.verdict.floor < 0.04);
	for (size_t i = 0; i < 30; i++)
		history.readings[i].aa = i % 2 ? 1.2 : 1 / 1.2;
	watch_judge(history.readings, 30, &limits, &history.memory, &history.verdict);
	assert_int_equal(history.verdict.state, WATCH_QUIET);
	assert_true(fabs(history.verdict.floor - log(1.2)) < 1e-9);
}

static void a_night_with_a_wild_control_accuses_nobody(void **state)
{
	const struct watch_options limits = options();
	HISTORY(history, 12);

	(void)state;
	add_nights(&history, 30, 1);
	add_night(&history, 1.3);
	assert_int_equal(history.verdict.state, WATCH_SUSPECT);
	history.readings[30].aa = 1.2;
	watch_judge(history.readings, 31, &limits, &history.memory, &history.verdict);
	assert_int_equal(history.verdict.state, WATCH_QUIET);
	assert_non_null(strstr(history.verdict.reason, "A/A"));
}

static void what_is_not_measured_is_not_judged(void **state)
{
	static const double bad[] = {0, -1, INFINITY};
	const struct watch_options limits = options();
	HISTORY(history, 13);

	(void)state;
	watch_judge(NULL, 0, &limits, &history.memory, &history.verdict);
	assert_int_equal(history.verdict.state, WATCH_QUIET);
	assert_true(isnan(history.verdict.p_value));
	for (size_t i = 0; i < 30; i++) {
		add_night(&history, 1);
		if (i % 3 == 0)
			history.readings[i].value = bad[i / 3 % 3];
	}
	add_night(&history, NAN);
	assert_int_equal(history.verdict.state, WATCH_QUIET);
	assert_string_equal(history.verdict.reason, "not measured tonight");
	add_night(&history, 1);
	assert_int_equal(history.verdict.nights, 20);
}

/* Readings without any noise (a counter): the first other one stands apart. */
static void a_constant_history(void **state)
{
	const struct watch_options limits = options();
	HISTORY(history, 14);

	(void)state;
	for (size_t i = 0; i < 20; i++)
		history.readings[i] = (struct watch_reading){(int64_t)i, 42, NAN};
	watch_judge(history.readings, 20, &limits, &history.memory, &history.verdict);
	assert_int_equal(history.verdict.state, WATCH_QUIET);
	assert_true(history.verdict.floor == 0);
	history.readings[19].value = 50;
	watch_judge(history.readings, 20, &limits, &history.memory, &history.verdict);
	assert_int_equal(history.verdict.state, WATCH_SUSPECT);
}

/* Of 40 metrics one has p = 0.004, which alone would do; another's 0.0001 is a discovery. */
static void many_metrics_need_stronger_evidence(void **state)
{
	struct watch_verdict verdicts[40], *pointers[40];

	(void)state;
	for (size_t i = 0; i < 40; i++) {
		verdicts[i] = (struct watch_verdict){
			.state = WATCH_QUIET, .p_value = 0.1 + 0.02 * (double)i};
		pointers[i] = &verdicts[i];
	}
	verdicts[3].p_value = 0.004;
	verdicts[3].state = WATCH_SUSPECT;
	verdicts[3].standing = true;
	verdicts[5].p_value = 0.0001;
	verdicts[5].state = WATCH_SUSPECT;
	verdicts[9].p_value = NAN;
	assert_int_equal(watch_select(pointers, 40, WATCH_FALSE_DISCOVERIES), 1);
	assert_int_equal(verdicts[5].state, WATCH_SUSPECT);
	assert_int_equal(verdicts[3].state, WATCH_CONFIRMED);
	verdicts[3].state = WATCH_SUSPECT;
	assert_int_equal(watch_select(&pointers[3], 1, WATCH_FALSE_DISCOVERIES), 1);
	assert_string_equal(watch_state_name(WATCH_RECOVERED), "recovered");
}

/* Of more changes than are remembered the oldest is forgotten; the level that has begun since is
 * not. */
static void a_forgotten_change_does_not_bring_back_old_nights(void **state)
{
	HISTORY(history, 3);
	struct watch_memory *memory = &history.memory;

	(void)state;
	add_nights(&history, 30, 1);
	*memory = (struct watch_memory){.changed = true,
		.level_night = 20015,
		.changed_night = 20029,
		.before = 1,
		.after = 1.5,
		.usual = {0.95, 1.05, 0.9},
		.left_out_count = WATCH_LEFT_OUT};
	for (int i = 0; i < WATCH_LEFT_OUT; i++)
		memory->left_out[i] = (struct watch_nights){19000 + 10 * i, 19004 + 10 * i};
	add_nights(&history, 3, 1);
	assert_int_equal(history.verdict.state, WATCH_RECOVERED);
	assert_int_equal(memory->left_out[0].from, 19010);
	assert_int_equal(memory->level_night, 20015);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ten_nights_are_learning),
		cmocka_unit_test(a_large_step_is_told_in_its_second_night),
		cmocka_unit_test(one_wild_night_is_not_told),
		cmocka_unit_test(a_small_step_is_a_change_point),
		cmocka_unit_test(fresh_trials_dismiss),
		cmocka_unit_test(fresh_trials_leave_it_open),
		cmocka_unit_test(a_dismissed_change_rests),
		cmocka_unit_test(recovery_takes_three_nights_and_restores_the_baseline),
		cmocka_unit_test(a_second_change_is_seen),
		cmocka_unit_test(a_second_change_then_back),
		cmocka_unit_test(what_is_over_is_not_told_again),
		cmocka_unit_test(the_second_mode_is_nothing_new),
		cmocka_unit_test(the_noise_floor_is_respected),
		cmocka_unit_test(a_night_with_a_wild_control_accuses_nobody),
		cmocka_unit_test(what_is_not_measured_is_not_judged),
		cmocka_unit_test(a_constant_history),
		cmocka_unit_test(many_metrics_need_stronger_evidence),
		cmocka_unit_test(a_forgotten_change_does_not_bring_back_old_nights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
