/* A guest seen from the lab: see fleet_status.h. Must never ask the guest, which may hang, nor wait
 * long for its QEMU, which may too. */
#include "harness/cmd/fleet_status.h"
#include "harness/base/fs.h"
#include "harness/fleet/guest_spec.h"
#include "harness/fleet/stack.h"
#include "harness/lab/cpu_time.h"
#include "harness/lab/network.h"

#include <string.h>

/* More NICs than any guest of ours has. */
enum { NICS_MOST = 8 };

/* For the balloons of all guests, and for one of them; QEMU tells in less than a millisecond. */
#define BALLOONS_MS 500
#define BALLOON_MS 200
#define CONNECT_MS 50

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
		_cleanup_free_ char *tap = guest_tap(
			fleet_guest_name(fleet, guest), fleet_guest_seat_number(fleet, guest), nic);

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

/* ---- balloons ---- */

static struct error *ask_balloon(const struct fleet *fleet, unsigned int guest, struct stack *stack,
	struct deadline deadline, json_t *status)
{
	_cleanup_json_ json_t *answer = NULL;

	try_(stack_request(stack,
		json_pack("{s:s, s:s, s:i}", "op", "balloon", "name",
			fleet_guest_seat(fleet, guest), "timeout_ms", deadline_left_ms(deadline)),
		deadline, &answer));
	json_object_set(status, "balloon_bytes", json_object_get(answer, "bytes"));
	return NULL;
}

void fleet_add_balloons(const struct fleet *fleet, json_t *guests)
{
	struct deadline deadline = deadline_after_ms(BALLOONS_MS);
	_cleanup_(cleanup_stack) struct stack *stack = NULL;
	unsigned int connected = 0; /* number of that stack */
	json_t *status;
	size_t i;

	json_array_foreach (guests, i, status) {
		unsigned int number = fleet_guest_stack(fleet, (unsigned int)i);
		struct error *err = NULL;

		if (deadline_passed(deadline))
			return;
		if (stack && connected != number) {
			stack_disconnect(stack);
			stack = NULL;
		}
		if (!stack)
			err = stack_connect_within(
				fleet_stack_socket(fleet, number), CONNECT_MS, &stack);
		connected = number;
		if (!err)
			err = ask_balloon(fleet, (unsigned int)i, stack,
				deadline_min(deadline, deadline_after_ms(BALLOON_MS)), status);
		error_destroy(err); /* it is not known, then */
	}
}
