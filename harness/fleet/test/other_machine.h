/* What tests of peers share: a lab's second machine (number 1, on the link "lan") as another host
 * that is reached by ssh. The test's program is fleetlab there. */
#pragma once

#include "harness/fleet/peer.h"
#include "workloads/host/ssh_tunnel.h"
#include "workloads/host/sshd.h"

#define OTHER_URI "qemu+ssh://root@10.77.0.253:2222/system"

/* A second machine with an sshd, and a configuration of ssh that may log in there. */
struct other {
	char *dir, *config, *program;
	struct place place;
	struct place_process sshd;
};

static inline struct error *make_other(struct machine *machine, struct other *other)
{
	struct ssh_key host, user;

	*other = (struct other){.dir = format_string("%s/ssh", lab_dir()),
		.config = format_string("%s/ssh/config", lab_dir()),
		.program = realpath("/proc/self/exe", NULL)};
	other->place = (struct place){.name = "machine 1", .dir = other->dir, .machine = machine};
	try_(ssh_key_make(other->dir, "host", deadline_after_ms(30000), &host));
	try_(ssh_key_make(other->dir, "user", deadline_after_ms(30000), &user));
	const struct sshd_spec server = {"10.77.0.253", 2222, user.open, host.secret};

	try_(sshd_start(&other->place, &server, deadline_after_ms(30000), &other->sshd));
	_cleanup_free_ char *known = format_string("%s/known", other->dir);
	_cleanup_free_ char *hosts = format_string("[10.77.0.253]:2222 %s", host.open);
	_cleanup_free_ char *config =
		format_string("IdentityFile %s/user\nIdentitiesOnly yes\nIdentityAgent none\n"
			      "UserKnownHostsFile %s\nStrictHostKeyChecking yes\n",
			other->dir, known);

	try_(place_write(&other->place, known, hosts, strlen(hosts), deadline_after_ms(30000)));
	return place_write(
		&other->place, other->config, config, strlen(config), deadline_after_ms(30000));
}

static inline struct error *open_peer(
	const struct other *other, const char *uri, struct peer **peer)
{
	_cleanup_free_ char *directory = format_string("%s/peer", lab_dir());
	const struct peer_options options = {
		.uri = uri,
		.directory = directory,
		.ssh_config = other->config,
		.program = other->program,
	};

	return peer_open(&options, deadline_after_ms(30000), peer);
}
