/* iperf3 between two places: see iperf.h. What it prints is hostile where a guest ran it. */
#include "workloads/host/iperf.h"
#include "harness/base/fs.h"

#include <math.h>
#include <string.h>

enum { STOP_MS = 5000 };

#define IPERF "/usr/bin/iperf3"

static struct error *start_server(
	const struct iperf_spec *spec, struct deadline deadline, struct place_process *server)
{
	_cleanup_free_ char *port = format_string("%u", spec->listen_port);
	const char *const argv[] = {IPERF, "--server", "--one-off", "--forceflush", "--bind",
		spec->listen_address, "--port", port, NULL};

	try_(place_start(spec->server, "iperf3-server", argv, deadline, server));
	return place_await(server, "Server listening on ", deadline);
}

static struct error *run_client(
	const struct iperf_spec *spec, struct deadline deadline, struct exec_result *result)
{
	_cleanup_free_ char *port = format_string("%u", spec->connect_port);
	_cleanup_free_ char *seconds = format_string("%.0f", ceil(spec->seconds));
	const char *const argv[] = {IPERF, "--client", spec->connect_address, "--port", port,
		"--time", seconds, "--omit", "1", "--json", NULL};

	return place_run(spec->client, argv, deadline, result);
}

/* Errors are in the JSON too, and more telling than the exit status. */
static struct error *parse(const struct iperf_spec *spec, const struct exec_result *printed,
	struct iperf_result *result)
{
	json_error_t why;
	_cleanup_json_ json_t *report =
		json_loadb(printed->output, printed->output_size, JSON_ALLOW_NUL, &why);
	const json_t *complaint = json_object_get(report, "error");
	const json_t *received = json_object_get(json_object_get(report, "end"), "sum_received");
	const json_t *rate = json_object_get(received, "bits_per_second");
	const json_t *bytes = json_object_get(received, "bytes");

	if (json_is_string(complaint))
		return error_new(ERROR_SETUP, "iperf3 in %s: %s", spec->client->name,
			json_string_value(complaint));
	if (printed->exit_status != 0 || !json_is_number(rate) || !json_is_number(bytes) ||
		!(json_number_value(rate) >= 0))
		return error_new(ERROR_SETUP,
			"iperf3 in %s ended with status %d and told no throughput",
			spec->client->name, printed->exit_status);
	*result = (struct iperf_result){
		.mbit_s = json_number_value(rate) / 1e6,
		.received_bytes = json_number_value(bytes),
		.report = take_ptr(report),
	};
	return NULL;
}

struct error *iperf_run(
	const struct iperf_spec *spec, struct deadline deadline, struct iperf_result *result)
{
	_cleanup_(exec_result_deinit) struct exec_result printed = {0};
	struct place_process server = {0};
	struct error *err = start_server(spec, deadline, &server);

	if (!err)
		err = run_client(spec, deadline, &printed);
	place_stop(&server, deadline_after_ms(STOP_MS));
	return err ? err : parse(spec, &printed, result);
}
