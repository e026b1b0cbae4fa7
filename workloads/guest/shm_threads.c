/*
 * shm-threads: an application whose threads are VMs, written as one would with pthreads: a work
 * queue under a mutex, a shared result, a barrier to start and a semaphore to finish. It counts
 * primes, and the result is checked against a count made alone.
 */
#include "workloads/guest/shm_common.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/guest/json.h"
#include "workloads/shm/clock.h"
#include "workloads/shm/members.h"
#include "workloads/shm/sync.h"

struct job {
	struct shm_barrier start;
	struct shm_mutex lock;
	struct shm_semaphore finished;
	alignas(REGION_LINE) uint64_t next, primes; /* guarded by `lock` */
	uint64_t blocks[REGION_MEMBERS];	    /* done by each */
};

struct work {
	uint64_t limit, block;
};

static bool is_prime(uint64_t n)
{
	if (n < 4)
		return n > 1;
	if (n % 2 == 0)
		return false;
	for (uint64_t d = 3; d * d <= n; d += 2) {
		if (n % d == 0)
			return false;
	}
	return true;
}

static uint64_t count_primes(uint64_t from, uint64_t to)
{
	uint64_t primes = 0;

	for (; from < to; from++)
		primes += is_prime(from);
	return primes;
}

static void prepare(struct region *region, void *context)
{
	(void)region;
	memset(context, 0, sizeof(struct job));
}

/* Takes a block of numbers off the queue; false when there are none left. */
static bool take_block(
	struct region *region, struct job *job, const struct work *work, uint64_t *from)
{
	shm_check(mutex_lock(region, &job->lock, shm_deadline()));
	*from = job->next;
	if (*from < work->limit) {
		job->next += work->block;
		job->blocks[region->member]++;
	}
	shm_check(mutex_unlock(region, &job->lock));
	return *from < work->limit;
}

static void run_thread(struct region *region, struct job *job, const struct work *work)
{
	uint64_t primes = 0;
	uint64_t from;

	while (take_block(region, job, work, &from)) {
		uint64_t to = from + work->block < work->limit ? from + work->block : work->limit;

		primes += count_primes(from, to);
	}
	shm_check(mutex_lock(region, &job->lock, shm_deadline()));
	job->primes += primes;
	shm_check(mutex_unlock(region, &job->lock));
	shm_check(semaphore_post(region, &job->finished));
	json_number("own_primes", primes);
}

static void collect(struct region *region, struct job *job, const struct work *work,
	uint64_t members, uint64_t start)
{
	uint64_t alone;

	for (uint64_t i = 0; i < members; i++)
		shm_check(semaphore_wait(region, &job->finished, shm_deadline()));
	json_number("elapsed_ns", clock_now() - start);
	json_number("primes", job->primes);
	json_numbers("blocks", job->blocks, members);
	start = clock_now();
	alone = count_primes(0, work->limit);
	json_number("alone_ns", clock_now() - start);
	if (alone != job->primes)
		die("together they count %" PRIu64 " primes, alone it is %" PRIu64, job->primes,
			alone);
	json_bool("verified", true);
}

void command_shm_threads(int argc, char **argv)
{
	struct shm_options options = SHM_DEFAULTS;
	struct work work = {200000, 2000};
	const struct option_row rows[] = {
		SHM_ROWS(&options),
		SHM_MEMBER_ROWS(&options),
		{"limit", OPTION_NUMBER, &work.limit, 1, UINT64_C(1) << 32,
			"count the primes below this, the same in all members (200000)"},
		{"block", OPTION_NUMBER, &work.block, 1, UINT64_C(1) << 32,
			"numbers taken at once (2000)"},
		{0},
	};
	struct region *region;
	struct job *job;
	uint64_t start;

	options_parse(rows, argc, argv);
	region = shm_begin(&options);
	job = region_at(region, REGION_PAGE, sizeof(*job));
	if (!job)
		die("%s", shm_message());
	shm_check(member_meet(region, (unsigned int)options.members, prepare, job, shm_deadline()));
	shm_check(barrier_wait(region, &job->start, (unsigned int)options.members, shm_deadline()));
	start = clock_now();
	run_thread(region, job, &work);
	if (region->member == 0)
		collect(region, job, &work, options.members, start);
	shm_report(region);
	json_print();
}
