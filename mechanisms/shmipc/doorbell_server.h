/*
 * Introduces the QEMUs of one region to each other, so that a write to one guest's doorbell
 * register becomes an interrupt in another (QEMU: docs/specs/ivshmem-spec, "Client-Server
 * protocol"). Once introduced, QEMUs signal each other by eventfd; the server is not in the path.
 */
#pragma once

#include "harness/base/error.h"

struct doorbell_server;

/* Listens on `socket_path` and serves in a thread; every client gets a copy of `region_fd`. */
struct error *doorbell_server_create(
	const char *socket_path, int region_fd, struct doorbell_server **server);
/* Ends the thread and drops all clients; takes NULL. */
void doorbell_server_destroy(struct doorbell_server *server);

/* Clients connected now. */
unsigned int doorbell_server_peers(struct doorbell_server *server);
