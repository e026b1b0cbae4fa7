/* A guest's RAM from outside, for the operations on it; nobody else includes this. */
#pragma once

#include "harness/fleet/stack_internal.h"

/* Where GPA 0 is in QEMU, and what lies there. */
struct ram {
	pid_t pid;
	uint64_t hva, bytes;
	unsigned int device_major, device_minor;
	uint64_t inode, offset; /* of the file; 0 for anonymous memory */
	bool shared;
	char *file; /* a name by which the mapped file can be opened; NULL for anonymous memory */
};

void ram_deinit(struct ram *ram);

/* Looks up what is mapped as a guest's RAM now. */
struct error *ram_find(struct stack_guest *guest, struct ram *ram);

/* Calls for stretches [from, to) of RAM that hold data, from `at` on; false ends the walk. */
typedef bool extent_visitor(uint64_t from, uint64_t to, void *context);

/* Of a file with holes only what lies between them; anything else (anonymous memory, devdax) holds
 * data everywhere. */
void ram_walk_data(const struct ram *ram, uint64_t at, extent_visitor *visit, void *context);

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}
