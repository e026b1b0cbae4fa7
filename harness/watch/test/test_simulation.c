/*
 * A hundred synthetic nights, many times: how soon are changes seen, how many, and how many alarms
 * are false? The watch, with and without what makes it careful, beside two plain ways. Prints the
 * tables; `test_simulation N [SEED]` does so with N hosts of eight metrics for each kind of noise.
 */
#include "harness/base/test/support.h"
#include "harness/base/cleanup.h"
#include "harness/watch/test/nights.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_statistics_double.h>
#include <stdio.h>

enum { METRICS = 8, PLAIN_WINDOW = 10, IN_TIME = 40 };

/* Of a host's metrics three do not change. */
static const enum change changes[METRICS] = {
	NO_CHANGE, NO_CHANGE, NO_CHANGE, STEP_5, STEP_10, STEP_20, STEP_LESS_10, DRIFT};

enum detector {
	WATCH,
	WATCH_AT_ONCE,	   /* large changes are told in their first night */
	WATCH_UNCONFIRMED, /* every suspect is believed */
	CHANGE_POINTS,	   /* without looking at tonight, and believed */
	THRESHOLD,	   /* 10 % off the median of the last ten nights */
	THRESHOLD_FRESH,   /* and fresh trials see it too */
	T_TEST,		   /* Student, the last ten nights against the ten before, 1 % */
	DETECTORS
};

static const char *const detector_names[] = {"watch", "  told at once", "  without fresh trials",
	"  change points alone", "threshold of 10 %", "  with fresh trials",
	"t-test of two windows"};

struct account {
	size_t series, caught, delays[NIGHTS * 64], false_alarms, nights, trials;
};

struct totals {
	struct account of[CHANGES], all;
};

static struct watch_options options_of(enum detector detector)
{
	struct watch_options made = watch_defaults;

	made.change.permutations = 1999; /* enough for eight metrics */
	if (detector != WATCH)
		made.nights_in_a_row = 1;
	return made;
}

/* ---- detectors: the sign of tonight's alarm for each metric, 0 for none ---- */

static void watch_alarms(const struct series *host, size_t night, enum detector detector,
	struct watch_memory *memories, int *alarms, size_t *trials)
{
	const struct watch_options options = options_of(detector);
	struct watch_verdict verdicts[METRICS];
	struct watch_metric metrics[METRICS];

	for (size_t m = 0; m < METRICS; m++)
		metrics[m] = (struct watch_metric){
			host[m].readings, night + 1, &memories[m], &verdicts[m]};
	watch_night(metrics, METRICS, &options, WATCH_FALSE_DISCOVERIES);
	for (size_t m = 0; m < METRICS; m++) {
		struct watch_fresh fresh = host[m].fresh[night];
		struct watch_verdict *verdict = &verdicts[m];

		alarms[m] = 0;
		if (verdict->state != WATCH_SUSPECT ||
			(detector == CHANGE_POINTS && verdict->kind == WATCH_TONIGHT))
			continue;
		++*trials;
		if (detector > WATCH_AT_ONCE) /* fresh trials that see just what was suspected */
			fresh = (struct watch_fresh){
				verdict->after, {verdict->after, verdict->after, 0.95}, NAN};
		if (watch_confirm(host[m].readings, night + 1, &fresh, &options, &memories[m],
			    verdict) == WATCH_IS_CONFIRMED)
			alarms[m] = verdict->effect > 0 ? 1 : -1;
	}
}

/* The last `count` measured values before night `end`, latest first, as logarithms. */
static size_t last_values(const struct series *series, size_t end, size_t count, double *values)
{
	size_t n = 0;

	for (size_t i = end; i-- > 0 && n < count;) {
		if (isfinite(series->readings[i].value))
			values[n++] = log(series->readings[i].value);
	}
	return n;
}

static int beyond_threshold(double value, double median)
{
	double ratio = value / median;

	return ratio > 1.1 ? 1 : ratio < 0.9 ? -1 : 0;
}

static int threshold_alarm(const struct series *series, size_t night, bool fresh, size_t *trials)
{
	double values[PLAIN_WINDOW], median;
	int alarm;

	if (!isfinite(series->readings[night].value) ||
		last_values(series, night, PLAIN_WINDOW, values) < PLAIN_WINDOW)
		return 0;
	median = exp(stats_median(values, PLAIN_WINDOW));
	alarm = beyond_threshold(series->readings[night].value, median);
	if (!alarm || !fresh)
		return alarm;
	++*trials;
	return beyond_threshold(series->fresh[night].value, median) == alarm ? alarm : 0;
}

static int t_test_alarm(const struct series *series, size_t night)
{
	double values[2 * PLAIN_WINDOW], t;

	if (!isfinite(series->readings[night].value) ||
		last_values(series, night + 1, 2 * PLAIN_WINDOW, values) < 2 * PLAIN_WINDOW)
		return 0;
	t = gsl_stats_ttest(values, 1, PLAIN_WINDOW, values + PLAIN_WINDOW, 1, PLAIN_WINDOW);
	if (2 * gsl_cdf_tdist_Q(fabs(t), 2 * PLAIN_WINDOW - 2) > 0.01)
		return 0;
	return t > 0 ? 1 : -1;
}

/* ---- counting ---- */

/* The plain ones say the same for some nights: only the first of ten counts. */
static bool is_repeat(size_t *last, size_t night)
{
	bool repeat = *last && night < *last + PLAIN_WINDOW;

	if (!repeat)
		*last = night;
	return repeat;
}

static void count_alarm(
	const struct series *series, size_t night, int alarm, bool *caught, struct account *account)
{
	bool up = series->change != STEP_LESS_10;

	if (night < series->begin || (alarm > 0) != up) {
		account->false_alarms++;
	} else if (!*caught && night < series->begin + IN_TIME) {
		*caught = true;
		account->delays[account->caught++] = night - series->begin;
	}
}

static void run_host(const struct series *host, enum detector detector, struct totals *totals)
{
	struct watch_memory memories[METRICS] = {0};
	size_t last[METRICS] = {0};
	bool caught[METRICS] = {false};

	for (size_t night = 0; night < NIGHTS; night++) {
		int alarms[METRICS];

		if (detector <= CHANGE_POINTS)
			watch_alarms(host, night, detector, memories, alarms, &totals->all.trials);
		for (size_t m = 0; m < METRICS; m++) {
			if (detector == T_TEST)
				alarms[m] = t_test_alarm(&host[m], night);
			else if (detector >= THRESHOLD)
				alarms[m] = threshold_alarm(&host[m], night,
					detector == THRESHOLD_FRESH, &totals->all.trials);
			if (!alarms[m] || (detector >= THRESHOLD && is_repeat(&last[m], night)))
				continue;
			count_alarm(&host[m], night, alarms[m], &caught[m],
				&totals->of[host[m].change]);
		}
	}
	for (size_t m = 0; m < METRICS; m++)
		totals->of[host[m].change].series++;
}

static void add_up(struct totals *totals)
{
	totals->all.series = totals->all.caught = totals->all.false_alarms = 0;
	for (int c = 0; c < CHANGES; c++) {
		totals->all.series += totals->of[c].series;
		totals->all.caught += totals->of[c].caught;
		totals->all.false_alarms += totals->of[c].false_alarms;
	}
}

static double precision(const struct totals *totals)
{
	size_t alarms = totals->all.caught + totals->all.false_alarms;

	return alarms ? (double)totals->all.caught / (double)alarms : 1;
}

static double recall(const struct totals *totals, enum change change)
{
	return (double)totals->of[change].caught / (double)totals->of[change].series;
}

static double recall_of_steps(const struct totals *totals)
{
	return (recall(totals, STEP_5) + recall(totals, STEP_10) + recall(totals, STEP_20) +
		       recall(totals, STEP_LESS_10)) /
	       4;
}

static double median_delay(const struct account *account)
{
	double values[ARRAY_SIZE(account->delays)];

	for (size_t i = 0; i < account->caught; i++)
		values[i] = (double)account->delays[i];
	return stats_median(values, account->caught);
}

static void simulate(enum noise noise, size_t hosts, unsigned long seed, struct totals *totals)
{
	gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
	static struct series host[METRICS];

	gsl_rng_set(rng, seed);
	memset(totals, 0, DETECTORS * sizeof(*totals));
	for (size_t h = 0; h < hosts; h++) {
		for (size_t m = 0; m < METRICS; m++)
			make_series(rng, noise, changes[m], &host[m]);
		for (int d = 0; d < DETECTORS; d++)
			run_host(host, (enum detector)d, &totals[d]);
	}
	for (int d = 0; d < DETECTORS; d++)
		add_up(&totals[d]);
	gsl_rng_free(rng);
}

static void print_table(enum noise noise, size_t hosts, const struct totals *totals)
{
	printf("\nSYNTHETIC, noise with %s: %zu hosts x %d metrics x %d nights\n"
	       "%-24s %9s %10s %10s  recall (median delay in nights)\n%-57s",
		noise_names[noise], hosts, METRICS, NIGHTS, "", "precision", "false/1000", "trials",
		"");
	for (int c = STEP_5; c < CHANGES; c++)
		printf(" %-18s", change_names[c]);
	printf("\n");
	for (int d = 0; d < DETECTORS; d++) {
		const struct totals *t = &totals[d];

		printf("%-24s %9.3f %10.2f %10zu  ", detector_names[d], precision(t),
			1000.0 * (double)t->all.false_alarms / (double)(t->all.series * NIGHTS),
			t->all.trials);
		for (int c = STEP_5; c < CHANGES; c++)
			printf(" %4.2f (%4.1f)       ", recall(t, (enum change)c),
				median_delay(&t->of[c]));
		printf("\n");
	}
}

static struct totals totals[DETECTORS];

/* What the watch is for: fewer false alarms than a plain threshold or t-test, and no step missed
 * that they find. */
static void better_than_plain(enum noise noise)
{
	simulate(noise, 3, 1000 + noise, totals);
	print_table(noise, 3, totals);
	assert_true(precision(&totals[WATCH]) >= precision(&totals[THRESHOLD]));
	assert_true(precision(&totals[WATCH]) >= precision(&totals[T_TEST]));
	assert_true(recall_of_steps(&totals[WATCH]) >= recall_of_steps(&totals[THRESHOLD]));
	assert_true(precision(&totals[WATCH]) >= 0.9);
	assert_true(recall(&totals[WATCH], STEP_10) >= 0.8);
	assert_true(recall(&totals[WATCH], STEP_20) == 1);
	assert_true(recall(&totals[WATCH], DRIFT) >= 0.8);
	/* Fresh trials cost boots: seldom are they asked for. */
	assert_true(totals[WATCH].all.trials * 25 < totals[WATCH].all.series * NIGHTS);
}

static void normal_noise(void **state)
{
	(void)state;
	better_than_plain(NORMAL);
}

static void heavy_tails(void **state)
{
	(void)state;
	better_than_plain(HEAVY);
}

static void two_modes(void **state)
{
	(void)state;
	better_than_plain(TWO_MODES);
}

static void the_same_seed_gives_the_same_figures(void **state)
{
	static struct totals again[DETECTORS];

	(void)state;
	simulate(NORMAL, 2, 5, totals);
	simulate(NORMAL, 2, 5, again);
	assert_memory_equal(totals, again, sizeof(totals));
	simulate(NORMAL, 2, 6, again);
	assert_memory_not_equal(totals, again, sizeof(totals));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(normal_noise),
		cmocka_unit_test(heavy_tails),
		cmocka_unit_test(two_modes),
		cmocka_unit_test(the_same_seed_gives_the_same_figures),
	};

	if (argc < 2)
		return cmocka_run_group_tests(tests, NULL, NULL);
	size_t hosts = strtoul(argv[1], NULL, 10);
	unsigned long seed = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;

	if (hosts == 0 || hosts > 1000)
		return 1;
	for (int noise = 0; noise < NOISES; noise++) {
		simulate((enum noise)noise, hosts, seed + (unsigned long)noise, totals);
		print_table((enum noise)noise, hosts, totals);
		fflush(stdout);
	}
	return 0;
}
