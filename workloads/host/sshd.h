/*
 * A real OpenSSH server for a lab, without a trace on the host: no package is installed (Debian's
 * would start a service), no user or directory is added. The host's sshd is used where there is
 * one; else Debian's packages are downloaded into the cache, as the guest kernel's are, and
 * unpacked into the lab.
 *
 * What sshd insists on, its user and /run/sshd, it sees in a mount namespace of its own, as well as
 * the unpacked files below /usr. Its configuration, keys and log are in its directory; nothing of
 * /etc/ssh or of the user's ~/.ssh is read, and PAM is not used.
 */
#pragma once

#include "workloads/host/place.h"

/* Makes sure that a lab on this host can have a server; the network may be needed, once. Call it
 * outside of labs, which have none; `message` (may be NULL) is told what takes long. */
struct error *sshd_provide(
	struct deadline deadline, void (*message)(void *data, const char *text), void *data);

struct sshd_spec {
	const char *address; /* where it listens */
	uint16_t port;
	const char *authorized_key; /* the one public key that may log in as root */
	const char *host_key;	    /* its private host key, the text of the file */
};

/* Starts a server and returns when it listens. Its errors are its own last words. In a guest its
 * program must be installed as /usr/sbin/sshd. */
struct error *sshd_start(const struct place *place, const struct sshd_spec *spec,
	struct deadline deadline, struct place_process *process);
