/* Shared by the parts of a night and their tests; nobody else includes this. */
#pragma once

#include "harness/nightly/night.h"

enum { MOST_MECHANISMS = 16 };

/* Time to take a lab down and to write the record and the summary. */
#define NIGHT_LAST_S 3
/* Labs of a night that was killed are gone after this long. */
#define NIGHT_LAB_END_MS 2000
/* A night that was cut is worth going on with for this long at least. */
#define NIGHT_WORTH_S 10

struct night {
	const struct night_options *options;
	struct night_list before; /* the nights before this one */
	json_t *json;		  /* the record */
	json_t *rows;		  /* tonight's readings; borrowed from it */
	json_t *memory_before;	  /* the watch's, as the last night left it; owned */
	time_t end_by;
	size_t untold; /* nights that telling failed of */
	int lock_fd;
	/* what `options` points at when the night goes on: as its record says */
	struct night_options own;
	const struct mechanism *mechanisms[MOST_MECHANISMS];
};

struct error *night_keep(struct night *night); /* saves the record */
/* Adds to the record's notes, once. */
void night_note(struct night *night, const char *format, ...) __attribute__((format(printf, 2, 3)));
double night_seconds_left(const struct night *night);

/* ---- the record (night_record.c) ---- */

void night_set_text(json_t *object, const char *key, const char *text);
void night_set_time(json_t *object, const char *key, time_t when); /* as UTC text */
void night_set_exit(struct night *night, enum night_exit status);
json_t *night_mechanisms(const struct night_options *options); /* names; new reference */
/* A new record, of a night that follows those before; takes a reference to `use` of its own. */
void night_begin_record(struct night *night, json_t *use, bool forced);
void night_put_totals(struct night *night);
/* The night has ended as `state`: totals, ledger, and the record saved. `status` is outdone by what
 * its totals say. */
struct error *night_close(
	struct night *night, const char *state, const char *reason, enum night_exit status);

/* ---- nights that were cut (night_cut.c) ---- */

/* Takes the last night out of the list and into `night` if it was cut and its time is not over;
 * earlier ones, and one whose time is over, are closed as incomplete. */
struct error *night_find_cut(struct night *night);
/* Goes on with the night found, or closes it when it cannot be: then night->json is NULL. */
struct error *night_go_on(struct night *night);

/* ---- runs (steps.c) ---- */

/* One run of the night. */
struct step {
	const char *purpose;		   /* as in the schema */
	const struct mechanism *mechanism; /* NULL: all of the night's */
	const char *experiment;		   /* NULL: all of the profile's */
	const char *only_variant;	   /* of an A/A; NULL: the engine's choice */
	const char *const *only_variants;
	int least_blocks;
	bool aa;
	struct handicap handicap;
	double share; /* of the time that is left */
};

/* Does the run, goes on with it where it was cut, or takes its record when it is done already.
 * *record is owned by the caller, NULL with a text in *why_not (owned) when there is none. An error
 * (ERROR_INTERRUPTED, or the record cannot be kept) ends the night. */
struct error *night_step(
	struct night *night, const struct step *step, json_t **record, char **why_not);

/* Removes the directories of the runs of all nights before this one but the last
 * night_options.keep_logs: journals, and what guests and labs said. Their records stay. */
void night_drop_logs(const struct night *night);

/* Readings of a record with units and sides, as rows of the night's record. */
json_t *night_readings(const json_t *record, const json_t *aa_record);

/* ---- suspects (confirm.c) ---- */

struct confirming {
	struct night *night;
	bool drill;
	struct handicap handicap; /* a drill's fresh trials are slowed down too */
};

/* judging.confirm; `context` is a struct confirming. */
struct error *night_confirm(void *context, const json_t *rows, json_t **fresh, char **why_not);

/* ---- drills (drill.c) ---- */

/* Goes on with the open drill, or begins one if that is asked for. Sets "drill" in the record. */
struct error *night_drill(struct night *night);

/* Was a change of this metric told as real, in a night of this drill or later, as one that was
 * there in the night `by` (an id) already? Then an alert of the drill's is no proof of anything. */
bool night_really_changed(const struct night_list *before, const json_t *tonight,
	const json_t *drill, const char *name, const char *by);

/* What all drills of these nights and tonight come to; new reference. */
json_t *night_ledger(const struct night_list *before, const json_t *tonight);
