/*
 * How long a guest takes to work as before, from a series of its throughput in windows of equal
 * length. Pure.
 */
#pragma once

#include <stddef.h>

struct recovery_question {
	const double *throughput; /* in each window; any unit */
	size_t count;
	double window_ms;
	size_t event;	 /* the window in which the guest stood still or was moved */
	size_t former;	 /* so many windows at the beginning make the former throughput; 0: all
			    before the event */
	double fraction; /* of the former throughput that counts as recovered; 0: 0.95 */
	size_t hold;	 /* so many windows on end must have it, by their median; 0: 3 */
};

struct recovery {
	double before; /* median of those windows; NAN: there were none */
	/* From the end of the event's window to the beginning of the first windows that hold; 0: at
	 * once, NAN: not by the end of the series. */
	double time_ms;
	double lost; /* throughput times windows that was lost until then, in windows of `before` */
};

/* The time from an event until throughput is back at a fraction (the paper's and others' 95 %) of
 * its median before the event. */
struct recovery recovery_find(const struct recovery_question *question);
