/* The ping-pong over any transport: see pingpong.h. */
#include "workloads/guest/pingpong.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/guest/content.h"
#include "workloads/guest/json.h"
#include "workloads/shm/clock.h"

#define MAGIC UINT32_C(0x70696e67)

/* Before each run; ints = 0: there is none. */
struct order {
	uint32_t magic, ints, run;
};

/* The answer to an order: ready, and how the run before went on this side. */
struct report {
	uint32_t magic;
	uint32_t wrong; /* the first int that was not as it should be, + 1 */
	uint64_t calls;
};

static uint32_t *allocate(size_t ints)
{
	uint32_t *buffer = aligned_alloc(4096, (ints * sizeof(uint32_t) + 4095) / 4096 * 4096);

	if (!buffer)
		die("not enough memory for %zu ints", ints);
	/* Touched now, so that no page is faulted in while the clock runs. */
	memset(buffer, 0xff, ints * sizeof(uint32_t));
	return buffer;
}

static uint64_t calls(const struct transport *transport)
{
	return transport->sends + transport->receives;
}

/* Announces a run; returns the calls the other side made in the one before. */
static uint64_t announce(struct transport *transport, size_t ints, uint32_t run)
{
	struct order order = {MAGIC, (uint32_t)ints, run};
	struct report report;

	transport->send(transport, &order, sizeof(order));
	transport->receive(transport, &report, sizeof(report));
	if (report.magic != MAGIC)
		die("the other side does not speak this protocol");
	if (report.wrong)
		die("the other side got a wrong int %u before run %u", report.wrong - 1, run);
	return report.calls;
}

struct series {
	uint32_t *question, *answer;
	uint64_t *samples, *calls, *other_calls;
};

static uint64_t timed_run(struct transport *transport, struct series *series, size_t ints)
{
	uint64_t start = clock_now();

	transport->send(transport, series->question, ints * sizeof(uint32_t));
	transport->receive(transport, series->answer, ints * sizeof(uint32_t));
	return clock_now() - start;
}

/* One size. The numbers of runs go on from size to size, so that no content repeats. */
static uint32_t ask_size(struct transport *transport, const struct pingpong_options *options,
	size_t ints, uint32_t run)
{
	size_t slots = options->runs + 1;
	struct series series = {allocate(ints), allocate(ints), calloc(slots, 8), calloc(slots, 8),
		calloc(slots, 8)};

	if (!series.samples || !series.calls || !series.other_calls)
		die("not enough memory for %" PRIu64 " samples", options->runs);
	for (uint64_t i = 0; i < options->warmup + options->runs; i++, run++) {
		uint64_t before;
		uint64_t elapsed;
		uint64_t other;
		size_t wrong;

		content_fill(series.question, ints, run);
		other = announce(transport, ints, run);
		before = calls(transport);
		elapsed = timed_run(transport, &series, ints);
		wrong = content_check(series.answer, ints, run, 1);
		if (wrong < ints)
			die("run %u: int %zu came back as 0x%08x rather than 0x%08x", run, wrong,
				series.answer[wrong], content_answer(wrong, run));
		if (i > options->warmup)
			series.other_calls[i - options->warmup - 1] = other;
		if (i >= options->warmup) {
			series.samples[i - options->warmup] = elapsed;
			series.calls[i - options->warmup] = calls(transport) - before;
		}
	}
	/* An order for nothing, to hear of the last run. */
	series.other_calls[options->runs - 1] = announce(transport, 0, run);
	json_open(NULL, '{');
	json_number("ints", ints);
	json_number("bytes", ints * sizeof(uint32_t));
	json_numbers("samples_ns", series.samples, options->runs);
	json_numbers("system_calls", series.calls, options->runs);
	json_numbers("system_calls_other_side", series.other_calls, options->runs);
	json_close('}');
	free(series.question);
	free(series.answer);
	free(series.samples);
	free(series.calls);
	free(series.other_calls);
	return run;
}

void pingpong_ask(struct transport *transport, const struct pingpong_options *options)
{
	uint32_t run = 0;

	json_bool("verified", true);
	json_number("warmup", options->warmup);
	json_open("series", '[');
	if (!options->sweep.count)
		ask_size(transport, options, options->ints, run);
	for (size_t i = 0; i < options->sweep.count; i++)
		run = ask_size(transport, options, options->sweep.values[i], run);
	json_close(']');
	announce(transport, UINT32_MAX, 0);
}

void pingpong_answer(struct transport *transport)
{
	struct report report = {.magic = MAGIC};
	uint32_t *ints = NULL;
	size_t room = 0;
	uint64_t runs = 0;

	for (;;) {
		struct order order;
		uint64_t before;
		size_t wrong;

		transport->receive(transport, &order, sizeof(order));
		if (order.magic != MAGIC ||
			(order.ints > PINGPONG_INTS_MAX && order.ints != UINT32_MAX))
			die("the other side does not speak this protocol");
		if (order.ints != UINT32_MAX && order.ints > room) {
			free(ints);
			room = order.ints;
			ints = allocate(room);
		}
		transport->send(transport, &report, sizeof(report));
		if (order.ints == UINT32_MAX)
			break;
		if (!order.ints)
			continue;
		before = calls(transport);
		transport->receive(transport, ints, order.ints * sizeof(uint32_t));
		content_stamp(ints, order.ints, order.run);
		transport->send(transport, ints, order.ints * sizeof(uint32_t));
		report.calls = calls(transport) - before;
		wrong = content_check(ints, order.ints, order.run, 1);
		report.wrong = wrong < order.ints ? (uint32_t)wrong + 1 : 0;
		runs++;
	}
	free(ints);
	json_number("answered", runs);
}
