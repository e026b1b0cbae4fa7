/*
 * Servers that need no sleeping clients: with --daemon the command goes on in the background once
 * it is ready, and the caller learns that by the command's return.
 */
#pragma once

#include "workloads/guest/command.h"

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
