/* Bridges, taps and shaped links by iproute2, in batches: see network.h. */
#include "harness/lab/network.h"
#include "harness/lab/lab.h"
#include "harness/lab/machine.h"
#include "harness/lab/network_internal.h"
#include "harness/base/fs.h"
#include "harness/base/process.h"

#include <string.h>

#define MAX_OUTPUT ((size_t)1 << 20)

void batch_open(struct batch *batch)
{
	*batch = (struct batch){0};
	batch->ip = open_memstream(&batch->ip_text, &batch->ip_size);
	batch->tc = open_memstream(&batch->tc_text, &batch->tc_size);
	if (!batch->ip || !batch->tc)
		abort();
}

void batch_close(struct batch *batch)
{
	cleanup_fclose(&batch->ip);
	cleanup_fclose(&batch->tc);
	free(batch->ip_text);
	free(batch->tc_text);
}

/* The line of the batch that was refused: iproute2 ends with "Command failed -:LINE". */
static char *refused_command(const char *commands, const char *errors)
{
	const char *where = strstr(errors, "Command failed -:");
	unsigned long line = where ? strtoul(strchr(where, ':') + 1, NULL, 10) : 1;

	while (line-- > 1 && strchr(commands, '\n'))
		commands = strchr(commands, '\n') + 1;
	return format_string("%.*s", (int)strcspn(commands, "\n"), commands);
}

static struct error *run_program(
	const struct machine *machine, const char *program, const char *commands)
{
	_cleanup_(process_result_deinit) struct process_result result = {0};
	const char *argv[MACHINE_PREFIX_WORDS + 4];
	size_t used = machine_prefix(machine, argv);

	if (*commands == '\0')
		return NULL;
	argv[used++] = program;
	argv[used++] = "-batch";
	argv[used++] = "-";
	argv[used] = NULL;
	try_(process_run(argv, commands, MAX_OUTPUT, deadline_after_ms(30000), &result));
	if (result.exit_status == 0)
		return NULL;
	_cleanup_free_ char *refused = refused_command(commands, result.errors);

	return error_new(ERROR_SETUP, "'%s %s' in machine %u was refused: %.*s", program, refused,
		machine_number(machine), (int)strcspn(result.errors, "\n"), result.errors);
}

struct error *batch_run(struct batch *batch, const struct machine *machine)
{
	fflush(batch->ip);
	fflush(batch->tc);
	try_(run_program(machine, "ip", batch->ip_text));
	return run_program(machine, "tc", batch->tc_text);
}

static const struct link_spec *find_link(
	const struct link_spec *links, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(links[i].name, name) == 0)
			return &links[i];
	}
	return NULL;
}

/* A rate alone is a token bucket, which every kernel has; a delay needs netem. */
static void shape(FILE *tc, const struct port_spec *port, const struct link_spec *link)
{
	unsigned long long rate = link->rate_kbit_s;

	if (link->delay_us) {
		fprintf(tc, "qdisc add dev %s root netem limit 10000 delay %lluus", port->tap,
			(unsigned long long)link->delay_us);
		if (rate)
			fprintf(tc, " rate %llukbit", rate);
		fputc('\n', tc);
	} else if (rate) {
		/* A bucket of 4 ms, at least two full frames; a queue of 50 ms. */
		fprintf(tc, "qdisc add dev %s root tbf rate %llukbit burst %llu latency 50ms\n",
			port->tap, rate, rate / 2 > 3200 ? rate / 2 : 3200);
	}
}

static void add_port(
	struct batch *batch, const struct port_spec *port, const struct link_spec *link)
{
	fprintf(batch->ip, "tuntap add dev %s mode tap\nlink set %s master %s up\n", port->tap,
		port->tap, link->name);
	shape(batch->tc, port, link);
}

/* Adds to the batch the ports of one machine, beginning with `first`, which is of it. */
static struct error *add_ports_of(struct batch *batch, const struct link_spec *links,
	size_t link_count, const struct port_spec *ports, size_t port_count, size_t first)
{
	for (size_t i = first; i < port_count; i++) {
		const struct link_spec *link = find_link(links, link_count, ports[i].link);

		if (ports[i].machine != ports[first].machine)
			continue;
		if (!link)
			return error_new(ERROR_INTERNAL,
				"NIC %s is on link '%s', which is not declared", ports[i].tap,
				ports[i].link);
		add_port(batch, &ports[i], link);
	}
	return NULL;
}

static bool is_first_of_its_machine(const struct port_spec *ports, size_t i)
{
	for (size_t earlier = 0; earlier < i; earlier++) {
		if (ports[earlier].machine == ports[i].machine)
			return false;
	}
	return true;
}

struct error *network_add_ports(const struct link_spec *links, size_t link_count,
	const struct port_spec *ports, size_t port_count)
{
	for (size_t i = 0; i < port_count; i++) {
		_cleanup_(batch_close) struct batch batch;

		batch_open(&batch);
		if (!is_first_of_its_machine(ports, i))
			continue;
		try_(add_ports_of(&batch, links, link_count, ports, port_count, i));
		try_(batch_run(&batch, ports[i].machine));
	}
	return NULL;
}

struct error *network_create(const struct link_spec *links, size_t link_count,
	const struct port_spec *ports, size_t port_count)
{
	_cleanup_(batch_close) struct batch batch;

	batch_open(&batch);
	for (size_t i = 0; i < link_count; i++) {
		fprintf(batch.ip, "link add name %s type bridge\nlink set %s up\n", links[i].name,
			links[i].name);
		if (links[i].address)
			fprintf(batch.ip, "address add %s dev %s\n", links[i].address,
				links[i].name);
	}
	for (size_t i = 0; i < port_count; i++) {
		if (ports[i].machine)
			return error_new(ERROR_INTERNAL,
				"NIC %s is in a machine, which is not there yet", ports[i].tap);
	}
	if (port_count)
		try_(add_ports_of(&batch, links, link_count, ports, port_count, 0));
	return batch_run(&batch, NULL);
}

struct error *network_counter(const char *device, const char *name, uint64_t *value)
{
	_cleanup_free_ char *path =
		format_string("%s/sys/class/net/%s/statistics/%s", lab_dir(), device, name);
	_cleanup_free_ char *text = fs_read_line(path);

	if (!text)
		return error_new(ERROR_SETUP, "cannot read %s", path);
	*value = strtoull(text, NULL, 10);
	return NULL;
}

struct error *network_counters(const char *device, uint64_t *frames, uint64_t *bytes)
{
	uint64_t received_frames = 0, sent_frames = 0, received = 0, sent = 0;

	try_(network_counter(device, "rx_packets", &received_frames));
	try_(network_counter(device, "tx_packets", &sent_frames));
	try_(network_counter(device, "rx_bytes", &received));
	try_(network_counter(device, "tx_bytes", &sent));
	*frames = received_frames + sent_frames;
	*bytes = received + sent;
	return NULL;
}
