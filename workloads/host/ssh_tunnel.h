/*
 * A real OpenSSH tunnel between two places, as people have between two hosts whose guests they
 * migrate: `ssh -N -L …` to an sshd of its own, with keys made for it that nothing else accepts.
 * Ciphers, compression (none) and buffers are OpenSSH's defaults.
 */
#pragma once

#include "workloads/host/place.h"

/* One way through the tunnel, in the words of ssh's option -L: "ADDRESS:PORT" or the path of a UNIX
 * socket. Nobody need listen at `to` before the first connection. */
struct tunnel_forward {
	const char *from; /* at the client; made by ssh */
	const char *to;	  /* as the server reaches it */
};

struct tunnel_spec {
	const struct place *client, *server; /* with directories of their own for this tunnel */
	const char *address;		     /* of the server, which listens there only */
	uint16_t port;
	const struct tunnel_forward *forwards;
	size_t forward_count;
	const char *cipher; /* as of `ssh -Q cipher`; NULL: OpenSSH's choice */
};

struct tunnel;

/* The first half of tunnel_open(): keys for both sides and the server, which listens. What a host
 * has before anyone migrates a guest. `forwards` of the spec do not count. */
struct error *tunnel_prepare(
	const struct tunnel_spec *spec, struct deadline deadline, struct tunnel **tunnel);
/* The other half: the client logs in. It may do so again after tunnel_disconnect(). */
struct error *tunnel_connect(struct tunnel *tunnel, const struct tunnel_forward *forwards,
	size_t forward_count, struct deadline deadline);
/* Ends the client; harmless when there is none. */
void tunnel_disconnect(struct tunnel *tunnel);

/* Both. Returns when the client has logged in and listens. Errors are ssh's or sshd's own last
 * words. The places and what they refer to must live as long as the tunnel. */
struct error *tunnel_open(
	const struct tunnel_spec *spec, struct deadline deadline, struct tunnel **tunnel);

/* Ends ssh and its sshd, and nothing else. */
void tunnel_close(struct tunnel *tunnel);
DEFINE_CLEANUP(tunnel, struct tunnel *, tunnel_close)

/* CPU seconds that ssh and sshd have used up to now. */
struct error *tunnel_cpu_time(
	struct tunnel *tunnel, struct deadline deadline, double *client_s, double *server_s);

/* A throw-away key of type ed25519: both halves, as in their files. */
struct ssh_key {
	char secret[1024], open[256];
};

/* Makes one, NAME and NAME.pub in `directory` of the lab. */
struct error *ssh_key_make(
	const char *directory, const char *name, struct deadline deadline, struct ssh_key *key);
