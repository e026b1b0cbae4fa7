/* A tunnel of OpenSSH: see ssh_tunnel.h. */
#include "workloads/host/ssh_tunnel.h"
#include "workloads/host/sshd.h"
#include "harness/base/fs.h"
#include "harness/base/process.h"
#include "harness/lab/lab.h"

#include <string.h>

enum { MAX_FORWARDS = 32, STOP_MS = 5000 };

struct tunnel {
	const struct place *client_place;
	char *address, *cipher; /* NULL: OpenSSH's choice of a cipher */
	struct place_process client, server;
};

/* ---- keys ---- */

static struct error *read_key(const char *path, char *text, size_t size)
{
	_cleanup_free_ char *read = NULL;

	try_(fs_read(path, size - 1, &read, NULL));
	snprintf(text, size, "%s", read);
	return NULL;
}

struct error *ssh_key_make(
	const char *directory, const char *name, struct deadline deadline, struct ssh_key *key)
{
	_cleanup_free_ char *secret = format_string("%s/%s", directory, name);
	_cleanup_free_ char *open = format_string("%s.pub", secret);
	const char *const argv[] = {"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "fleetlab",
		"-f", secret, NULL};

	try_(fs_make_dirs(directory));
	try_(process_check(argv, NULL, deadline, NULL));
	try_(read_key(secret, key->secret, sizeof(key->secret)));
	return read_key(open, key->open, sizeof(key->open));
}

/* Keys of one tunnel: whom the client believes to meet, and who it is. */
struct keys {
	struct ssh_key host, user;
};

static struct error *make_keys(struct deadline deadline, struct keys *keys)
{
	_cleanup_free_ char *directory = format_string("%s/keys-XXXXXX", lab_dir());
	struct error *err;

	if (!mkdtemp(directory))
		return error_new(ERROR_SETUP, "cannot create a directory for keys in the lab");
	err = ssh_key_make(directory, "host", deadline, &keys->host);
	if (!err)
		err = ssh_key_make(directory, "user", deadline, &keys->user);
	error_destroy(fs_remove_tree(directory));
	return err;
}

/* ---- the client ---- */

/* Whom `ssh` meets is known beforehand, so it asks nobody and trusts nobody else. */
static struct error *write_client_files(
	const struct tunnel_spec *spec, const struct keys *keys, struct deadline deadline)
{
	const struct place *place = spec->client;
	_cleanup_free_ char *identity = format_string("%s/identity", place->dir);
	_cleanup_free_ char *known = format_string("%s/known_hosts", place->dir);
	_cleanup_free_ char *path = format_string("%s/ssh_config", place->dir);
	_cleanup_free_ char *hosts =
		format_string("[%s]:%u %s", spec->address, spec->port, keys->host.open);
	/* The local command runs when ssh has logged in and listens at all its forwards. */
	_cleanup_free_ char *config = format_string(
		"Port %u\nUser root\nIdentityFile %s\nIdentitiesOnly yes\nIdentityAgent none\n"
		"UserKnownHostsFile %s\nGlobalKnownHostsFile none\nStrictHostKeyChecking yes\n"
		"UpdateHostKeys no\nBatchMode yes\nPreferredAuthentications publickey\n"
		"ExitOnForwardFailure yes\nStreamLocalBindUnlink yes\nLogLevel ERROR\n"
		"PermitLocalCommand yes\nLocalCommand echo tunnel is open\n",
		spec->port, identity, known);

	try_(place_write(place, identity, keys->user.secret, strlen(keys->user.secret), deadline));
	try_(place_write(place, known, hosts, strlen(hosts), deadline));
	return place_write(place, path, config, strlen(config), deadline);
}

struct error *tunnel_connect(struct tunnel *tunnel, const struct tunnel_forward *forwards,
	size_t forward_count, struct deadline deadline)
{
	_cleanup_free_ char *config = format_string("%s/ssh_config", tunnel->client_place->dir);
	const char *argv[8 + 2 * MAX_FORWARDS] = {"/usr/bin/ssh", "-F", config, "-N"};
	char *words[MAX_FORWARDS];
	size_t used = 4;
	struct error *err;

	if (forward_count > MAX_FORWARDS)
		return error_new(ERROR_INTERNAL, "a tunnel has at most %d forwards", MAX_FORWARDS);
	for (size_t i = 0; i < forward_count; i++) {
		words[i] = format_string("%s:%s", forwards[i].from, forwards[i].to);
		argv[used++] = "-L";
		argv[used++] = words[i];
	}
	if (tunnel->cipher) {
		argv[used++] = "-c";
		argv[used++] = tunnel->cipher;
	}
	argv[used] = tunnel->address;
	err = place_start(tunnel->client_place, "ssh", argv, deadline, &tunnel->client);
	for (size_t i = 0; i < forward_count; i++)
		free(words[i]);
	if (!err)
		err = place_await(&tunnel->client, "tunnel is open", deadline);
	return err ? error_prefix(err, "no SSH tunnel to %s", tunnel->address) : NULL;
}

void tunnel_disconnect(struct tunnel *tunnel)
{
	place_stop(&tunnel->client, deadline_after_ms(STOP_MS));
}

struct error *tunnel_prepare(
	const struct tunnel_spec *spec, struct deadline deadline, struct tunnel **tunnel)
{
	_cleanup_(cleanup_tunnel) struct tunnel *made = calloc(1, sizeof(*made));
	struct keys keys = {0};

	if (!made)
		abort();
	made->client_place = spec->client;
	made->address = format_string("%s", spec->address);
	made->cipher = spec->cipher ? format_string("%s", spec->cipher) : NULL;
	try_(make_keys(deadline, &keys));
	const struct sshd_spec server = {
		.address = spec->address,
		.port = spec->port,
		.authorized_key = keys.user.open,
		.host_key = keys.host.secret,
	};

	try_(sshd_start(spec->server, &server, deadline, &made->server));
	try_(write_client_files(spec, &keys, deadline));
	*tunnel = take_ptr(made);
	return NULL;
}

struct error *tunnel_open(
	const struct tunnel_spec *spec, struct deadline deadline, struct tunnel **tunnel)
{
	_cleanup_(cleanup_tunnel) struct tunnel *made = NULL;

	try_(tunnel_prepare(spec, deadline, &made));
	try_(tunnel_connect(made, spec->forwards, spec->forward_count, deadline));
	*tunnel = take_ptr(made);
	return NULL;
}

void tunnel_close(struct tunnel *tunnel)
{
	if (!tunnel)
		return;
	place_stop(&tunnel->client, deadline_after_ms(STOP_MS));
	place_stop(&tunnel->server, deadline_after_ms(STOP_MS));
	free(tunnel->address);
	free(tunnel->cipher);
	free(tunnel);
}

struct error *tunnel_cpu_time(
	struct tunnel *tunnel, struct deadline deadline, double *client_s, double *server_s)
{
	double client;

	try_(place_cpu_time(&tunnel->client, deadline, &client));
	try_(place_cpu_time(&tunnel->server, deadline, server_s));
	*client_s = client;
	return NULL;
}
