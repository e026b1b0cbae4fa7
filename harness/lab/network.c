/* Bridges, taps and shaped links by iproute2, in batches: see network.h. */
#include "harness/lab/network.h"
#include "harness/lab/lab.h"
#include "harness/base/fs.h"
#include "harness/base/process.h"

#include <string.h>

static struct error *run_batch(const char *program, const char *commands)
{
	const char *const argv[] = {program, "-batch", "-", NULL};

	return process_check(argv, commands, deadline_after_ms(30000), NULL);
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

struct error *network_create(const struct link_spec *links, size_t link_count,
	const struct port_spec *ports, size_t port_count)
{
	_cleanup_free_ char *ip_text = NULL;
	_cleanup_free_ char *tc_text = NULL;
	size_t ip_size, tc_size;
	FILE *ip = open_memstream(&ip_text, &ip_size);
	FILE *tc = open_memstream(&tc_text, &tc_size);

	if (!ip || !tc)
		abort();
	for (size_t i = 0; i < link_count; i++) {
		fprintf(ip, "link add name %s type bridge\nlink set %s up\n", links[i].name,
			links[i].name);
		if (links[i].address)
			fprintf(ip, "address add %s dev %s\n", links[i].address, links[i].name);
	}
	for (size_t i = 0; i < port_count; i++) {
		const struct link_spec *link = find_link(links, link_count, ports[i].link);

		if (!link) {
			fclose(ip);
			fclose(tc);
			return error_new(ERROR_INTERNAL,
				"NIC %s is on link '%s', which is not declared", ports[i].tap,
				ports[i].link);
		}
		fprintf(ip, "tuntap add dev %s mode tap\nlink set %s master %s up\n", ports[i].tap,
			ports[i].tap, ports[i].link);
		shape(tc, &ports[i], link);
	}
	fclose(ip);
	fclose(tc);
	try_(run_batch("ip", ip_text));
	return tc_size ? run_batch("tc", tc_text) : NULL;
}

static struct error *read_counter(const char *device, const char *name, uint64_t *total)
{
	_cleanup_free_ char *path =
		format_string("%s/sys/class/net/%s/statistics/%s", lab_dir(), device, name);
	_cleanup_free_ char *text = fs_read_line(path);

	if (!text)
		return error_new(ERROR_SETUP, "cannot read %s", path);
	*total += strtoull(text, NULL, 10);
	return NULL;
}

struct error *network_counters(const char *device, uint64_t *frames, uint64_t *bytes)
{
	uint64_t f = 0, b = 0;

	try_(read_counter(device, "rx_packets", &f));
	try_(read_counter(device, "tx_packets", &f));
	try_(read_counter(device, "rx_bytes", &b));
	try_(read_counter(device, "tx_bytes", &b));
	*frames = f;
	*bytes = b;
	return NULL;
}
