/*
 * The region service: named regions of shared memory on the host, each open to the guests of one
 * group. It plays the part of the paper's hypercall (section 4.2) with stock QEMU: a member gets an
 * ivshmem device that maps the region, anyone else gets none. The memory is a file in the lab's own
 * tmpfs, so regions end with the lab. Members with a doorbell are introduced to each other by the
 * service, in the protocol of QEMU's docs/specs/ivshmem-spec.
 */
#pragma once

#include "harness/fleet/fleet.h"

#include <stddef.h>
#include <stdint.h>

/* The paper's region: 1025 pages of 4 KiB (section 4.1.1). */
#define REGION_PAPER_PAGES 1025
#define REGION_PAGE_BYTES 4096

enum region_access { REGION_READ_WRITE, REGION_READ_ONLY };

/* What a region is; strings are borrowed for the time of each call. */
struct region_spec {
	const char *name;  /* 1 to 16 letters and digits */
	const char *group; /* whose guests may have it */
	uint32_t pages;
};

struct region;

/* Creates the region. Inside a lab only. */
struct error *region_create(const struct region_spec *spec, struct region **region);
/* Ends the doorbell service and unmaps; the file goes with the lab. Takes NULL. */
void region_destroy(struct region *region);

/* Serves doorbells of this region to guests 0 … members-1 from now on, in a thread of its own. */
struct error *region_serve_doorbells(struct region *region, size_t members);

/* The monitor commands that give members of `group` this region in port "plug0": two entries of
 * plugs[], whose arguments the caller frees. `guests` as in struct plug_spec. A guest of another
 * group is refused. Needs no lab. */
struct error *region_plugs(const struct region_spec *spec, const char *group,
	enum region_access access, uint64_t guests, struct plug_spec plugs[2]);
/* The same with doorbells for one guest, of a region with region_serve_doorbells(). */
struct error *region_doorbell_plugs(const struct region_spec *spec, const char *group,
	unsigned int guest, struct plug_spec plugs[2]);

/* The region as the host sees it: `size` bytes, a multiple of the page size, mapped read-only. What
 * is in there was written by guests. */
const unsigned char *region_memory(const struct region *region, size_t *size);

/* Bytes of the device's memory: the next power of two (a PCI BAR cannot have another size). */
size_t region_device_bytes(uint32_t pages);

/* Members with a doorbell that are connected now. */
unsigned int region_peers(const struct region *region);
