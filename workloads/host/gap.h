/*
 * The longest silence in a series of moments: what a client that expects something every
 * millisecond sees of a guest that stands still.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* `count` moments, which ascend; the next one is `stride` bytes after the one before. */
struct moments {
	const int64_t *first;
	size_t stride, count;
};

/* The silence between two neighbours; in ns of the moments' clock. */
struct gap {
	int64_t from_ns, to_ns;
	size_t index; /* of the moment at which it ended; 0: there is no gap */
};

static inline double gap_ms(struct gap gap)
{
	return (double)(gap.to_ns - gap.from_ns) / 1e6;
}

/* Among those gaps that touch [from_ns, to_ns]: the largest (the first of several), and the median
 * (NAN: none). */
struct gap gap_largest(struct moments moments, int64_t from_ns, int64_t to_ns);
/* At most `room` of them, the longest first; returns how many there are. */
size_t gap_longest(
	struct moments moments, int64_t from_ns, int64_t to_ns, struct gap *gaps, size_t room);
double gap_median_ms(struct moments moments, int64_t from_ns, int64_t to_ns);
