/*
 * Time for the guest library: nanoseconds of CLOCK_MONOTONIC. A deadline is such a value, absolute,
 * so that it can be handed down through any number of waits.
 */
#pragma once

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static inline uint64_t deadline_in_ms(uint64_t milliseconds)
{
	return clock_now() + milliseconds * 1000000;
}

/* Nanoseconds of CLOCK_REALTIME, to set a moment beside another machine's log. */
static inline uint64_t clock_real(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}
