/* What tests of peers share: an SSH server in the lab, or in its second machine, that stands for
 * another host. */
#pragma once

#include "harness/fleet/peer.h"
#include "workloads/host/ssh_tunnel.h"
#include "workloads/host/sshd.h"

enum { OTHER_PORT = 2222, OTHER_TIMEOUT_MS = 60000 };

struct other {
	char *dir, *query; /* the query of its URI */
	struct place place;
	struct place_process sshd;
};

/* The server listens at `address` in `machine` (NULL: in the lab); `program` is fleetlab there. */
static inline struct error *make_other_with(
	const char *program, struct machine *machine, const char *address, struct other *other)
{
	struct deadline deadline = deadline_after_ms(OTHER_TIMEOUT_MS);
	struct ssh_key host, user;

	*other = (struct other){.dir = format_string("%s/ssh", lab_dir())};
	other->query = format_string(
		"keyfile=%s/user&known_hosts=%s/known&command=%s", other->dir, other->dir, program);
	other->place = (struct place){.name = "the other", .dir = other->dir, .machine = machine};
	try_(ssh_key_make(other->dir, "host", deadline, &host));
	try_(ssh_key_make(other->dir, "user", deadline, &user));
	const struct sshd_spec server = {address, OTHER_PORT, user.open, host.secret};
	_cleanup_free_ char *known = format_string("%s/known", other->dir);
	_cleanup_free_ char *hosts = format_string("[%s]:%d %s", address, OTHER_PORT, host.open);

	try_(sshd_start(&other->place, &server, deadline, &other->sshd));
	return place_write(&other->place, known, hosts, strlen(hosts), deadline);
}

/* The same with the test's own program. */
static inline struct error *make_other(
	struct machine *machine, const char *address, struct other *other)
{
	_cleanup_free_ char *program = realpath("/proc/self/exe", NULL);

	return make_other_with(program, machine, address, other);
}

static inline char *other_uri(const struct other *other, const char *address, int port)
{
	return format_string("qemu+ssh://root@%s:%d/system?%s", address, port, other->query);
}

static inline struct error *open_peer(
	const struct other *other, const char *address, int port, struct peer **peer)
{
	_cleanup_free_ char *directory = format_string("%s/peer", lab_dir());
	_cleanup_free_ char *uri = other_uri(other, address, port);

	return peer_open(uri, directory, deadline_after_ms(OTHER_TIMEOUT_MS), 0, peer);
}
