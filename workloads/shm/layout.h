/*
 * What a shared region looks like, for guests and for the host alike: one header page, then data
 * pages. Everything in a region may have been written by a hostile member: a reader checks every
 * length, index and pointer before it uses it, and reads a value it has checked only once.
 */
#pragma once

#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define REGION_PAGE 4096
#define REGION_VERSION 1
#define REGION_MEMBERS 32

/* Header page + the data pages of the paper's experiment (section 4.1.1: 1025 pages). */
#define REGION_DEFAULT_PAGES 1025

/* "FLEETSHM"; a fresh region is zero, and FORMATTING while its header is being written. */
#define REGION_MAGIC UINT64_C(0x4d48535445454c46)
#define REGION_FORMATTING UINT64_C(0x2e2e2e2e2e2e2e2e)

/* Fields that different members write stand in lines of their own, or they would slow each other.
 */
#define REGION_LINE 64

enum member_state {
	MEMBER_ABSENT,
	MEMBER_STARTING, /* has taken its place, is not ready to be met */
	MEMBER_PRESENT,
	MEMBER_LEFT, /* went on purpose */
};

/* One member's entry. Written by that member, but for `admitted` and the host's right to raise
 * `generation`, by which it declares a member gone whose guest it has ended. */
struct region_member {
	alignas(REGION_LINE) _Atomic uint32_t state; /* enum member_state */
	_Atomic uint32_t generation;		     /* + 1 with every join */
	_Atomic uint64_t heartbeat;		     /* changes as long as the member lives */
	_Atomic uint32_t following; /* the leader's (member 0's) generation this one has seen */
	_Atomic uint32_t admitted;  /* by the leader: the generation of this one it has seen */
	_Atomic uint32_t bell;	    /* id to ring this member by, + 1; 0: it has no doorbell */
};

struct region_header {
	_Atomic uint64_t magic; /* written last */
	uint32_t version;
	uint32_t pages;		     /* of REGION_PAGE bytes, header included */
	_Atomic uint32_t generation; /* + 1 with every formatting */
	alignas(REGION_LINE) _Atomic uint64_t write_probe; /* see region_open() */
	alignas(REGION_LINE) struct region_member members[REGION_MEMBERS];
};

_Static_assert(sizeof(struct region_header) <= REGION_PAGE, "the header is one page");
_Static_assert(sizeof(struct region_member) == REGION_LINE, "a member is one line");

/*
 * Writes a new header into `memory`. Guests do it themselves in a region of zeros; a host that
 * wants to reuse a region, or to decide its size in pages itself, does it before any guest runs.
 */
static inline void region_format(void *memory, uint32_t pages)
{
	struct region_header *header = memory;
	uint32_t generation = atomic_load_explicit(&header->generation, memory_order_relaxed);

	atomic_store_explicit(&header->magic, REGION_FORMATTING, memory_order_relaxed);
	header->version = REGION_VERSION;
	header->pages = pages;
	atomic_store_explicit(&header->generation, generation + 1, memory_order_relaxed);
	for (unsigned int i = 0; i < REGION_MEMBERS; i++)
		atomic_store_explicit(
			&header->members[i].state, MEMBER_ABSENT, memory_order_relaxed);
	/* Release: whoever sees the magic sees the header it stands for. */
	atomic_store_explicit(&header->magic, REGION_MAGIC, memory_order_release);
}

/* For the host: declares a member gone; those who wait for it get an error at once. */
static inline void region_declare_gone(struct region_header *header, unsigned int member)
{
	atomic_fetch_add_explicit(&header->members[member].generation, 1, memory_order_release);
}
