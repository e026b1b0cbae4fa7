/* Zeroed arrays for stats/. Memory that is exhausted ends the process, as everywhere in fleetlab:
 * no estimate is ever made from part of a sample. */
#pragma once

#include <stdlib.h>

/* Never NULL, not even for count == 0; the caller frees. */
static inline void *allocate(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size);

	if (!p)
		abort();
	return p;
}
