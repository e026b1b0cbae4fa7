/*
 * A stack on another machine: "qemu+ssh://[USER@]HOST[:PORT]/system", as libvirt's tools write it.
 * `fleetlab peer` is started there by ssh and opens a lab with one empty stack; here its socket
 * appears as if the stack ran beside us, so stack_connect() and move_run() need not know. Both ends
 * need the same fleetlab. Whichever end dies, the lab there ends and leaves nothing.
 *
 * Not carried over: the guests' networks (a lab's links end at its machine) and files, so what a
 * guest boots from must be at the same place there.
 *
 * A lab has no way to another machine: open a peer outside, in a directory that labs see.
 */
#pragma once

#include "harness/base/clock.h"
#include "harness/base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct peer_address {
	char destination[256]; /* for ssh: "HOST" or "USER@HOST" */
	uint16_t port;	       /* 0: ssh's choice */
};

/* Errors are ERROR_USAGE and name what is accepted. */
struct error *peer_parse(const char *uri, struct peer_address *address);

struct peer_options {
	const char *uri;
	const char *directory;	/* for sockets and ssh's log: short, private, made if missing */
	const char *ssh_config; /* as of ssh -F; NULL: the user's own */
	const char *program;	/* fleetlab there, a word for its shell; NULL: in its PATH */
};

struct peer;

/* Logs in without asking anybody, and returns when the stack is there. */
struct error *peer_open(
	const struct peer_options *options, struct deadline deadline, struct peer **peer);
/* Ends the stack, its guests and their lab. */
void peer_close(struct peer *peer);
DEFINE_CLEANUP(peer, struct peer *, peer_close)

/* For stack_connect(); borrowed. */
const char *peer_socket(const struct peer *peer);
/* "kvm" or "tcg": what runs guests there; borrowed. */
const char *peer_accelerator(const struct peer *peer);

/* A path here that leads to NAME in the directory of the lab there, where a QEMU listens or will:
 * for migration over ssh. Caller frees. */
struct error *peer_forward(
	struct peer *peer, const char *name, struct deadline deadline, char **path);
