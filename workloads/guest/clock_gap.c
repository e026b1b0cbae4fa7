/*
 * clock-gap: reads the clock in a loop and notes the longest it went without being able to. That is
 * how long the guest stood still, as seen from inside. A hypervisor that stops a guest's clocks
 * with the guest (QEMU does) hides that time from here: then only what the guest was slow to do
 * shows, and the clock time it has lost is for a client outside to see ("echo").
 */
#include "workloads/guest/command.h"

#include <stdlib.h>

#include "workloads/guest/background.h"
#include "workloads/guest/json.h"
#include "workloads/shm/clock.h"

#define GAPS_MAX 4096

struct gap {
	uint64_t at_ns;	  /* since the start, where it ended */
	uint64_t real_ns; /* the same by CLOCK_REALTIME, to set it beside the host's log */
	uint64_t gap_ns;
};

static void print_gaps(const struct gap *gaps, size_t count)
{
	json_open("gaps", '[');
	for (size_t i = 0; i < count; i++) {
		json_open(NULL, '{');
		json_number("at_ns", gaps[i].at_ns);
		json_number("real_ns", gaps[i].real_ns);
		json_number("gap_ns", gaps[i].gap_ns);
		json_close('}');
	}
	json_close(']');
}

void command_clock_gap(int argc, char **argv)
{
	uint64_t seconds = 10;
	uint64_t threshold_us = 1000;
	struct background background = {0};
	const struct option_row rows[] = {
		{"seconds", OPTION_NUMBER, &seconds, 1, 86400, "how long (10)"},
		{"threshold-us", OPTION_NUMBER, &threshold_us, 1, 60000000,
			"list gaps of at least this (1000)"},
		BACKGROUND_ROWS(&background),
		{0},
	};
	struct gap *gaps = calloc(GAPS_MAX, sizeof(*gaps));
	struct gap largest = {0};
	uint64_t start, before, end, loops = 0, found = 0;

	options_parse(rows, argc, argv);
	if (!gaps)
		die("not enough memory");
	background_start(&background);
	background_endable();
	background_ready(&background, 0);
	start = before = clock_now();
	end = start + seconds * 1000000000;
	while (before < end && !background_ended()) {
		uint64_t now = clock_now();
		struct gap gap = {now - start, 0, now - before};

		loops++;
		before = now;
		if (gap.gap_ns <= largest.gap_ns && gap.gap_ns < threshold_us * 1000)
			continue;
		gap.real_ns = clock_real();
		if (gap.gap_ns > largest.gap_ns)
			largest = gap;
		if (gap.gap_ns >= threshold_us * 1000 && found++ < GAPS_MAX)
			gaps[found - 1] = gap;
	}
	json_number("loops", loops);
	json_number("largest_ns", largest.gap_ns);
	json_number("largest_at_ns", largest.at_ns);
	json_number("largest_real_ns", largest.real_ns);
	json_number("gaps_found", found);
	print_gaps(gaps, found < GAPS_MAX ? found : GAPS_MAX);
	json_print();
	free(gaps);
}
