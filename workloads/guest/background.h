/*
 * Commands that go on beside others: with --daemon the command goes on in the background once it is
 * ready, and the caller learns that by the command's return. It ends by itself or, where it asks
 * background_ended(), when "collect" (or SIGTERM) tells it to, and then prints its result.
 */
#pragma once

#include "workloads/guest/command.h"

#include <poll.h>

struct background {
	bool wanted;
	const char *output; /* where the result goes then; NULL: nowhere */
	int ready_fd;
};

#define BACKGROUND_ROWS(b)                                                                         \
	{"daemon", OPTION_FLAG, &(b)->wanted, 0, 0,                                                \
		"go on in the background when ready, print {\"ready\": true, \"pid\": …}"},        \
	{                                                                                          \
		"output", OPTION_TEXT, &(b)->output, 0, 0,                                         \
			"with --daemon: the file for the result"                                   \
	}

/* Before any thread is started. In the background process returns; in the caller's prints and exits
 * as soon as that is ready or has failed. */
void background_start(struct background *background);
/* Now ready; `port` 0: has none. Without --daemon does nothing. */
void background_ready(struct background *background, unsigned int port);

/* For commands that can be told to end, before background_ready(): from then on SIGTERM only makes
 * background_ended() true. */
void background_endable(void);
bool background_ended(void);
/* poll(2) until the time `until` of clock_now() (UINT64_MAX: for ever) or until told to end. `pfds`
 * may be NULL. */
void background_poll(struct pollfd *pfds, nfds_t count, uint64_t until);
