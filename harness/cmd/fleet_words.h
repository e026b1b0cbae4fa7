/* What the words of `fleetlab fleet` ask for; shared by its actions. */
#pragma once

#include "harness/base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct fleet_words {
	const char *name; /* of the fleet */
	const char *image;
	uint64_t memory_bytes;
	unsigned int vcpus;
	bool cold, movable, json, input;
	int64_t timeout_ms;
};

/* The action `up`; as an action of fleet.c. */
struct error *fleet_up(const struct fleet_words *words, int argc, char **argv, int *exit_status);
