/*
 * What the shm-… commands share: their options, opening the region, leaving it whatever happens.
 */
#pragma once

#include "workloads/guest/background.h"
#include "workloads/guest/command.h"
#include "workloads/shm/region.h"

struct shm_options {
	const char *file;
	uint64_t device, address, pages, member, members, spin_ns, peer_timeout_ms, deadline_ms;
	const char *mode; /* polling, doorbell */
	bool read_only;
	struct background background;
};

#define SHM_DEFAULTS                                                                               \
	{                                                                                          \
		.members = 2, .spin_ns = UINT64_MAX, .peer_timeout_ms = 2000, .deadline_ms = 30000 \
	}

#define SHM_ROWS(o)                                                                                \
	{"device", OPTION_NUMBER, &(o)->device, 0, 255,                                            \
		"which shared memory device, in PCI order (0)"},                                   \
		{"file", OPTION_TEXT, &(o)->file, 0, 0, "a file instead of a device"},             \
		{"address", OPTION_NUMBER, &(o)->address, 0, UINT64_MAX,                           \
			"where to map the region, the same in all members (0x7e0000000000)"},      \
		{"pages", OPTION_NUMBER, &(o)->pages, 2, UINT32_MAX,                               \
			"size of a fresh region, header page included (all there is)"},            \
		{"mode", OPTION_TEXT, &(o)->mode, 0, 0, "polling (the default) or doorbell"},      \
		{"spin-ns", OPTION_NUMBER, &(o)->spin_ns, 0, UINT64_C(60000000000),                \
			"how long to spin before sleeping (polling: 1000000, doorbell: 20000)"},   \
		{"peer-timeout-ms", OPTION_NUMBER, &(o)->peer_timeout_ms, 100, 3600000,            \
			"a peer without heartbeat for so long is gone (2000)"},                    \
		{"deadline-ms", OPTION_NUMBER, &(o)->deadline_ms, 1, 86400000,                     \
			"for all of it (30000)"},                                                  \
		BACKGROUND_ROWS(&(o)->background)

#define SHM_MEMBER_ROWS(o)                                                                         \
	{"member", OPTION_NUMBER, &(o)->member, 0, REGION_MEMBERS - 1, "which member this is"},    \
	{                                                                                          \
		"members", OPTION_NUMBER, &(o)->members, 1, REGION_MEMBERS, "of how many (2)"      \
	}

/* Goes to the background if asked, opens the region and adds how to the JSON object. The region is
 * closed at exit, also by die(), so that peers learn of it at once. */
struct region *shm_begin(struct shm_options *options);

/* Adds how waiting went to the JSON object. */
void shm_report(const struct region *region);

/* When all must be over: `deadline_ms` from shm_begin(). */
uint64_t shm_deadline(void);

/* Dies with the library's message when `status` is not SHM_OK. */
void shm_check(enum shm_status status);

/* Dies when --mode is neither; true for doorbell. */
bool shm_wants_doorbell(const struct shm_options *options);
