/*
 * The nested topology (paper D): two guests of the lab ("L1", a fleet of its own: g0 and g1) are
 * two virtualization systems. They share NVDIMMs, which are files of the lab, and the RAM of the
 * guests inside them ("L2": n0, n1, …) is these, so an L2 guest can be moved from one L1 to the
 * other without copying. No hypervisor is changed.
 *
 * L1 guests are clones of a template in which the L2 guests have booted and stand still, so a trial
 * begins with everything booted: nested_plan's `fleet_extra` makes such a template.
 *
 * Links of the lab: "move" between the L1 guests (migrations), "manage" (their stacks and agents),
 * "lan" (the L2 guests' own, bridged through the L1 guests). The L2 guests have the addresses
 * 10.77.2.(i + 1).
 *
 * Use: nested_plan_create() and nested_fleet_spec() where the fleet is specified, fleet_open(),
 * nested_open().
 */
#pragma once

#include "harness/fleet/fleet.h"
#include "harness/fleet/move.h"

enum { NESTED_GUESTS_MAX = 8, NESTED_STACKS = 2 };

/* Plain data; strings are borrowed. */
struct nested_spec {
	unsigned int count; /* L2 guests */
	uint64_t memory_bytes[NESTED_GUESTS_MAX];
	unsigned int vcpus;		  /* of each L2 guest; 0: 1 */
	struct image_request guest_image; /* what L2 guests boot; zeroed: "tiny" */
	const char *guest_nic;		  /* model of the L2 guests' NIC; NULL: virtio-net-pci */
	const char *move_nic; /* model of the L1 guests' NIC for migrations; NULL: the same */
	bool channel;	      /* migrations go through shared memory instead of that NIC */
	const char *program;  /* fleetlab, for the L1 guests; NULL: this program */
	uint64_t outer_memory_bytes; /* of each L1 guest; 0: 1 GiB */
	unsigned int outer_vcpus;    /* 0: 1 */
};

/* Owns what a fleet_spec points to; must live as long as the trial. */
struct nested_plan;
struct nested_plan *nested_plan_create(const struct nested_spec *spec);
void nested_plan_destroy(struct nested_plan *plan);
DEFINE_CLEANUP(nested_plan, struct nested_plan *, nested_plan_destroy)

/* The fleet of the two L1 guests. */
void nested_fleet_spec(struct nested_plan *plan, struct fleet_spec *spec);

/* Two L1 guests and the L2 guests in the first of them. */
struct nested;

/* Lets the L2 guests run that stand still in the first L1 guest's template, ends those in the
 * second's, and makes them individuals. `outer` is the open fleet of nested_fleet_spec(), and is
 * borrowed. */
struct error *nested_open(struct fleet *outer, const struct nested_plan *plan,
	struct deadline deadline, struct nested **nested);
void nested_close(struct nested *nested);
DEFINE_CLEANUP(nested, struct nested *, nested_close)

/* The L2 guests as a fleet: their agents, jobs and addresses as of any other, and fleet_move()
 * between its stacks 0 and 1, which are those in the two L1 guests. Copying methods give a guest
 * memory of the target's L1 guest, which must have as much; fleet_end_stack() ends the L1 guest. */
struct fleet *nested_guests(const struct nested *nested);

/* Whether the two L1 guests' QEMUs map the very same file as the i-th NVDIMM, which is the RAM of
 * the i-th L2 guest: looked up in /proc, in the lab, so from outside of what is measured. */
struct error *nested_same_memory(const struct nested *nested, unsigned int guest, bool *same);

/* The living QEMUs of an L2 guest in one of the L1 guests, as that one's own kernel has them. */
struct nested_sight {
	unsigned int processes;
	unsigned int on_nvdimm; /* of these, that map the guest's NVDIMM */
};

/* Looks for them in /proc of the L1 guest, by its agent; no stack is asked. */
struct error *nested_look(const struct nested *nested, unsigned int guest, unsigned int stack,
	struct deadline deadline, struct nested_sight *sight);

/* Seconds that the channel in shared memory takes for `bytes` from the first L1 guest to the
 * second, as the receiver measures it. */
struct error *nested_channel_seconds(
	const struct nested *nested, uint64_t bytes, struct deadline deadline, double *seconds);

/* Dotted address of an L1 guest on the link "move". */
const char *nested_move_address(unsigned int stack);
