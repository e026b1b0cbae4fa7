/*
 * A shared region mapped into this process, and this process's membership in it. The region stands
 * at the same address in every member, so pointers into it mean the same everywhere. A handle
 * belongs to one thread at a time: the "threads" of a region are its member VMs.
 */
#pragma once

#include <stdbool.h>

#include "workloads/shm/layout.h"
#include "workloads/shm/status.h"

/* Where regions stand unless asked otherwise: below everything that Linux places by itself. */
#define REGION_DEFAULT_ADDRESS UINT64_C(0x7e0000000000)

struct doorbell;

struct region_options {
	const char *file;	  /* a file to map (processes of one kernel), NULL: a device */
	unsigned int device;	  /* which ivshmem device, counted from 0 in PCI order */
	uint64_t address;	  /* 0: REGION_DEFAULT_ADDRESS */
	uint32_t pages;		  /* when a fresh region is formatted; 0: all that is there */
	unsigned int member;	  /* this process's place in the member table */
	bool read_only;		  /* only read, also where writing would be possible */
	bool doorbell;		  /* sleep until the doorbell rings; else poll */
	uint64_t spin_ns;	  /* how long a wait spins before it sleeps or yields */
	uint64_t peer_timeout_ms; /* a member without a heartbeat for so long is gone; 0: 2000 */
	uint64_t deadline_ms; /* for opening: formatting by another, a dead predecessor; 0: 5000 */
};

/* What is remembered of a member that is waited for: only a change is news. */
struct region_watch {
	bool watched;
	uint32_t generation;
	uint64_t heartbeat;
	uint64_t seen_ns; /* when the heartbeat was last seen to change */
};

struct region {
	struct region_header *header;
	size_t bytes;  /* mapped; header->pages was checked against it and is not read again */
	char name[64]; /* PCI address or file, for messages */
	bool writable;
	bool joined;
	unsigned int member;
	uint32_t generation; /* of our own entry */
	uint64_t spin_ns;
	uint64_t peer_timeout_ns;
	struct doorbell *bell; /* NULL: this member polls */
	struct doorbell *held; /* what keeps the device open; `bell`, or unused */
	bool atomics;	       /* see region_check_atomics() */
	struct region_watch watches[REGION_MEMBERS];
	void *beat;		/* the heartbeat thread */
	uint64_t sleeps, rings; /* how often we slept until the doorbell, and rang another's */
	/* Sleeps that ended ready but unrung. A few are chance; many are lost rings. */
	uint64_t unrung_wakeups;
};

/*
 * Maps the region and, unless it is read-only for us, takes our place in the member table. Refuses
 * with a clear message when the address is taken, when there is no such device, when the header is
 * not one of ours and when a living member already has our place. A device whose backing the host
 * made read-only is found out by writing: `region->writable` says the result.
 */
enum shm_status region_open(const struct region_options *options, struct region **region);

/* Leaves (peers learn it at once) and unmaps. Takes NULL. */
void region_close(struct region *region);

/*
 * Refuses where atomic read-modify-write operations are not atomic between guests: under QEMU's TCG
 * in a machine that can have one processor only. Locks cannot work there; rings can, by polling,
 * and by doorbell but for a ring lost now and then, which costs 20 ms.
 */
enum shm_status region_check_atomics(const struct region *region);

/*
 * `bytes` at `offset` from the region's start, checked to lie in the data pages and `offset` to be
 * a multiple of a cache line; NULL (and a message) otherwise.
 */
void *region_at(struct region *region, uint64_t offset, uint64_t bytes);

/* Whether `bytes` at `pointer`, which came out of the region, lie in its data pages and aligned. */
bool region_contains(
	const struct region *region, const void *pointer, uint64_t bytes, size_t alignment);
