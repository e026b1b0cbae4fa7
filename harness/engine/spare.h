/* Where a budget's spare time does most good. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* Chooses the experiment of the claim that is least decided: an inconclusive one first that has no
 * interval yet and says what would decide it (a forecast), else the one with the widest interval.
 * With `undecided_only`, only among inconclusive claims with a forecast: the others cannot be
 * helped by more trials, or need none. The strings are borrowed from the header's plan. False when
 * no claim would gain from more trials. */
bool spare_choose(const json_t *header, json_t *trials, bool undecided_only, const char **mechanism,
	const char **experiment);
