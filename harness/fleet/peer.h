/*
 * A stack on another machine, named as libvirt's tools write it:
 *
 *   qemu+ssh://[USER@]HOST[:PORT]/system[?keyfile=FILE&known_hosts=FILE&command=PROGRAM]
 *
 * `fleetlab peer` (or PROGRAM, in the words of its shell's PATH) is started there by ssh and opens
 * a lab with one empty stack; here its socket appears as if the stack ran beside us, so
 * stack_connect() and move_run() need not know. Both ends need the same fleetlab and accelerator.
 * Whichever end dies, the lab there ends and leaves nothing; where nobody can tell, as when a cable
 * is cut, it does so after the time it was given.
 *
 * A lab has no way to another machine: open a peer outside, in a directory that labs see. What is
 * opened so can be used in a lab that is forked off afterwards.
 */
#pragma once

#include "harness/base/clock.h"
#include "harness/base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct peer_address {
	char destination[256]; /* for ssh: "HOST" or "USER@HOST" */
	uint16_t port;	       /* 0: ssh's choice */
	/* Of the query; empty: what ssh takes by itself, and "fleetlab". */
	char keyfile[256], known_hosts[256], command[256];
};

/* Errors are ERROR_USAGE and name what is accepted. */
struct error *peer_parse(const char *uri, struct peer_address *address);

struct peer;

/* Where a run's peer has its directory: a run has the host to itself. Caller frees. */
char *peer_directory(void);

/* Logs in without asking anybody, and returns when the stack is there. `directory` is for sockets
 * and ssh's log: short, private, made if missing, and removed by peer_close().
 * The lab there ends by itself after `lifetime_s` (0: some minutes), should this machine or the way
 * to it be lost. That machine must have no run of its own, and has none until then. */
struct error *peer_open(const char *uri, const char *directory, struct deadline deadline,
	unsigned int lifetime_s, struct peer **peer);
/* Ends the stack, its guests and their lab. */
void peer_close(struct peer *peer);
DEFINE_CLEANUP(peer, struct peer *, peer_close)

/* For stack_connect(); borrowed. */
const char *peer_socket(const struct peer *peer);
/* Whether it is this same host after all. */
bool peer_is_here(const struct peer *peer);
/* The other host's fingerprint (host/facts.h), hostile input; borrowed. */
const json_t *peer_host(const struct peer *peer);

/* For migration, where a QEMU listens or will. NAME is a socket's file name that has not been used
 * before. *here is its path on this machine, of which the caller frees the text, and *there its
 * path in the lab on the other one: the first leads to the second, or with `back` the second to the
 * first. */
struct error *peer_forward(struct peer *peer, const char *name, bool back, struct deadline deadline,
	char **here, char **there);

/* Bytes that ssh has carried between the machines up to now, both ways, its own among them: half of
 * what the kernel has seen it read and write. */
struct error *peer_carried(const struct peer *peer, uint64_t *bytes);

/* CPU seconds up to now, to the tick, by both machines' /proc: `here` of ssh, `there` of its other
 * end, the lab, and all that they have started (asking for this among it). */
struct error *peer_cpu_time(
	const struct peer *peer, struct deadline deadline, double *here, double *there);

/* How many QEMUs of this guest live in the lab there, by the other machine's /proc. */
struct error *peer_count_qemus(
	const struct peer *peer, const char *guest, struct deadline deadline, unsigned int *count);
