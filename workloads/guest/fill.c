/*
 * fill: memory that holds something. Every page differs from every other and is not zero, so a
 * migration by copying has it all to copy, and no two can be merged. The memory is a file of this
 * process (a memfd), so that "fill --verify" can look through /proc whether every page is still
 * what it was made.
 */
#include "workloads/guest/background.h"
#include "workloads/guest/json.h"
#include "workloads/guest/memory.h"
#include "workloads/shm/clock.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096
#define NAME "fleetlab-fill-" /* and the seed, for who verifies */

/* 16 bytes at a time: filling is the slow part of a trial where the processor is emulated. */
typedef uint64_t pair __attribute__((vector_size(16)));
#define PAIRS (PAGE / sizeof(pair))

struct filling {
	int fd;
	pair *memory;
	uint64_t pages, seed;
};

/* splitmix64 */
static uint64_t scramble(uint64_t value)
{
	value += UINT64_C(0x9e3779b97f4a7c15);
	value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
	return value ^ (value >> 31);
}

/* What all pages have in common; each is this with a key of its own over it. */
static void make_pattern(pair pattern[PAIRS])
{
	for (uint64_t i = 0; i < PAIRS; i++)
		pattern[i] = (pair){scramble(2 * i), scramble(2 * i + 1)};
}

static pair page_key(const struct filling *filling, uint64_t page)
{
	return (pair){scramble(filling->seed + page), scramble(~(filling->seed + page))};
}

static void fill_page(const struct filling *filling, const pair pattern[PAIRS], uint64_t page)
{
	pair *at = filling->memory + page * PAIRS;
	pair key = page_key(filling, page);

	for (size_t i = 0; i < PAIRS; i++)
		at[i] = pattern[i] ^ key;
}

static bool page_is_intact(const struct filling *filling, const pair pattern[PAIRS], uint64_t page)
{
	const pair *at = filling->memory + page * PAIRS;
	pair key = page_key(filling, page);
	pair difference = {0};

	for (size_t i = 0; i < PAIRS; i++)
		difference |= at[i] ^ pattern[i] ^ key;
	return !(difference[0] | difference[1]);
}

static void map(struct filling *filling, int protection)
{
	filling->memory = mmap(NULL, filling->pages * PAGE, protection, MAP_SHARED, filling->fd, 0);
	if (filling->memory == MAP_FAILED)
		die_errno("no memory for %" PRIu64 " pages", filling->pages);
}

/* The file of the process that keeps the memory, and its seed. */
static void open_kept(struct filling *filling, uint64_t pid)
{
	static const char prefix[] = "/memfd:" NAME;

	for (int number = 3; number < 16; number++) {
		char path[64], target[64];
		ssize_t length;

		snprintf(path, sizeof(path), "/proc/%" PRIu64 "/fd/%d", pid, number);
		length = readlink(path, target, sizeof(target) - 1);
		target[length > 0 ? length : 0] = '\0';
		if (strncmp(target, prefix, strlen(prefix)) != 0)
			continue;
		filling->seed = strtoull(target + strlen(prefix), NULL, 16);
		filling->fd = open(path, O_RDONLY | O_CLOEXEC);
		return;
	}
	die("process %" PRIu64 " keeps no filled memory", pid);
}

static void verify(struct filling *filling, uint64_t pid)
{
	pair pattern[PAIRS];
	uint64_t bad = 0, first_bad = 0;
	struct stat status;

	open_kept(filling, pid);
	if (filling->fd < 0 || fstat(filling->fd, &status) < 0)
		die_errno("cannot open the memory that process %" PRIu64 " keeps", pid);
	filling->pages = (uint64_t)status.st_size / PAGE;
	map(filling, PROT_READ);
	make_pattern(pattern);
	for (uint64_t page = 0; page < filling->pages; page++) {
		if (!page_is_intact(filling, pattern, page) && bad++ == 0)
			first_bad = page;
	}
	json_number("pages", filling->pages);
	json_number("bad_pages", bad);
	if (bad)
		json_number("first_bad_page", first_bad);
	json_bool("intact", bad == 0);
	json_print();
}

static void fill(struct filling *filling)
{
	pair pattern[PAIRS];
	char name[64];

	snprintf(name, sizeof(name), NAME "%" PRIx64, filling->seed);
	filling->fd = memfd_create(name, MFD_CLOEXEC);
	if (filling->fd < 0 || ftruncate(filling->fd, (off_t)(filling->pages * PAGE)) < 0)
		die_errno("no memory for %" PRIu64 " pages", filling->pages);
	map(filling, PROT_READ | PROT_WRITE);
	make_pattern(pattern);
	for (uint64_t page = 0; page < filling->pages; page++)
		fill_page(filling, pattern, page);
}

void command_fill(int argc, char **argv)
{
	struct memory_options memory = {.mib = 64};
	struct filling filling = {.fd = -1};
	struct background background = {0};
	uint64_t verify_pid = 0, start;
	const struct option_row rows[] = {
		MEMORY_ROWS(&memory, "64"),
		{"seed", OPTION_NUMBER, &filling.seed, 0, UINT64_MAX,
			"guests with different seeds have no page in common (0)"},
		{"verify", OPTION_NUMBER, &verify_pid, 1, INT32_MAX,
			"fill nothing; look whether what this process keeps is still intact"},
		BACKGROUND_ROWS(&background),
		{0},
	};

	options_parse(rows, argc, argv);
	/* Not a small number, so that no guest's pages are the next one's, shifted. */
	filling.seed = scramble(filling.seed);
	if (verify_pid) {
		verify(&filling, verify_pid);
		return;
	}
	filling.pages = memory_bytes(&memory) / PAGE;
	background_start(&background);
	background_endable();
	start = clock_now();
	fill(&filling);
	json_number("pages", filling.pages);
	json_number("fill_ns", clock_now() - start);
	background_ready(&background, 0);
	/* Without --daemon there is nobody to keep it for. */
	while (background.wanted && !background_ended())
		background_poll(NULL, 0, UINT64_MAX);
	json_print();
}
