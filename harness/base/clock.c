/* Clocks and deadlines: see clock.h. */
#include "harness/base/clock.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int64_t clock_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

struct deadline deadline_after_ms(int64_t timeout_ms)
{
	return (struct deadline){clock_now_ns() + timeout_ms * NSEC_PER_MSEC};
}

struct deadline deadline_min(struct deadline a, struct deadline b)
{
	return a.at_ns < b.at_ns ? a : b;
}

int deadline_left_ms(struct deadline deadline)
{
	int64_t left = deadline.at_ns - clock_now_ns();

	if (left <= 0)
		return 0;
	left = (left + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;
	return left > INT_MAX ? INT_MAX : (int)left;
}

bool deadline_passed(struct deadline deadline)
{
	return clock_now_ns() >= deadline.at_ns;
}

void clock_format_utc(time_t when, bool compact, char *out, size_t size)
{
	struct tm tm;

	gmtime_r(&when, &tm);
	strftime(out, size, compact ? "%Y%m%dT%H%M%SZ" : "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* In the local time zone, `days` after the day of `now`. */
static time_t at_time_of_day(time_t now, int days, int hour, int minute)
{
	struct tm tm;

	localtime_r(&now, &tm);
	tm.tm_mday += days;
	tm.tm_hour = hour;
	tm.tm_min = minute;
	tm.tm_sec = 0;
	tm.tm_isdst = -1;
	return mktime(&tm);
}

bool clock_parse_next(const char *text, time_t now, time_t *when)
{
	int hour, minute, end = 0;

	if (sscanf(text, "%2d:%2d%n", &hour, &minute, &end) != 2 || text[end] || hour < 0 ||
		hour > 23 || minute < 0 || minute > 59)
		return false;
	*when = at_time_of_day(now, 0, hour, minute);
	if (*when <= now)
		*when = at_time_of_day(now, 1, hour, minute);
	return true;
}

bool duration_parse_ms(const char *text, int64_t *ms)
{
	static const struct {
		const char *suffix;
		double ms;
	} units[] = {{"ms", 1}, {"", 1000}, {"s", 1000}, {"m", 60e3}, {"min", 60e3}, {"h", 3600e3}};
	char *end;
	double value = strtod(text, &end);

	if (end == text || !isfinite(value) || value < 0)
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].suffix) == 0 && value * units[i].ms < 1e12) {
			*ms = (int64_t)llround(value * units[i].ms);
			return true;
		}
	}
	return false;
}

void duration_format(double seconds, char *out, size_t size)
{
	long whole = lround(seconds);

	if (seconds < 0.0995)
		snprintf(out, size, "%.0f ms", seconds * 1e3);
	else if (seconds < 59.5)
		snprintf(out, size, "%.*f s", seconds < 9.95 ? 1 : 0, seconds);
	else if (whole < 3600)
		snprintf(out, size, "%ld min %02ld s", whole / 60, whole % 60);
	else
		snprintf(out, size, "%ld h %02ld min", whole / 3600, whole / 60 % 60);
}
