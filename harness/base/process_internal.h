/* Inside of process.c, for its test; nobody else includes this. */
#pragma once

#include "harness/base/clock.h"

#include <stdbool.h>
#include <stddef.h>

/* What is read of one of a program's outputs. */
struct process_stream {
	int fd; /* -1: it has ended */
	char *data;
	size_t used, room, max;
	bool overflow;
};

/* Moves bytes until both output streams have ended; false when the deadline passed first. `in`
 * (-1: none) is closed. */
bool process_pump(int in, const char *input, struct process_stream *out, struct process_stream *err,
	struct deadline deadline);
