/*
 * dirty: writes to so many pages a second, over and over a given amount of memory. What a migration
 * by copying has to keep up with, and how it slows a guest down: what was done is counted in short
 * windows of this guest's clock, which stands still while a guest is stopped.
 */
#include "workloads/guest/background.h"
#include "workloads/guest/json.h"
#include "workloads/guest/memory.h"
#include "workloads/shm/clock.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAGE 4096
/* Not shorter: each tick is an interrupt, and a guest whose hypervisor is emulated is kept from all
 * else by a thousand a second. */
#define TICK_NS UINT64_C(5000000)
#define SECOND_NS UINT64_C(1000000000)
/* Pages between two looks at the clock. */
#define CHUNK 64

struct dirtier {
	uint8_t *memory;
	uint64_t pages, next, done;
	uint64_t rate; /* pages a second; 0: as fast as it goes */
	uint64_t start, end;
	uint64_t window_ns;
	uint32_t *windows; /* pages dirtied in each */
	uint64_t window_count;
};

static void dirty_pages(struct dirtier *dirtier, uint64_t count)
{
	for (; count; count--) {
		/* Its number and how often: a page never becomes what it was. */
		*(volatile uint64_t *)(dirtier->memory + dirtier->next * PAGE) = ++dirtier->done;
		if (++dirtier->next == dirtier->pages)
			dirtier->next = 0;
	}
}

/* How many are due now, at most a chunk. Each second has a schedule of its own: who is behind at
 * its end does not make up for it in the next. */
static uint64_t due_pages(
	const struct dirtier *dirtier, uint64_t second_start, uint64_t second_done, uint64_t now)
{
	uint64_t wanted, done = dirtier->done - second_done;

	if (!dirtier->rate)
		return CHUNK;
	wanted = dirtier->rate * ((now - second_start) / 1000) / 1000000;
	if (wanted > dirtier->rate)
		wanted = dirtier->rate;
	if (done >= wanted)
		return 0;
	return wanted - done < CHUNK ? wanted - done : CHUNK;
}

/* In the middle between two multiples of the tick, so that windows begin and end while nothing is
 * due and hold equally many ticks. */
static uint64_t next_tick(const struct dirtier *dirtier, uint64_t now)
{
	return dirtier->start + (now - dirtier->start + TICK_NS / 2) / TICK_NS * TICK_NS +
	       TICK_NS / 2;
}

static void run(struct dirtier *dirtier)
{
	uint64_t second_start = dirtier->start, second_done = dirtier->done;
	uint64_t now = dirtier->start;

	while (now < dirtier->end && !background_ended()) {
		uint64_t count = due_pages(dirtier, second_start, second_done, now);
		uint64_t window;

		dirty_pages(dirtier, count);
		if (!count)
			background_poll(NULL, 0, next_tick(dirtier, now));
		now = clock_now();
		window = (now - dirtier->start) / dirtier->window_ns;
		if (window < dirtier->window_count)
			dirtier->windows[window] += (uint32_t)count;
		while (now - second_start >= SECOND_NS) {
			second_start += SECOND_NS;
			second_done = dirtier->done;
		}
	}
	dirtier->end = now;
}

static void print_windows(const struct dirtier *dirtier)
{
	uint64_t count = (dirtier->end - dirtier->start) / dirtier->window_ns;

	json_number("window_ns", dirtier->window_ns);
	json_open("pages_per_window", '[');
	/* Whole ones only. */
	for (uint64_t i = 0; i < count && i < dirtier->window_count; i++)
		json_number(NULL, dirtier->windows[i]);
	json_close(']');
}

static void print_result(const struct dirtier *dirtier, uint64_t done)
{
	uint64_t took = dirtier->end - dirtier->start;

	json_number("mib", dirtier->pages * PAGE >> 20);
	json_number("rate", dirtier->rate);
	json_number("pages", done);
	json_number("reached_rate", (uint64_t)((double)done * 1e9 / (double)(took ? took : 1)));
	json_number("start_ns", dirtier->start);
	json_number("end_ns", dirtier->end);
	print_windows(dirtier);
	json_print();
}

void command_dirty(int argc, char **argv)
{
	struct memory_options memory = {.mib = 64};
	uint64_t seconds = 10, window_ms = 10, before;
	struct background background = {0};
	struct dirtier dirtier = {.rate = 1000};
	const struct option_row rows[] = {
		MEMORY_ROWS(&memory, "64"),
		{"rate", OPTION_NUMBER, &dirtier.rate, 0, 1000000000,
			"pages a second (1000); 0: as fast as it goes"},
		{"seconds", OPTION_NUMBER, &seconds, 1, 3600, "at most so long (10)"},
		{"window-ms", OPTION_NUMBER, &window_ms, 1, 1000,
			"length of the windows in which pages are counted (10)"},
		BACKGROUND_ROWS(&background),
		{0},
	};

	options_parse(rows, argc, argv);
	dirtier.pages = memory_bytes(&memory) / PAGE;
	dirtier.window_ns = window_ms * 1000000;
	dirtier.window_count = seconds * 1000 / window_ms + 1;
	background_start(&background);
	background_endable();
	dirtier.memory = mmap(NULL, dirtier.pages * PAGE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	dirtier.windows = calloc(dirtier.window_count, sizeof(*dirtier.windows));
	if (dirtier.memory == MAP_FAILED || !dirtier.windows)
		die_errno("no memory for %" PRIu64 " pages", dirtier.pages);
	/* All pages are there before anyone relies on us. */
	dirty_pages(&dirtier, dirtier.pages);
	background_ready(&background, 0);
	before = dirtier.done;
	dirtier.start = clock_now();
	dirtier.end = dirtier.start + seconds * SECOND_NS;
	run(&dirtier);
	print_result(&dirtier, dirtier.done - before);
}
