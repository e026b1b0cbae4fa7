/*
 * Carrying bytes: what connects sockets of the lab with those inside an L1 guest, so that whoever
 * speaks to a stack, an agent or a monitor there connects to a path as if it were beside us.
 */
#pragma once

#include "harness/base/error.h"

/* Carries bytes both ways until both directions have ended; the end of one is passed on as the end
 * of that one only. Or until `machine` is readable (-1: never), a pidfd of what one of the ends
 * runs in: a machine that has ended closes no connection. Takes over the descriptors. */
void relay_streams(int a, int b, int machine);

/* Opens the other end for one connection; *machine as above, which is -1 before. Called from
 * threads of the relay's own. */
typedef struct error *relay_open(void *context, int *fd, int *machine);

/* A listening UNIX socket at `path`, each of whose connections is carried to what `open` gives.
 * When that fails the connection is closed. `context` is taken over, also on failure, and released
 * by `release` when nothing uses it any more. Serves until relay_close(); never closed, until the
 * process ends. */
struct relay;
struct error *relay_listen(const char *path, relay_open *open, void (*release)(void *context),
	void *context, struct relay **relay);

/* Takes no more connections, which ends its thread; those that are there go on. NULL is fine. */
void relay_close(struct relay *relay);

/* A TCP connection to a dotted address, without Nagle's delay. */
struct error *tcp_connect(const char *address, unsigned int port, int *fd);
/* A listening TCP socket on all addresses of one interface. */
struct error *tcp_listen(const char *interface, unsigned int port, int *fd);
