/*
 * shm-handoff: the smallest thing two VMs can hand over, one cache line with a pointer in it.
 * Nothing is copied: the receiver follows the pointer into the region.
 */
#include "workloads/guest/shm_common.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/guest/json.h"
#include "workloads/shm/clock.h"
#include "workloads/shm/members.h"
#include "workloads/shm/wait.h"

#define CARGO 64
#define LAST UINT64_MAX /* as a cargo's number: there will be no other */

/* What is pointed to. */
struct cargo {
	alignas(REGION_LINE) uint64_t number;
};

struct slot {
	alignas(REGION_LINE) struct cargo *_Atomic pointer; /* NULL: taken */
	struct waiters waiters;
};

struct table {
	struct slot slots[2]; /* by receiver */
	struct cargo cargo[CARGO];
};

static bool slot_full(const void *object)
{
	const struct slot *slot = object;

	return atomic_load_explicit(&slot->pointer, memory_order_acquire);
}

static uint32_t everybody(const void *object)
{
	(void)object;
	return 3;
}

static void prepare(struct region *region, void *context)
{
	(void)region;
	memset(context, 0, sizeof(struct table));
}

static void give(struct region *region, struct table *table, struct cargo *cargo)
{
	struct slot *slot = &table->slots[!region->member];

	/* Release: the cargo before the pointer to it. */
	atomic_store_explicit(&slot->pointer, cargo, memory_order_release);
	shm_check(wake(region, &slot->waiters));
}

static struct cargo *take(struct region *region, struct table *table)
{
	struct slot *slot = &table->slots[region->member];
	const struct wait wait = {slot_full, everybody, slot, &slot->waiters, true, "a pointer"};
	struct cargo *cargo;

	shm_check(wait_for(region, &wait, shm_deadline()));
	cargo = atomic_exchange_explicit(&slot->pointer, NULL, memory_order_acquire);
	if (!region_contains(region, cargo, sizeof(*cargo), alignof(struct cargo)))
		die("the other member handed over a pointer out of the region: %p", (void *)cargo);
	return cargo;
}

static void ask(struct region *region, struct table *table, uint64_t warmup, uint64_t runs)
{
	uint64_t *samples = calloc(runs, sizeof(*samples));

	if (!samples)
		die("not enough memory for %" PRIu64 " samples", runs);
	for (uint64_t i = 0; i < warmup + runs; i++) {
		struct cargo *cargo = &table->cargo[i % CARGO];
		uint64_t start;
		uint64_t elapsed;
		struct cargo *back;

		cargo->number = i;
		start = clock_now();
		give(region, table, cargo);
		back = take(region, table);
		elapsed = clock_now() - start;
		if (back != cargo || back->number != i + 1)
			die("run %" PRIu64 ": the pointer or what it points to came back wrong", i);
		if (i >= warmup)
			samples[i - warmup] = elapsed;
	}
	table->cargo[0].number = LAST;
	give(region, table, &table->cargo[0]);
	json_text("unit", "ns, two hand-offs");
	json_numbers("samples_ns", samples, runs);
	free(samples);
}

static uint64_t answer(struct region *region, struct table *table)
{
	for (uint64_t answered = 0;; answered++) {
		struct cargo *cargo = take(region, table);

		if (cargo->number == LAST)
			return answered;
		cargo->number++;
		give(region, table, cargo);
	}
}

void command_shm_handoff(int argc, char **argv)
{
	struct shm_options options = SHM_DEFAULTS;
	const char *role = "";
	uint64_t warmup = 100;
	uint64_t runs = 1000;
	const struct option_row rows[] = {
		{"role", OPTION_TEXT, &role, 0, 0, "a (measures) or b (answers)"},
		SHM_ROWS(&options),
		{"warmup", OPTION_NUMBER, &warmup, 0, 1000000,
			"runs before those that count (100)"},
		{"runs", OPTION_NUMBER, &runs, 1, 1000000, "runs that count (1000)"},
		{0},
	};
	struct region *region;
	struct table *table;

	options_parse(rows, argc, argv);
	if (strcmp(role, "a") != 0 && strcmp(role, "b") != 0)
		die("--role: '%s' is neither a nor b", role);
	options.member = *role == 'b';
	region = shm_begin(&options);
	table = region_at(region, REGION_PAGE, sizeof(*table));
	if (!table)
		die("%s", shm_message());
	shm_check(member_meet(region, 2, prepare, table, shm_deadline()));
	if (*role == 'a')
		ask(region, table, warmup, runs);
	else
		json_number("answered", answer(region, table));
	shm_report(region);
	json_print();
}
