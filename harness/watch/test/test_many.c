/*
 * As many metrics as a night really has, one of which changes: it is told, and no other. SYNTHETIC.
 * `test_many SEEDS` prints how often, for so many seeds.
 */
/* No night is disturbed: each would be a discovery, with which weaker ones pass. */
#define DISTURBED 0
#include "harness/base/test/support.h"
#include "harness/watch/test/nights.h"

#include <stdio.h>

/* What the nightly profile of all mechanisms reads. */
enum { METRICS = 700, CHANGED = 300, BEFORE = 2, SINCE = 13 };

struct outcome {
	size_t judged, suspects, false_alarms, told; /* `told`: alerts of the one */
	size_t delay;				     /* nights until it was told */
};

static void confirm(const struct watch_metric *metric, const struct series *series, size_t night,
	size_t m, struct outcome *outcome)
{
	outcome->suspects++;
	if (watch_confirm(metric->history, metric->count, &series->fresh[night], &watch_defaults,
		    metric->memory, metric->verdict) != WATCH_IS_CONFIRMED)
		return;
	if (m != CHANGED || night < series->begin) {
		outcome->false_alarms++;
		return;
	}
	if (outcome->told++ == 0)
		outcome->delay = night - series->begin;
}

/* The nights around a change of one metric among many; those before are history. */
static struct outcome watch_host(enum change change, unsigned long seed)
{
	static struct series host[METRICS];
	static struct watch_memory memories[METRICS];
	struct watch_verdict verdicts[METRICS];
	struct watch_metric metrics[METRICS];
	struct outcome outcome = {0};
	gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);

	gsl_rng_set(rng, seed);
	memset(memories, 0, sizeof(memories));
	for (size_t m = 0; m < METRICS; m++)
		make_series(rng, NORMAL, m == CHANGED ? change : NO_CHANGE, &host[m]);
	gsl_rng_free(rng);
	for (size_t night = host[CHANGED].begin - BEFORE; night < host[CHANGED].begin + SINCE;
		night++) {
		for (size_t m = 0; m < METRICS; m++)
			metrics[m] = (struct watch_metric){
				host[m].readings, night + 1, &memories[m], &verdicts[m]};
		watch_night(metrics, METRICS, &watch_defaults, WATCH_FALSE_DISCOVERIES);
		for (size_t m = 0; m < METRICS; m++) {
			if (verdicts[m].state == WATCH_SUSPECT)
				confirm(&metrics[m], &host[m], night, m, &outcome);
		}
		outcome.judged += METRICS;
	}
	return outcome;
}

static void one_change_among_many_is_told(void **state)
{
	struct outcome outcome = watch_host(STEP_10, 1);

	(void)state;
	print_message("SYNTHETIC: %d metrics, one changes: told %zu times, after %zu nights; %zu "
		      "false alarms, %zu of %zu readings suspected\n",
		METRICS, outcome.told, outcome.delay, outcome.false_alarms, outcome.suspects,
		outcome.judged);
	assert_int_equal(outcome.told, 1);
	assert_int_equal(outcome.false_alarms, 0);
}

static void print_rates(unsigned long seeds)
{
	for (int change = STEP_5; change <= STEP_LESS_10; change++) {
		struct outcome all = {0};
		size_t found = 0;

		for (unsigned long seed = 1; seed <= seeds; seed++) {
			struct outcome one = watch_host((enum change)change, seed);

			found += one.told > 0;
			all.delay += one.delay;
			all.false_alarms += one.false_alarms;
			all.suspects += one.suspects;
			all.judged += one.judged;
		}
		printf("SYNTHETIC, %s of one in %d: told in %zu of %lu, after %.1f nights (mean); "
		       "%zu false alarms, %zu of %zu readings suspected\n",
			change_names[change], METRICS, found, seeds,
			(double)all.delay / (double)(found ? found : 1), all.false_alarms,
			all.suspects, all.judged);
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_change_among_many_is_told),
	};

	if (argc < 2)
		return cmocka_run_group_tests(tests, NULL, NULL);
	print_rates(strtoul(argv[1], NULL, 10));
	return 0;
}
