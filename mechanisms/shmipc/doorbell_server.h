/*
 * Introduces the QEMUs of one region to each other, so that a write to one guest's doorbell
 * register becomes an interrupt in another (QEMU: docs/specs/ivshmem-spec, "Client-Server
 * protocol"). Once introduced, QEMUs signal each other by eventfd; the server is not in the path.
 *
 * Members can move to another QEMU, which QEMU 7.2 allows to peer 0 alone. So every member is told
 * that it is peer 0, and that member i of the others is peer i + 1; it must learn its own number in
 * another way, which is that its device has i + 1 vectors (the first is used). Each member has a
 * socket and an eventfd of its own, for ever: while it moves, both its QEMUs are connected and
 * listen to the same eventfd, and the others notice nothing. (A ring that the wrong one took is
 * made up for when the first goes. And QEMU 7.2 does not survive a peer that goes and comes again.)
 */
#pragma once

#include "harness/base/error.h"

#include <stddef.h>

struct doorbell_server;

enum { DOORBELL_MEMBERS_MAX = 64 };

/* Listens on "PREFIX.0", "PREFIX.1", … for as many members and serves in a thread; every client
 * gets a copy of `region_fd`. */
struct error *doorbell_server_create(
	const char *prefix, size_t members, int region_fd, struct doorbell_server **server);
/* Ends the thread and drops all clients; takes NULL. */
void doorbell_server_destroy(struct doorbell_server *server);

/* Clients connected now. */
unsigned int doorbell_server_peers(struct doorbell_server *server);
