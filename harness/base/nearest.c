/* The nearest name to a misspelt one: see nearest.h. */
#include "harness/base/nearest.h"

#include <stdint.h>
#include <string.h>

/* Levenshtein distance of two short words; words over the bound are never near. */
static size_t edit_distance(const char *a, const char *b)
{
	enum { MAX = 48 };
	size_t row[MAX + 1];
	size_t a_length = strlen(a), b_length = strlen(b);

	if (a_length > MAX || b_length > MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= b_length; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_length; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			size_t cost = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < cost)
				cost = row[j] + 1;
			if (row[j - 1] + 1 < cost)
				cost = row[j - 1] + 1;
			row[j] = cost;
		}
	}
	return row[b_length];
}

const char *nearest_name(const char *word, const char *const *candidates, size_t count)
{
	const char *best = NULL;
	size_t best_distance = strlen(word) / 3 + 2;

	for (size_t i = 0; i < count; i++) {
		size_t distance = edit_distance(word, candidates[i]);

		if (distance < best_distance) {
			best_distance = distance;
			best = candidates[i];
		}
	}
	return best;
}
