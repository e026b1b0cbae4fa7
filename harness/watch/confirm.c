/* What fresh trials say of a suspect: see watch.h. Must stay pure. */
#include "harness/watch/watch_internal.h"

#include <math.h>

static enum watch_confirmation weigh(const struct watch_fresh *fresh,
	const struct watch_options *options, const struct watch_verdict *verdict)
{
	double shift = log(fresh->value / verdict->baseline), expected = log1p(verdict->effect);
	bool up = expected > 0, tonight = verdict->kind == WATCH_TONIGHT;
	bool beyond = up ? fresh->interval.low > verdict->baseline
			 : fresh->interval.high < verdict->baseline;

	if (watch_is_wild(verdict, fresh->aa))
		return WATCH_IS_OPEN;
	if ((up ? shift : -shift) < fabs(expected) / 2 ||
		(tonight && !interval_excludes(verdict->usual, fresh->value)))
		return WATCH_IS_DISMISSED;
	if (!interval_is_bounded(fresh->interval) || !beyond ||
		fabs(shift) < log1p(options->least_effect) ||
		(tonight && !watch_stands_apart(options, verdict, fresh->value)))
		return WATCH_IS_OPEN;
	return WATCH_IS_CONFIRMED;
}

/* Was this the last of the nights in a row that are asked for? Only the measured ones count. */
static bool long_enough(const struct watch_reading *history, size_t count,
	const struct watch_options *options, struct watch_memory *memory,
	const struct watch_verdict *verdict)
{
	int64_t tonight = history[count - 1].night;
	size_t before = count - 1;
	bool up = verdict->effect > 0;

	while (before > 0 && !watch_measured(history[before - 1].value))
		before--;
	if (memory->pending == 0 || before == 0 || memory->pending_up != up ||
		memory->pending_last != history[before - 1].night) {
		memory->pending = 0;
		memory->pending_night = tonight;
		memory->pending_up = up;
	}
	memory->pending++;
	memory->pending_last = tonight;
	return memory->pending >= options->nights_in_a_row;
}

/* The first of the nights that are at the new level, which fresh trials have read: a change point
 * is put too early while there are few of them, and were the nights between left in the new
 * baseline, the same change would be found in it and told again. */
static size_t first_at(const struct watch_reading *history, size_t count, double before,
	double after, size_t index)
{
	double early = 0, least = 0; /* how much worse it is to begin at i than at `index` */
	size_t first = index;

	for (size_t i = index; i + 1 < count; i++) {
		double value = log(history[i].value);

		if (!watch_measured(history[i].value))
			continue;
		early += fabs(value - log(before)) - fabs(value - log(after));
		if (early < least) {
			least = early;
			first = i + 1;
		}
	}
	while (first + 1 < count && !watch_measured(history[first].value))
		first++;
	return first;
}

static void remember(const struct watch_reading *history, size_t count,
	const struct watch_fresh *fresh, struct watch_memory *memory, struct watch_verdict *verdict)
{
	bool tonight = verdict->kind == WATCH_TONIGHT;

	while (tonight && verdict->index > 0 &&
		history[verdict->index].night > memory->pending_night)
		verdict->index--;
	if (!tonight)
		verdict->index =
			first_at(history, count, verdict->baseline, fresh->value, verdict->index);
	if (memory->changed) /* that level is the one to be back at; no older one is */
		memory->level_night = memory->changed_night;
	memory->changed = true;
	memory->changed_night = history[verdict->index].night;
	memory->before = verdict->baseline;
	memory->after = verdict->after;
	memory->usual = verdict->usual;
	memory->pending = 0;
	memory->dismissed = false;
	verdict->state = WATCH_CONFIRMED;
	verdict->reason = "fresh trials see it too";
}

enum watch_confirmation watch_confirm(const struct watch_reading *history, size_t count,
	const struct watch_fresh *fresh, const struct watch_options *options,
	struct watch_memory *memory, struct watch_verdict *verdict)
{
	enum watch_confirmation answer = WATCH_IS_OPEN;

	if (verdict->state != WATCH_SUSPECT || count == 0)
		return answer;
	if (watch_measured(fresh->value))
		answer = weigh(fresh, options, verdict);
	switch (answer) {
	case WATCH_IS_CONFIRMED:
		if (verdict->kind == WATCH_CHANGE ||
			long_enough(history, count, options, memory, verdict)) {
			remember(history, count, fresh, memory, verdict);
			break;
		}
		verdict->reason = "fresh trials see it too; told if it is there next night";
		answer = WATCH_IS_OPEN;
		break;
	case WATCH_IS_DISMISSED:
		if (verdict->kind == WATCH_CHANGE) {
			memory->dismissed = true;
			memory->dismissed_night = history[count - 1].night;
		}
		watch_nothing_new(memory, verdict, "fresh trials do not see it");
		break;
	case WATCH_IS_OPEN:
		verdict->reason = "fresh trials leave it open";
		break;
	}
	return answer;
}
