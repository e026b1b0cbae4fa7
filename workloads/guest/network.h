/*
 * What the network benchmarks share: options, and getting from them to a connected socket.
 */
#pragma once

#include "workloads/guest/background.h"
#include "workloads/guest/command.h"

struct network_options {
	const char *role; /* server, client */
	const char *host; /* client: whom to talk to; server: where to listen */
	uint64_t port, deadline_ms;
	struct background background;
};

#define NETWORK_DEFAULTS                                                                           \
	{                                                                                          \
		.role = "", .deadline_ms = 30000                                                   \
	}

#define NETWORK_ROWS(o)                                                                            \
	{"role", OPTION_TEXT, &(o)->role, 0, 0, "server (answers) or client (measures)"},          \
		{"host", OPTION_TEXT, &(o)->host, 0, 0,                                            \
			"client: the server's IPv4 address; server: where to listen (all)"},       \
		{"port", OPTION_NUMBER, &(o)->port, 0, 65535, "server: 0 chooses a free one"},     \
		{"deadline-ms", OPTION_NUMBER, &(o)->deadline_ms, 1, 86400000,                     \
			"for any one step, and for a client to come (30000)"},                     \
		BACKGROUND_ROWS(&(o)->background)

bool network_is_server(const struct network_options *options);

/*
 * Client: a connected socket. Server: goes to the background if asked, once it listens; then the
 * socket of the first client (`type` SOCK_STREAM) or a bound one (SOCK_DGRAM). Calls on it fail
 * with EAGAIN after the deadline.
 */
int network_open(struct network_options *options, int type);

/* What errno says, with "the deadline passed" for a socket's timeout. */
const char *network_reason(void);

/* How long a receive on the socket waits. */
void network_set_timeout(int fd, uint64_t milliseconds);
