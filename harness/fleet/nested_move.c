/* How L2 guests get from one L1 guest to the other: over the link "move", or through the channel in
 * shared memory. See nested.h. */
#include "harness/base/fs.h"
#include "harness/base/parallel.h"
#include "harness/fleet/nested_internal.h"
#include "harness/host/proc.h"

#include <errno.h>
#include <poll.h>
#include <sys/syscall.h>

#define CHANNEL_BYTES (2LL << 20)

enum {
	CHANNELS = 16, /* in the last NVDIMM, used in turn: an unused one may be waited at still */
	PORT_FIRST = 8000,
	PORTS_EACH = 64,
};

/* The members of a channel's requests, with `path` where it is not NULL. */
static json_t *channel_request(
	const struct nested *nested, const char *op, unsigned int channel, const char *path)
{
	_cleanup_free_ char *device = format_string("/dev/nested%u", nested->plan->spec.count);

	return json_pack("{s:s, s:s, s:I, s:I, s:s*}", "op", op, "device", device, "offset",
		(json_int_t)(channel * CHANNEL_BYTES), "bytes", (json_int_t)CHANNEL_BYTES, "path",
		path);
}

/* A socket of the source's stack, whose bytes come out at a socket of the target's. */
static struct error *provide_channel(struct nested *nested, unsigned int from, unsigned int to,
	const char *listen_path, const char *send_path)
{
	const struct fleet *inner = nested->inner;
	unsigned int channel = nested->channels_used++ % CHANNELS;
	struct deadline deadline = deadline_after_ms(30000);

	try_(nested_ask(inner, to, channel_request(nested, "channel-format", channel, NULL),
		deadline, NULL));
	try_(nested_ask(inner, to, channel_request(nested, "channel-connect", channel, listen_path),
		deadline, NULL));
	return nested_ask(inner, from,
		channel_request(nested, "channel-listen", channel, send_path), deadline, NULL);
}

static struct error *provide(struct fleet *inner, const struct guest *guest, unsigned int seat,
	unsigned int stack, char **listen_uri, char **send_uri)
{
	struct nested *nested = inner->remote_context;
	_cleanup_free_ char *dir = guest_dir(guest->name, seat);
	_cleanup_free_ char *listen_path = format_string("%s/migration.sock", dir);
	_cleanup_free_ char *name = guest_seat(guest->name, seat);
	_cleanup_free_ char *send_path = format_string("%s/to-%s.sock", lab_dir(), name);

	if (!send_uri || !nested->plan->spec.channel) {
		*listen_uri = format_string("tcp:%s:%u", nested_move_address(stack),
			PORT_FIRST + guest->number * PORTS_EACH + seat % PORTS_EACH);
		if (send_uri)
			*send_uri = format_string("%s", *listen_uri);
		return NULL;
	}
	try_(provide_channel(nested, guest->stack, stack, listen_path, send_path));
	*listen_uri = format_string("unix:%s", listen_path);
	*send_uri = format_string("unix:%s", send_path);
	return NULL;
}

static struct error *reach(
	struct fleet *inner, const struct guest *guest, unsigned int seat, unsigned int stack)
{
	struct nested *nested = inner->remote_context;
	struct nested_seat *reached;

	try_(nested_reach_seat(guest, seat, nested_host(nested->outer, stack), &reached));
	reached->next = nested->seats;
	nested->seats = reached;
	return NULL;
}

static void settle(struct fleet *inner, const struct guest *guest)
{
	struct nested *nested = inner->remote_context;
	struct nested_seat **at = &nested->seats;

	while (*at) {
		struct nested_seat *seat = *at;

		if (seat->guest != guest->number || seat->seat == guest->seat_number) {
			at = &seat->next;
			continue;
		}
		*at = seat->next;
		nested_seat_destroy(seat);
	}
}

/* Its QEMU is a child of the lab's stack, not ours: looked at by its pidfd. */
static struct error *end(struct fleet *inner, unsigned int stack, struct deadline deadline)
{
	struct nested *nested = inner->remote_context;
	pid_t pid = fleet_guest_pid(nested->outer, stack);
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	if (fd < 0)
		return errno == ESRCH ? NULL : error_errno(errno, "cannot watch an L1 guest");
	kill(pid, SIGKILL);
	while (poll(&pfd, 1, deadline_left_ms(deadline)) <= 0) {
		if (deadline_passed(deadline))
			return error_new(ERROR_TIMEOUT,
				"deadline passed while waiting for the end of an L1 guest");
	}
	return NULL;
}

/* Its agent starts the stack: QEMUs outlive the one that has died. */
static struct error *revive(
	struct fleet *inner, unsigned int stack, struct deadline deadline, bool *gone)
{
	static const char *const argv[] = {"/bin/sh", "/run/nested/start-stack", NULL};
	const struct nested *nested = inner->remote_context;
	_cleanup_(exec_result_deinit) struct exec_result result = {0};

	*gone = proc_has_ended(fleet_guest_pid(nested->outer, stack));
	if (*gone)
		return error_new(ERROR_GUEST, "L1 guest %u has ended", stack);
	try_(agent_exec(fleet_agent(nested->outer, stack), argv, NULL, 0, deadline, &result));
	if (result.exit_status == 0)
		return NULL;
	return error_new(ERROR_GUEST, "L1 guest %u cannot start its stack anew: %.300s", stack,
		result.errors);
}

const struct fleet_remote nested_remote = {
	.provide = provide, .reach = reach, .settle = settle, .revive = revive, .end = end};

/* ---- throughput ---- */

struct transfer {
	const struct nested *nested;
	unsigned int channel;
	json_int_t total;
	struct deadline deadline;
	double seconds;
};

/* Item 0 receives, item 1 sends: both at once. */
static struct error *transfer_side(size_t item, void *context)
{
	struct transfer *transfer = context;
	json_t *request = channel_request(transfer->nested,
		item == 0 ? "channel-drain" : "channel-flood", transfer->channel, NULL);
	_cleanup_json_ json_t *answer = NULL;

	json_object_set_new(request, "total", json_integer(transfer->total));
	try_(nested_ask(
		transfer->nested->inner, item == 0 ? 1 : 0, request, transfer->deadline, &answer));
	if (item == 0)
		transfer->seconds = json_number_value(json_object_get(answer, "seconds"));
	return NULL;
}

struct error *nested_channel_seconds(
	const struct nested *nested, uint64_t bytes, struct deadline deadline, double *seconds)
{
	/* Beyond those that migrations use. */
	struct transfer transfer = {
		.nested = nested,
		.channel = CHANNELS,
		.total = (json_int_t)bytes,
		.deadline = deadline,
	};

	try_(nested_ask(nested->inner, 1, channel_request(nested, "channel-format", CHANNELS, NULL),
		deadline, NULL));
	try_(parallel_for(2, 2, transfer_side, &transfer));
	*seconds = transfer.seconds;
	return NULL;
}
