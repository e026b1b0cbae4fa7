/* What network.c and machine.c share: commands for iproute2, collected and run in one go. */
#pragma once

#include "harness/base/error.h"

#include <stdint.h>

struct machine;

struct batch {
	FILE *ip, *tc; /* one command a line */
	char *ip_text, *tc_text;
	size_t ip_size, tc_size;
};

void batch_open(struct batch *batch);
void batch_close(struct batch *batch);

/* Runs what was collected, ip before tc, in a machine or (NULL) in the lab itself. */
struct error *batch_run(struct batch *batch, const struct machine *machine);
