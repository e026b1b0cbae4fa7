/* Apache in a real guest under httperf, which goes on while the guest is stopped and when Apache
 * has ended. */
#include "harness/fleet/test/live.h"
#include "workloads/host/web.h"

static const struct link_spec links[] = {{"lan", "10.77.0.254/24", 0, 0}};
static const struct nic_spec nics[] = {{"lan", "virtio-net-pci"}};

static void command(struct stack *stack, struct fleet *fleet, const char *what)
{
	assert_ok(stack_request(stack,
		json_pack("{s:s, s:s, s:s}", "op", "qmp", "name", fleet_guest_name(fleet, 0),
			"command", what),
		LIVE_DEADLINE, NULL));
}

static void print(const char *when, const struct web_series *series)
{
	for (size_t i = 0; i < series->count; i++) {
		const struct web_segment *segment = &series->segments[i];

		print_message(
			"%s: %.3f s (process %.3f s) %llu replies, %.1f/s, %.2f ms, %llu errors\n",
			when, segment->duration_s,
			clock_seconds(segment->start_ns, segment->end_ns),
			(unsigned long long)segment->replies, segment->replies_per_s,
			segment->reply_ms, (unsigned long long)segment->errors);
	}
}

/* So many runs of httperf; the guest is stopped during one, when `stops`. */
static struct web_series load(
	struct fleet *fleet, const struct web_options *options, unsigned int runs, bool stops)
{
	_cleanup_(cleanup_stack) struct stack *stack = NULL;
	struct web_series series;
	struct web *web;

	assert_ok(web_start(options, &web));
	assert_ok(web_await(web, runs, LIVE_DEADLINE));
	if (stops) {
		assert_ok(stack_connect(fleet_stack_socket(fleet, 0), &stack));
		command(stack, fleet, "stop");
		assert_ok(web_await(web, 1, LIVE_DEADLINE));
		command(stack, fleet, "cont");
		assert_ok(web_await(web, runs, LIVE_DEADLINE));
	}
	assert_ok(web_stop(web, &series));
	for (size_t i = 1; i < series.count; i++)
		assert_true(series.segments[i].start_ns >= series.segments[i - 1].end_ns);
	return series;
}

static void serve(struct fleet *fleet)
{
	_cleanup_free_ char *address = fleet_guest_address(fleet, 0, 0);
	struct web_options options = {.guest = "g0", .address = address, .segment_ms = 300};
	int64_t begin = clock_now_ns();

	assert_ok(web_serve(fleet_agent(fleet, 0), "g0", 0, LIVE_DEADLINE));
	print_message("served after %.3f s\n", clock_seconds(begin, clock_now_ns()));
	struct web_series series = load(fleet, &options, 4, false);

	print("steady", &series);
	assert_true(series.count >= 4);
	for (size_t i = 0; i < series.count; i++) {
		assert_true(series.segments[i].replies > 0);
		assert_int_equal(series.segments[i].refused, 0);
		assert_true(series.segments[i].replies_per_s > 0);
	}
	web_series_deinit(&series);
	/* At a fixed rate, so that a run ends although nobody answers. */
	options.rate = 50;
	series = load(fleet, &options, 2, true);
	print("stopped", &series);
	uint64_t errors = 0;

	for (size_t i = 0; i < series.count; i++)
		errors += series.segments[i].errors;
	assert_true(errors > 0);
	assert_true(series.segments[series.count - 1].replies > 0);
	web_series_deinit(&series);
	/* A document that is not there is no throughput; nor is a server that is not. */
	options.uri = "/nothing";
	series = load(fleet, &options, 1, false);
	assert_int_equal(series.segments[0].replies, 0);
	assert_true(series.segments[0].refused > 0);
	web_series_deinit(&series);
	free(live_shell(fleet, 0, "kill -9 $(pidof apache2)"));
	series = load(fleet, &options, 1, false);
	assert_int_equal(series.segments[0].replies + series.segments[0].refused, 0);
	assert_true(series.segments[0].errors > 0);
	web_series_deinit(&series);
}

static void refuse(struct fleet *fleet)
{
	assert_fails(web_serve(fleet_agent(fleet, 0), "g0", 1000, LIVE_DEADLINE), ERROR_GUEST,
		"needs the package apache2-bin");
}

static struct fleet_spec one_clone(size_t packages)
{
	return (struct fleet_spec){
		.image = {.kind = "tiny", .packages = web_packages, .package_count = packages},
		.count = 1,
		.memory_bytes = WEB_MEMORY_BYTES,
		.vcpus = 1,
		.start = FLEET_TEMPLATE,
		.links = links,
		.link_count = 1,
		.nics = nics,
		.nic_count = 1};
}

static void a_guest_serves_through_a_stop(void **state)
{
	(void)state;
	struct fleet_spec spec = one_clone(1);

	if (!process_in_path("httperf")) {
		print_message("skipped: httperf is not installed\n");
		skip();
	}
	live_run(&spec, serve);
}

static void a_guest_without_apache_is_refused(void **state)
{
	(void)state;
	struct fleet_spec spec = one_clone(0);

	live_run(&spec, refuse);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_serves_through_a_stop),
		cmocka_unit_test(a_guest_without_apache_is_refused),
	};

	return live_main(argc, argv, "live web", tests, ARRAY_SIZE(tests));
}
