/*
 * The dashboard's HTTP server: connections, who may ask, workers that make answers, and the answers
 * that are kept. Read-only, bounded in memory, whatever clients do.
 */
#pragma once

#include "harness/base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct server_options {
	const char *results_dir;
	const char *address;	/* "127.0.0.1", "::1", "0.0.0.0": an address, not a name */
	unsigned int port;	/* 0: any that is free */
	const char *token;	/* NULL: none; wanted on addresses that are not loopback ones */
	const char *cert, *key; /* PEM texts for TLS; both or neither */
	int64_t request_ms;	/* for a whole request to arrive; 0: as usual (20 s) */
};

struct server;

/* Listens and serves until server_destroy(). All strings are copied. */
struct error *server_create(const struct server_options *options, struct server **server);
void server_destroy(struct server *server);
DEFINE_CLEANUP(server, struct server *, server_destroy)
#define _cleanup_server_ _cleanup_(cleanup_server)

/* "http://127.0.0.1:8080/"; borrowed. */
const char *server_url(const struct server *server);

/* True for an address that only this host can reach; false, with *known false, for what is no
 * address at all. */
bool server_is_loopback(const char *address, bool *known);

/* A token that nobody can guess; `out` holds 65 bytes. */
struct error *server_random_hex(char *out);
