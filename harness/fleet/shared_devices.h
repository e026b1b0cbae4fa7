/*
 * Shared-memory devices (ivshmem) on the way from one stack to another. They are plugged into a
 * running guest, so the target's QEMU does not have them by its arguments; and with x-ignore-shared
 * QEMU 7.2 takes a region only where the target has it at the same guest-physical address already
 * ("Mismatched GPAs for block"), which is before the state with the BARs in it is loaded. So the
 * target is given the same devices, and the bus numbers and BARs that the guest has programmed, by
 * way of the PCI configuration ports 0xcf8 and 0xcfc. The state that is loaded afterwards has the
 * same values.
 *
 * The source is only asked: its guest runs, and uses those ports itself.
 */
#pragma once

#include "harness/fleet/stack.h"

/* What shared-memory devices a guest has: an array, owned by the caller, empty for most guests. Its
 * objects have
 *   device    {driver, id, bus, addr, …}: arguments of device_add
 *   command   "object-add" or "chardev-add", which makes what the device stands on
 *   backend   {id, …}: arguments of that
 *   ports     [{bus, slot, function, numbers}]: the bridges on the way, from the root, each with
 *             its register of bus numbers
 *   bus, slot, function  where the device itself is
 *   memory    QOM path of the region's RAM
 *   address   where the guest has that; 0: nowhere yet
 * A device that QEMU would not let migrate (master=off) is an error. */
struct error *shared_devices_describe(
	struct stack *source, const char *guest, struct deadline deadline, json_t **devices);

/* Gives these devices to the target's QEMU, which was started with "-incoming defer" and does not
 * listen yet. A region that does not come to lie where the source's is, is an error. The migration
 * then needs x-ignore-shared on both ends, also when the guest's own RAM is sent: a region that is
 * sent would be written over what other guests have written since. */
struct error *shared_devices_provide(
	struct stack *target, const char *guest, const json_t *devices, struct deadline deadline);
