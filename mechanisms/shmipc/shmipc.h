/* What the files of mechanisms/shmipc/ share; nobody else includes this. */
#pragma once

#include "mechanisms/mechanism.h"
#include "mechanisms/shmipc/region_service.h"

#include <string.h>

/* A trial's own state, from prepare to teardown. */
struct shmipc {
	struct region *region; /* NULL for the message-passing variants */
	/* before and after measuring, over all ports of the link */
	uint64_t frames_before, bytes_before;
	uint32_t last_run; /* number of the last verified run: the region still holds its content */
	uint64_t last_ints;
	uint64_t payload_bytes; /* that measured runs carried, both ways, without warm-up */
};

/* measure.c */
struct error *shmipc_measure(struct trial *trial);
/* evidence.c */
struct error *shmipc_evidence(struct trial *trial);
struct error *shmipc_count_traffic(struct trial *trial, uint64_t *frames, uint64_t *bytes);

/* The region of a trial: "ring", of group "members", with as many pages as the parameter says. */
struct region_spec shmipc_region(const struct trial *trial);

static inline bool shmipc_uses_region(const struct trial *trial)
{
	return strcmp(trial_choice(trial, "transport"), "shm") == 0;
}
