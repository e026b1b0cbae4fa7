/*
 * Waking another member that sleeps. A ring may come too often (waits re-check what they wait for)
 * but never gets lost: it stays pending until the next wait. Two kinds: ivshmem-doorbell through
 * VFIO, and FIFOs beside a file for processes of one kernel.
 */
#pragma once

#include "workloads/shm/status.h"

#include <stdbool.h>
#include <stdint.h>

struct doorbell {
	uint32_t self; /* what others ring us by */
	enum shm_status (*ring)(struct doorbell *bell, uint32_t peer);
	/* Returns when rung or at the latest at `until` (CLOCK_MONOTONIC, ns). */
	enum shm_status (*wait)(struct doorbell *bell, uint64_t until, bool *rung);
	void (*destroy)(struct doorbell *bell);
};

/* FIFOs FILE.bell0, FILE.bell1, … made as needed; `member` is our number. */
enum shm_status doorbell_open_fifo(const char *file, unsigned int member, struct doorbell **bell);

/* Takes NULL. */
void doorbell_destroy(struct doorbell *bell);

/* For the kinds of doorbell: polls `fd` for input until `until`; SHM_OK in either case. */
enum shm_status doorbell_poll(int fd, uint64_t until);
