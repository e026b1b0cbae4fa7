/* What nested.c and nested_plan.c share; nobody else includes this. */
#pragma once

#include "harness/fleet/fleet_internal.h"
#include "harness/fleet/nested.h"
#include "harness/fleet/relay.h"

/* Where the stack in an L1 guest listens, on its management interface. */
#define NESTED_STACK_PORT 7070

/* An L1 guest's NICs, and the links of the lab, in this order. */
enum { NESTED_NIC_MOVE, NESTED_NIC_MANAGE, NESTED_NIC_LAN, NESTED_NICS };

struct nested_plan {
	struct nested_spec spec;
	struct image_request inner_image;
	struct fleet_extra extra;
	struct link_spec links[NESTED_NICS];
	struct nic_spec nics[NESTED_NICS];
	struct nic_spec guest_nic;
	char **qemu_args; /* NULL-terminated */
	size_t qemu_arg_count;
	char *key;
	struct fleet_spec inner; /* of the L2 guests */
};

/* Where a stack of L2 guests is: the L1 guest's address on the link "manage", and its QEMU. */
struct nested_host {
	const char *address; /* borrowed */
	pid_t qemu;
};

struct nested_host nested_host(const struct fleet *outer, unsigned int stack);

/* The L2 guests as a fleet, of which nothing runs yet: guests and relays to `stacks` L1 guests. */
struct error *nested_inner_fleet(const struct nested_plan *plan, enum fleet_start start,
	const struct nested_host *hosts, unsigned int stacks, struct deadline deadline,
	struct fleet **fleet);

/* A seat's sockets in the lab. */
struct nested_seat {
	struct nested_seat *next;
	unsigned int guest, seat;
	struct relay *agent, *control;
};

/* Makes the sockets of a guest's seat reachable: in the seat's directory in the lab. */
struct error *nested_reach_seat(const struct guest *guest, unsigned int seat,
	struct nested_host host, struct nested_seat **reached);
void nested_seat_destroy(struct nested_seat *seat);

struct nested {
	const struct nested_plan *plan;
	struct fleet *outer, *inner;
	struct template templates[NESTED_GUESTS_MAX]; /* argument vectors of the L2 guests' sizes */
	unsigned int channels_used;
	struct nested_seat *seats; /* of moves; those in which guests start stay for good */
};

/* One request to the stack in an L1 guest; takes `request` over. `answer` may be NULL. */
struct error *nested_ask(const struct fleet *inner, unsigned int stack, json_t *request,
	struct deadline deadline, json_t **answer);

/* ---- nested_move.c ---- */

/* How L2 guests get from one L1 guest to the other; remote_context is the struct nested. */
extern const struct fleet_remote nested_remote;

/* ---- nested_template.c: the hooks of fleet_extra; `context` is the plan ---- */
struct error *nested_prepare(const struct fleet_host *host, void *plan);
struct error *nested_ripen(struct fleet *outer, void *plan);
struct error *nested_saved(const struct fleet_host *host, void *plan);

/* The i-th NVDIMM: of the i-th L2 guest; the last is the channel's. The path is the caller's. */
char *nested_region_path(unsigned int region);
uint64_t nested_region_bytes(const struct nested_plan *plan, unsigned int region);
