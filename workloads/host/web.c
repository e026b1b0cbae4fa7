/* httperf, again and again: see web.h. Must never run a shell, nor wait for a server that does not
 * answer longer than its timeout says. */
#include "workloads/host/web.h"
#include "harness/base/fs.h"
#include "harness/base/process.h"
#include "harness/stats/summary.h"
#include "workloads/host/client.h"

#include <arpa/inet.h>
#include <string.h>

#define OUTPUT_MAX 65536
/* Beyond a run's own length: for httperf to start and to print. */
#define RUN_SPARE_MS 10000
/* Of the first run where the server's speed is not known yet. */
#define FIRST_CONNECTIONS 20
#define RUNS_REMEMBERED 5

struct web {
	struct web_options options; /* with defaults put in */
	char *guest, *address, *uri;
	struct web_series series;
	size_t room;
	struct client_thread thread;
	struct client_progress *progress;
	struct error *err; /* of the thread, when it has ended */
};

void web_series_deinit(struct web_series *series)
{
	free(series->segments);
	*series = (struct web_series){0};
}

/* What the server can answer, from the last few runs: their median, since one that was held up, or
 * one that was short, says little. Nothing when it answered nothing at last. */
static double expected_replies_per_s(const struct web_series *series)
{
	size_t count = series->count < RUNS_REMEMBERED ? series->count : RUNS_REMEMBERED;
	const struct web_segment *last = series->segments + series->count - count;
	double speeds[RUNS_REMEMBERED];

	if (last[count - 1].replies == 0)
		return 0;
	for (size_t i = 0; i < count; i++)
		speeds[i] = last[i].replies_per_s;
	return stats_median(speeds, count);
}

/* How many connections fill the next segment. */
static uint64_t connections_of(const struct web *web)
{
	const struct web_options *options = &web->options;
	double per_s = options->rate;

	if (!options->rate) {
		if (!web->series.count)
			return FIRST_CONNECTIONS;
		per_s = expected_replies_per_s(&web->series) / options->calls;
	}
	double wanted = per_s * options->segment_ms / 1000;

	return wanted < 1 ? 1 : (uint64_t)wanted;
}

static struct error *run_httperf(struct web *web, struct web_segment *segment)
{
	const struct web_options *options = &web->options;
	uint64_t connections = connections_of(web);
	_cleanup_free_ char *port = format_string("--port=%u", options->port);
	_cleanup_free_ char *count =
		format_string("--num-conns=%llu", (unsigned long long)connections);
	_cleanup_free_ char *calls = format_string("--num-calls=%u", options->calls);
	_cleanup_free_ char *rate = format_string("--rate=%u", options->rate);
	_cleanup_free_ char *timeout = format_string("--timeout=%.3f", options->timeout_ms / 1e3);
	/* --hog: a run must not be held up for want of the few ports of the classic range. */
	const char *const argv[] = {"httperf", "--hog", "--server", web->address, port, "--uri",
		web->uri, count, calls, rate, timeout, NULL};
	_cleanup_(process_result_deinit) struct process_result result = {0};
	/* At worst every connection times out after the one before. */
	int64_t longest = options->rate ? options->segment_ms + options->timeout_ms
					: (int64_t)connections * options->timeout_ms;

	segment->start_ns = clock_now_ns();
	try_(process_run(
		argv, NULL, OUTPUT_MAX, deadline_after_ms(longest + RUN_SPARE_MS), &result));
	segment->end_ns = clock_now_ns();
	if (result.exit_status != 0)
		return error_new(ERROR_SETUP, "httperf against %s ends with status %d: %s",
			web->guest, result.exit_status, result.errors);
	return web_parse(result.output, segment);
}

static void note_segment(struct web *web, const struct web_segment *segment)
{
	struct web_series *series = &web->series;

	if (series->count == web->room) {
		web->room = web->room ? 2 * web->room : 64;
		series->segments =
			reallocarray(series->segments, web->room, sizeof(*series->segments));
		if (!series->segments)
			abort();
	}
	series->segments[series->count++] = *segment;
	client_advance(web->progress, 0, 1);
}

static void run_web(struct client_thread *thread, void *context)
{
	struct web *web = context;

	while (!web->err && client_wait(thread, 0)) {
		struct web_segment segment = {0};

		web->err = run_httperf(web, &segment);
		if (!web->err)
			note_segment(web, &segment);
	}
	client_give_up(web->progress, 0);
}

static void free_web(struct web *web)
{
	client_thread_deinit(&web->thread);
	client_progress_destroy(web->progress);
	web_series_deinit(&web->series);
	error_destroy(web->err);
	free(web->guest);
	free(web->address);
	free(web->uri);
	free(web);
}
DEFINE_CLEANUP(free_web, struct web *, free_web)

struct error *web_start(const struct web_options *options, struct web **result)
{
	_cleanup_(cleanup_free_web) struct web *web = calloc(1, sizeof(*web));
	struct in_addr address;

	if (!web)
		abort();
	client_thread_init(&web->thread);
	web->progress = client_progress_create(1);
	web->options = *options;
	web->options.port = options->port ? options->port : 80;
	web->options.calls = options->calls ? options->calls : 1;
	web->options.segment_ms = options->segment_ms ? options->segment_ms : 1000;
	web->options.timeout_ms = options->timeout_ms ? options->timeout_ms : 1000;
	web->guest = format_string("%s", options->guest);
	web->address = format_string("%s", options->address);
	web->uri = format_string("%s", options->uri ? options->uri : WEB_DOCUMENT);
	if (inet_pton(AF_INET, web->address, &address) != 1)
		return error_new(
			ERROR_USAGE, "%s: '%s' is not an IPv4 address", web->guest, web->address);
	if (!process_in_path("httperf"))
		return error_hint(error_new(ERROR_SETUP, "httperf is not installed"),
			"install the Debian package httperf, or run: ci/with-deps true");
	try_(client_thread_start(&web->thread, run_web, web));
	*result = take_ptr(web);
	return NULL;
}

struct error *web_await(struct web *web, uint64_t segments, struct deadline deadline)
{
	size_t late;

	if (client_progress_await(web->progress, segments, deadline, &late))
		return NULL;
	return error_new(deadline_passed(deadline) ? ERROR_TIMEOUT : ERROR_SETUP,
		"%s waiting for %llu runs of httperf against %s",
		deadline_passed(deadline) ? "the deadline passed" : "httperf failed",
		(unsigned long long)segments, web->guest);
}

struct error *web_stop(struct web *web, struct web_series *series)
{
	struct error *err = client_thread_stop(&web->thread);

	if (!err)
		err = take_ptr(web->err);
	if (!err) {
		*series = web->series;
		web->series = (struct web_series){0};
	}
	free_web(web);
	return err;
}

void web_destroy(struct web *web)
{
	free_web(web);
}
