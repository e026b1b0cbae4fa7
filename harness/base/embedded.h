/*
 * Files compiled into the binary (embedded.S), so that one file is a whole installation, also when
 * copied into an L1 guest.
 */
#pragma once

#include <stddef.h>

struct embedded_file {
	const char *name; /* "fleetlab-guest", "papers/C.json", "web/index.html", … */
	const void *data; /* not NUL-terminated; static */
	size_t size;
};

/* NULL when there is no such file. */
const struct embedded_file *embedded_find(const char *name);

/* The i-th embedded file, NULL past the last one. */
const struct embedded_file *embedded_at(size_t index);
