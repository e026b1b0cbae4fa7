/*
 * What the ping-pong benchmarks send: every int depends on its place and on the run, so neither
 * stale nor misplaced data passes for the real. The host may use this to check what it sees in a
 * region. Must not include anything but C's own headers.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The answer differs from the question in every so manieth int, which shows that it was answered.
 */
#define CONTENT_STAMP_STRIDE 256

static inline uint32_t content_question(size_t index, uint32_t run)
{
	return (uint32_t)index * UINT32_C(2654435761) ^ (run * UINT32_C(0x9e3779b9) + 0x7f4a7c15);
}

static inline uint32_t content_answer(size_t index, uint32_t run)
{
	return content_question(index, run) + (index % CONTENT_STAMP_STRIDE ? 0 : run + 1);
}

static inline void content_fill(uint32_t *ints, size_t count, uint32_t run)
{
	for (size_t i = 0; i < count; i++)
		ints[i] = content_question(i, run);
}

/* Makes a question its answer, in so little time that it does not count. */
static inline void content_stamp(uint32_t *ints, size_t count, uint32_t run)
{
	for (size_t i = 0; i < count; i += CONTENT_STAMP_STRIDE)
		ints[i] += run + 1;
}

/* The first int that is not as it should be; `count` when all are. */
static inline size_t content_check(const uint32_t *ints, size_t count, uint32_t run, int answered)
{
	for (size_t i = 0; i < count; i++) {
		if (ints[i] != (answered ? content_answer(i, run) : content_question(i, run)))
			return i;
	}
	return count;
}
