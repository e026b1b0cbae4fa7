/* What httperf 0.9 prints: see web.h. */
#include "workloads/host/web.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The text behind a label at the beginning of a line. */
static const char *find_line(const char *output, const char *label)
{
	size_t length = strlen(label);

	for (const char *line = output; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, label, length) == 0)
			return line + length;
	}
	return NULL;
}

struct error *web_parse(const char *output, struct web_segment *segment)
{
	const char *total = find_line(output, "Total:");
	const char *status = find_line(output, "Reply status:");
	const char *errors = find_line(output, "Errors:");
	const char *times = find_line(output, "Reply time [ms]:");
	uint64_t connections, replies, answered[5];
	struct web_segment read = *segment;

	if (!total ||
		sscanf(total,
			" connections %" SCNu64 " requests %" SCNu64 " replies %" SCNu64
			" test-duration %lf s",
			&connections, &read.requests, &replies, &read.duration_s) != 4 ||
		!status ||
		sscanf(status,
			" 1xx=%" SCNu64 " 2xx=%" SCNu64 " 3xx=%" SCNu64 " 4xx=%" SCNu64
			" 5xx=%" SCNu64,
			&answered[0], &answered[1], &answered[2], &answered[3],
			&answered[4]) != 5 ||
		!errors || sscanf(errors, " total %" SCNu64, &read.errors) != 1 || !times ||
		sscanf(times, " response %lf", &read.reply_ms) != 1)
		return error_new(
			ERROR_SETUP, "httperf prints something else than expected: %.200s", output);
	read.replies = answered[1];
	read.refused = replies > answered[1] ? replies - answered[1] : 0;
	read.replies_per_s = read.duration_s > 0 ? (double)read.replies / read.duration_s : 0;
	*segment = read;
	return NULL;
}
