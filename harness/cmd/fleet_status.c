/* A guest seen from the lab: see fleet_status.h. Must never ask the guest: it may hang. */
#include "harness/cmd/fleet_status.h"
#include "harness/base/fs.h"
#include "harness/fleet/guest_spec.h"
#include "harness/lab/cpu_time.h"
#include "harness/lab/network.h"

#include <string.h>

/* More NICs than any guest of ours has. */
enum { NICS_MOST = 8 };

static void set_bytes(json_t *status, const char *key, uint64_t value)
{
	json_object_set_new(status, key, json_integer((json_int_t)value));
}

/* The number on a line of /proc/PID/status, such as "VmRSS:"; 0 when there is none. */
static uint64_t status_line(const char *text, const char *name)
{
	const char *line = strstr(text, name);

	return line ? strtoull(line + strlen(name), NULL, 10) : 0;
}

static void add_process(json_t *status, const struct fleet *fleet, unsigned int guest)
{
	pid_t pid = fleet_guest_pid(fleet, guest);
	_cleanup_free_ char *path = format_string("/proc/%d/status", (int)pid);
	_cleanup_free_ char *text = NULL;
	struct error *err = fs_read(path, 1 << 16, &text, NULL);
	double seconds;

	error_destroy(err);
	if (err)
		return;
	set_bytes(status, "rss_bytes", status_line(text, "\nVmRSS:") << 10);
	set_bytes(status, "threads", status_line(text, "\nThreads:"));
	err = cpu_time_processes(&pid, 1, &seconds);
	error_destroy(err);
	if (!err)
		json_object_set_new(status, "cpu_s", json_real(seconds));
}

/* "g0.3" sits in seat 3. */
static unsigned int seat_number(const struct fleet *fleet, unsigned int guest)
{
	const char *dot = strrchr(fleet_guest_seat(fleet, guest), '.');

	return dot ? (unsigned int)strtoul(dot + 1, NULL, 10) : 0;
}

/* What a tap sends its guest receives. False when there is no such tap. */
static bool add_link(json_t *links, const char *tap)
{
	static const char *const counters[][2] = {{"rx_bytes", "tx_bytes"},
		{"tx_bytes", "rx_bytes"}, {"rx_packets", "tx_packets"},
		{"tx_packets", "rx_packets"}};
	_cleanup_json_ json_t *link = json_pack("{s:s}", "name", tap);

	for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
		uint64_t value;
		struct error *err = network_counter(tap, counters[i][1], &value);

		error_destroy(err);
		if (err)
			return false;
		set_bytes(link, counters[i][0], value);
	}
	json_array_append(links, link);
	return true;
}

static json_t *links_of(const struct fleet *fleet, unsigned int guest)
{
	json_t *links = json_array();
	bool more = true;

	for (size_t nic = 0; nic < NICS_MOST && more; nic++) {
		_cleanup_free_ char *tap =
			guest_tap(fleet_guest_name(fleet, guest), seat_number(fleet, guest), nic);

		more = add_link(links, tap);
	}
	return links;
}

json_t *fleet_guest_status(const struct fleet *fleet, unsigned int guest, unsigned int vcpus)
{
	_cleanup_free_ char *address = fleet_guest_address(fleet, guest, 0);
	uint64_t pss = 0;
	struct error *err = fleet_guest_pss(fleet, guest, &pss);
	json_t *status = json_pack("{s:s, s:s, s:f, s:b, s:I, s:i, s:I}", "name",
		fleet_guest_name(fleet, guest), "address", address, "ready_s",
		fleet_guest_ready_s(fleet, guest), "alive", err == NULL, "memory_bytes",
		(json_int_t)fleet_guest_memory(fleet, guest), "stack",
		(int)fleet_guest_stack(fleet, guest), "pss_bytes", (json_int_t)pss);

	error_destroy(err);
	if (vcpus)
		json_object_set_new(status, "vcpus", json_integer(vcpus));
	add_process(status, fleet, guest);
	json_object_set_new(status, "links", links_of(fleet, guest));
	return status;
}
