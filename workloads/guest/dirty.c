/*
 * dirty: writes to so many pages a second, over and over a given amount of memory. What a migration
 * by copying has to keep up with.
 */
#include "workloads/guest/command.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "workloads/guest/background.h"
#include "workloads/guest/json.h"
#include "workloads/shm/clock.h"

#define PAGE 4096
#define TICK_NS 2000000

struct dirtier {
	uint8_t *memory;
	uint64_t pages, next, done;
};

static void dirty_pages(struct dirtier *dirtier, uint64_t count)
{
	for (; count; count--) {
		/* Its number and how often: a page never becomes what it was. */
		*(volatile uint64_t *)(dirtier->memory + dirtier->next * PAGE) = ++dirtier->done;
		dirtier->next = (dirtier->next + 1) % dirtier->pages;
	}
}

/* One second; returns the pages dirtied in it. Behind schedule it does what it can, no more later.
 */
static uint64_t run_second(struct dirtier *dirtier, uint64_t rate)
{
	uint64_t start = clock_now();
	uint64_t before = dirtier->done;

	for (;;) {
		uint64_t elapsed = clock_now() - start;
		uint64_t wanted = elapsed >= 1000000000 ? rate : rate * (elapsed / 1000) / 1000000;
		uint64_t done = dirtier->done - before;

		if (elapsed >= 1000000000)
			return done;
		if (done < wanted)
			dirty_pages(dirtier, wanted - done < 4096 ? wanted - done : 4096);
		else
			ppoll(NULL, 0, &(struct timespec){0, TICK_NS}, NULL);
	}
}

void command_dirty(int argc, char **argv)
{
	uint64_t mib = 64;
	uint64_t rate = 1000;
	uint64_t seconds = 10;
	struct background background = {0};
	const struct option_row rows[] = {
		{"mib", OPTION_NUMBER, &mib, 1, 1 << 20, "memory to write to (64)"},
		{"rate", OPTION_NUMBER, &rate, 1, 1000000000, "pages a second (1000)"},
		{"seconds", OPTION_NUMBER, &seconds, 1, 86400, "how long (10)"},
		BACKGROUND_ROWS(&background),
		{0},
	};
	struct dirtier dirtier = {0};
	uint64_t *samples;

	options_parse(rows, argc, argv);
	dirtier.pages = (mib << 20) / PAGE;
	dirtier.memory = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	samples = calloc(seconds, sizeof(*samples));
	if (dirtier.memory == MAP_FAILED || !samples)
		die_errno("no memory for %" PRIu64 " MiB", mib);
	background_start(&background);
	/* The fork has made all pages copy-on-write: settle that before anyone relies on us. */
	dirty_pages(&dirtier, dirtier.pages);
	background_ready(&background, 0);
	for (uint64_t i = 0; i < seconds; i++)
		samples[i] = run_second(&dirtier, rate);
	json_number("mib", mib);
	json_number("rate", rate);
	json_numbers("pages_per_second", samples, seconds);
	json_print();
	munmap(dirtier.memory, mib << 20);
	free(samples);
}
