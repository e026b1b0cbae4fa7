/* All drills so far: what the alerts of this watch are worth, measured. */
#include "harness/nightly/night_internal.h"
#include "harness/record/samples.h"
#include "harness/stats/summary.h"

#include <string.h>

struct tally {
	const struct night_list *before;
	const json_t *tonight;
	size_t begun, caught, missed, voided, abandoned, false_alarms, controls;
	json_t *delays;
	double days[NIGHTS_MAX + 1];
};

static bool tells(const json_t *night, const json_t *drill, const char *name, const char *by)
{
	const json_t *row = night_row(json_object_get(night, "metrics"), name);
	const json_t *verdict = json_object_get(row, "verdict");

	return strcmp(json_text(night, "id"), json_text(drill, "id")) >= 0 &&
	       json_is_true(json_object_get(verdict, "alert")) &&
	       strcmp(json_text(verdict, "since"), by) <= 0;
}

bool night_really_changed(const struct night_list *before, const json_t *tonight,
	const json_t *drill, const char *name, const char *by)
{
	for (size_t i = 0; i < before->count; i++) {
		if (tells(before->nights[i], drill, name, by))
			return true;
	}
	return tells(tonight, drill, name, by);
}

/* Those that a later night has not borne out as real. */
static size_t count_false_alarms(const struct tally *tally, const json_t *night)
{
	const json_t *drill = json_object_get(night, "drill"), *name;
	size_t count = 0, i;

	json_array_foreach (json_object_get(drill, "false_alarms"), i, name)
		count += !night_really_changed(tally->before, tally->tonight, drill,
			json_string_value(name), json_text(night, "id"));
	return count;
}

static void count_night(struct tally *tally, const json_t *night)
{
	const json_t *drill = json_object_get(night, "drill");
	const char *state = json_text(drill, "state");

	if (!json_is_object(drill) || strcmp(state, "skipped") == 0)
		return;
	tally->begun += json_integer_value(json_object_get(drill, "night")) == 0;
	tally->missed += strcmp(state, "missed") == 0;
	tally->voided += strcmp(state, "void") == 0;
	tally->abandoned += strcmp(state, "abandoned") == 0;
	tally->false_alarms += count_false_alarms(tally, night);
	tally->controls += (size_t)json_number(drill, "controls", 0);
	if (strcmp(state, "caught") != 0)
		return;
	tally->days[tally->caught++] = json_number(drill, "delay_nights", 0);
	json_array_append(tally->delays, json_object_get(drill, "delay_nights"));
}

static void put_share(json_t *ledger, const char *key, size_t part, size_t rest)
{
	if (part + rest > 0)
		json_object_set_new(ledger, key, json_real((double)part / (double)(part + rest)));
}

json_t *night_ledger(const struct night_list *before, const json_t *tonight)
{
	struct tally tally = {.before = before, .tonight = tonight, .delays = json_array()};
	size_t ended;
	json_t *ledger;

	for (size_t i = 0; i < before->count && i < NIGHTS_MAX; i++)
		count_night(&tally, before->nights[i]);
	count_night(&tally, tonight);
	ended = tally.caught + tally.missed + tally.voided + tally.abandoned;
	ledger = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "drills",
		(json_int_t)tally.begun, "caught", (json_int_t)tally.caught, "missed",
		(json_int_t)tally.missed, "void", (json_int_t)tally.voided, "abandoned",
		(json_int_t)tally.abandoned, "open",
		(json_int_t)(tally.begun > ended ? tally.begun - ended : 0), "controls",
		(json_int_t)tally.controls, "false_alarms", (json_int_t)tally.false_alarms,
		"delays", tally.delays);
	if (tally.caught)
		json_object_set_new(
			ledger, "delay_median", json_real(stats_median(tally.days, tally.caught)));
	put_share(ledger, "precision", tally.caught, tally.false_alarms);
	put_share(ledger, "recall", tally.caught, tally.missed);
	return ledger;
}
