/* Shared by watch.c and confirm.c; nobody else includes this. */
#pragma once

#include "harness/watch/watch.h"

/* A reading that can be used: positive and finite. */
bool watch_measured(double value);

/* One night's figure: relevant from the edge of the usual range on, and beyond the A/A floor. */
bool watch_stands_apart(
	const struct watch_options *options, const struct watch_verdict *verdict, double value);

/* An A/A arm that says: nothing of this night can be believed. */
bool watch_is_wild(const struct watch_verdict *verdict, double aa);

/* The state when there is nothing new: quiet, or confirmed as before. */
void watch_nothing_new(
	const struct watch_memory *memory, struct watch_verdict *verdict, const char *reason);
