/*
 * Carrying bytes: what connects sockets of the lab with those inside an L1 guest, so that whoever
 * speaks to a stack, an agent or a monitor there connects to a path as if it were beside us.
 */
#pragma once

#include "harness/base/error.h"

/* Carries bytes both ways until both directions have ended; the end of one is passed on as the end
 * of that one only. Takes over both descriptors. */
void relay_streams(int a, int b);

/* Opens the other end for one connection. Called from threads of the relay's own. */
typedef struct error *relay_open(void *context, int *fd);

/* A listening UNIX socket at `path`, each of whose connections is carried to what `open` gives.
 * When that fails the connection is closed. It serves until the process ends: a relay belongs to a
 * lab, and ends with it. `context` must live as long. */
struct error *relay_listen(const char *path, relay_open *open, void *context);

/* A TCP connection to a dotted address, without Nagle's delay. */
struct error *tcp_connect(const char *address, unsigned int port, int *fd);
/* A listening TCP socket on all addresses of one interface. */
struct error *tcp_listen(const char *interface, unsigned int port, int *fd);
