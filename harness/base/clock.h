/*
 * Clocks and deadlines. All waiting in fleetlab is bounded by a deadline on the monotonic clock;
 * wall-clock time is only for showing to people and for names.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define NSEC_PER_SEC 1000000000LL
#define NSEC_PER_MSEC 1000000LL

/* Nanoseconds of CLOCK_MONOTONIC. */
int64_t clock_now_ns(void);

/* Seconds between two readings of clock_now_ns(). */
static inline double clock_seconds(int64_t from_ns, int64_t to_ns)
{
	return (double)(to_ns - from_ns) / (double)NSEC_PER_SEC;
}

/* A point on the monotonic clock after which waiting is over. */
struct deadline {
	int64_t at_ns;
};

struct deadline deadline_after_ms(int64_t timeout_ms);

/* The earlier of two deadlines. */
struct deadline deadline_min(struct deadline a, struct deadline b);

/* Milliseconds left, rounded up and never negative: fit for poll(2). */
int deadline_left_ms(struct deadline deadline);
bool deadline_passed(struct deadline deadline);

/* UTC as "2026-01-31T23:59:59Z" (compact: "20260131T235959Z"); `out` holds at least 24 bytes. */
void clock_format_utc(time_t when, bool compact, char *out, size_t size);

/* "06:00": the next time after `now` that clocks in the local time zone show it; where a change of
 * the clocks leaves that out, the time that is as far after the change. False when it is no time of
 * day. */
bool clock_parse_next(const char *text, time_t now, time_t *when);

/* "90m", "20s", "500ms", "2h", "45" (seconds) to milliseconds; false when it is none of these. */
bool duration_parse_ms(const char *text, int64_t *ms);

/* "1 h 05 min", "3 min 20 s", "4.2 s" for people; `out` holds at least 24 bytes. */
void duration_format(double seconds, char *out, size_t size);
