/*
 * The nightly watch: has one metric of one host changed, given all its nights? Pure functions of a
 * history; whoever calls runs the trials, keeps the memory and tells people.
 *
 * In a night:
 * - watch_night() says for each metric, by watch_judge(): learning, quiet, suspect, confirmed or
 *   recovered; then it looks at all metrics together, by watch_select(): the false discovery rate
 *   makes some quiet again.
 * - The caller runs fresh ABBA trials of every suspect, still tonight.
 * - watch_confirm() says what they mean: confirmed (tell people), dismissed, or open: nobody is
 *   told, and it may come again.
 *
 * A reading is one positive figure a night: best the paired ratio of subject to baseline, from
 * which what the whole host does that night cancels out. Everything is relative (logarithms).
 *
 * There are two ways to be suspected, both with at least `change.least_side` (10) nights to compare
 * with:
 * - WATCH_CHANGE: a change point (stats/change_points.h) with that many nights on either side. It
 *   sees small changes, and needs the nights for it. Fewer nights after a clear change it is found
 *   already, but put too early, until watch_confirm() has fresh trials to place it by.
 * - WATCH_TONIGHT: tonight stands apart from the nights before: by a t-test of one new reading with
 *   a robust centre and scatter, *and* by a relevant effect from the edge of what those nights read
 *   (5 to 95 % of them), so that the other mode of a bimodal history is nothing new. It sees large
 *   changes in the first night, and tells in the second (nights_in_a_row). One reading is weak
 *   evidence: without fresh trials it is worth nothing.
 *
 * Either must be larger than `least_effect` and than the A/A noise floor: what a variant against
 * itself reads on this host (95 % quantile over the nights; for a change between medians of many
 * nights, smaller by the root of their number). A night whose own A/A arm is twice beyond the floor
 * accuses nobody.
 *
 * A confirmed change is the new baseline: its nights are compared with each other, and the state
 * stays "confirmed" until three nights in a row are back at the old level: "recovered". Then the
 * nights of the old level count again, and the changed ones do not. Levels that were left before
 * that one never come back: each change is told once, however many follow.
 */
#pragma once

#include "harness/stats/change_points.h"

#include <stdint.h>

enum watch_state {
	WATCH_LEARNING, /* too few nights to say anything: never shown as green */
	WATCH_QUIET,
	WATCH_SUSPECT,	 /* to be confirmed tonight */
	WATCH_CONFIRMED, /* and not recovered */
	WATCH_RECOVERED, /* since tonight; the next night is quiet */
};

const char *watch_state_name(enum watch_state state);

enum watch_kind { WATCH_NONE, WATCH_CHANGE, WATCH_TONIGHT };

struct watch_reading {
	int64_t night; /* >= 0, ascending; any unit: days, or seconds since 1970 */
	double value;  /* > 0; NaN: not measured that night */
	double aa;     /* one arm of that night's A/A against the other, > 0; NaN: none */
};

struct watch_options {
	struct change_options change; /* its least_shift is not used; its level is for both kinds */
	double least_effect;	      /* smallest relevant change, 0.05 for 5 % */
	size_t nights_in_a_row; /* that WATCH_TONIGHT must be confirmed in before it is told: what
				 * disturbs a host all night is in that night's fresh trials too */
};

/* As change_defaults, but 19999 permutations, more of which watch_night() draws where there are
 * many metrics; 5 %; two nights in a row. */
extern const struct watch_options watch_defaults;

/* The share of false discoveries among metrics that watch_select() allows. */
#define WATCH_FALSE_DISCOVERIES 0.01

/* The most changes that come and go on one level and are remembered; when there are more, the
 * level's nights before the first of them are forgotten. */
#define WATCH_LEFT_OUT 16

/* What must be kept from night to night, for each metric. All zero at first. */
struct watch_memory {
	bool changed;	     /* a change was confirmed and has not recovered */
	bool dismissed;	     /* fresh trials have refuted a change point: there is no other before
			      * there are least_side readings after dismissed_night */
	bool pending_up;     /* which way the pending nights went */
	int64_t level_night; /* first night of the level before the change, which is that of
			      * tonight where nothing has changed; older ones do not count */
	struct watch_nights {
		int64_t from, until; /* up to the night before */
	} left_out[WATCH_LEFT_OUT];  /* changes that have recovered, in order of `from` */
	size_t left_out_count;
	int64_t changed_night; /* first night of the change, while it stands */
	double before, after;  /* the levels before it and since */
	struct interval usual; /* what nights before it read, 5 to 95 % */
	int64_t dismissed_night;
	size_t pending; /* nights in a row that fresh trials have confirmed, not told yet, … */
	int64_t pending_night; /* … from this … */
	int64_t pending_last;  /* … to this one */
};

struct watch_verdict {
	enum watch_state state;
	enum watch_kind kind;
	size_t index;		/* of the first changed night in the history; tonight otherwise */
	size_t nights;		/* compared with: readings of the baseline */
	double baseline;	/* their median */
	struct interval usual;	/* 5 to 95 % of them */
	double after;		/* median since the change, or tonight's reading */
	double effect;		/* after / baseline - 1, 0.1 for 10 % more */
	struct interval within; /* of the effect, 95 %; unbounded for WATCH_TONIGHT */
	double floor;		/* A/A noise floor that it had to exceed; 0: no A/A nights */
	double p_value;		/* of the better of the two tests, both paid for; NaN: not tested */
	bool standing;		/* an earlier change is confirmed and has not recovered */
	const char *reason;	/* static; what the state rests on */
};

/*
 * Judges the last of `count` nights, the history's nights being in ascending order. *verdict is
 * always set. *memory is changed by a recovery, and by a night that ends a row. Values that are not
 * positive and finite count as not measured.
 */
void watch_judge(const struct watch_reading *history, size_t count,
	const struct watch_options *options, struct watch_memory *memory,
	struct watch_verdict *verdict);

/* Over all metrics of tonight (the verdicts are pointed to, since each belongs to a metric of the
 * caller): suspects beyond the false discovery rate become quiet. Returns how many are left. */
size_t watch_select(struct watch_verdict *const *verdicts, size_t count, double rate);

/* One metric of a night; all borrowed. */
struct watch_metric {
	const struct watch_reading *history; /* of `count` nights, the last one being tonight */
	size_t count;
	struct watch_memory *memory;
	struct watch_verdict *verdict;
};

/*
 * All metrics of a night: watch_judge() for each, and watch_select(). Of many metrics, one that has
 * changed alone is a discovery only with a p-value that is smaller than so many permutations can
 * show: suspects that fail for that have as many more drawn as it takes. Returns how many suspects
 * are left.
 */
size_t watch_night(const struct watch_metric *metrics, size_t count,
	const struct watch_options *options, double rate);

/* Fresh trials of tonight: the same figure as a reading, with its interval; pairs.h gives both. */
struct watch_fresh {
	double value;
	struct interval interval;
	double aa; /* of the fresh trials' A/A arm; NaN: none */
};

enum watch_confirmation { WATCH_IS_CONFIRMED, WATCH_IS_DISMISSED, WATCH_IS_OPEN };

/*
 * Do fresh trials see it too? Confirmed: their interval lies beyond the baseline, on the suspected
 * side, their figure is relevant and, for WATCH_TONIGHT, as far from the usual range's edge.
 * Dismissed: their figure is within the usual range (WATCH_TONIGHT) or nearer to the baseline than
 * to the change. Open: neither, the interval is unbounded, or the A/A arm is beyond its floor. Sets
 * the verdict's state and reason, and the memory.
 */
enum watch_confirmation watch_confirm(const struct watch_reading *history, size_t count,
	const struct watch_fresh *fresh, const struct watch_options *options,
	struct watch_memory *memory, struct watch_verdict *verdict);
