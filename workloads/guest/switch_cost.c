/*
 * switch-cost: what going into the kernel and back costs. The paper (5.2) took the time of
 * gettimeofday for that; the system call that does nothing is the sounder measure, and gettimeofday
 * through the vDSO shows what a program that calls the C library's would have measured.
 */
#include "workloads/guest/command.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "workloads/guest/json.h"
#include "workloads/shm/clock.h"

static void call_gettimeofday(uint64_t calls)
{
	struct timeval now;

	while (calls--)
		syscall(SYS_gettimeofday, &now, NULL);
}

static void call_getppid(uint64_t calls)
{
	while (calls--)
		syscall(SYS_getppid);
}

static void call_vdso(uint64_t calls)
{
	struct timeval now;

	while (calls--)
		gettimeofday(&now, NULL);
}

static void measure(const char *name, void (*function)(uint64_t), uint64_t calls, uint64_t runs)
{
	uint64_t *samples = calloc(runs, sizeof(*samples));

	if (!samples)
		die("not enough memory for %" PRIu64 " runs", runs);
	function(calls); /* warm */
	for (uint64_t i = 0; i < runs; i++) {
		uint64_t start = clock_now();

		function(calls);
		samples[i] = clock_now() - start;
	}
	json_numbers(name, samples, runs);
	free(samples);
}

void command_switch_cost(int argc, char **argv)
{
	uint64_t calls = 10000;
	uint64_t runs = 10;
	const struct option_row rows[] = {
		{"calls", OPTION_NUMBER, &calls, 1, UINT32_MAX, "calls a run (10000)"},
		{"runs", OPTION_NUMBER, &runs, 1, 1000000, "runs (10)"},
		{0},
	};

	options_parse(rows, argc, argv);
	json_number("calls", calls);
	measure("gettimeofday_syscall_ns", call_gettimeofday, calls, runs);
	measure("empty_syscall_ns", call_getppid, calls, runs);
	measure("gettimeofday_vdso_ns", call_vdso, calls, runs);
	json_print();
}
