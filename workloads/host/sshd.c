/* An OpenSSH server that changes nothing of its host: see sshd.h. */
#include "workloads/host/sshd.h"
#include "harness/base/fs.h"
#include "harness/image/packages.h"
#include "harness/lab/lab.h"

#include <string.h>

#define SSHD "/usr/sbin/sshd"

/* libwrap0 is the one library of sshd that nothing else brings: libvirt, QEMU and openssh-client
 * have the others on every host that can run fleetlab. */
static const char *const packages[] = {"openssh-server", "libwrap0"};

/* $1 its directory, $2 unpacked packages or "", $3 the runtime directory to keep in sight. Runs in
 * a mount namespace of its own. The account of root may be locked on this host, which sshd would
 * heed. */
static const char script[] =
	"set -eu; dir=$1 tree=$2 runtime=$3\n"
	"[ -z \"$tree\" ] || mount -n -t overlay overlay -o \"lowerdir=$tree/usr:/usr\" /usr\n"
	"grep -q ^sshd: /etc/passwd && cp /etc/passwd \"$dir/passwd\" ||\n"
	"  { cat /etc/passwd; echo sshd:x:65533:65534::/run/sshd:/bin/false; } >\"$dir/passwd\"\n"
	"mount -n --bind \"$dir/passwd\" /etc/passwd\n"
	"if [ -e /etc/shadow ]; then\n"
	"  printf '%s:*:19000:0:99999:7:::\\n' root sshd >\"$dir/shadow\"\n"
	"  mount -n --bind \"$dir/shadow\" /etc/shadow\n"
	"fi\n"
	"if [ ! -d /run/sshd ]; then\n"
	"  mkdir -p \"$dir/run\"; mount -n -t tmpfs -o mode=755 run \"$dir/run\"\n"
	"  mkdir -p \"$dir/run/sshd\"\n"
	"  case $runtime in /run/*)\n"
	"    mkdir -p \"$dir$runtime\"; mount -n --rbind \"$runtime\" \"$dir$runtime\";; esac\n"
	"  mount -n --move \"$dir/run\" /run\n"
	"fi\n"
	"exec " SSHD " -D -e -f \"$dir/sshd_config\"\n";

static struct error *fetch(struct cache *cache, struct package_list *list)
{
	_cleanup_free_ char *work = format_string("%s/sshd-%d", cache->packages, (int)getpid());
	struct error *err = fs_make_dirs(work);

	if (!err)
		err = packages_fetch(
			cache, work, packages, ARRAY_SIZE(packages), PACKAGES_ONLY, list);
	error_destroy(fs_remove_tree(work));
	if (!err)
		return NULL;
	return error_hint(error_prefix(err, "no OpenSSH server on this host"),
		"install openssh-server, or give this host's apt a network");
}

struct error *sshd_provide(
	struct deadline deadline, void (*message)(void *data, const char *text), void *data)
{
	_cleanup_(cache_deinit) struct cache cache;
	_cleanup_(package_list_deinit) struct package_list list = {0};

	if (access(SSHD, X_OK) == 0)
		return NULL;
	cache_init(&cache);
	cache.deadline = deadline;
	cache.message = message;
	cache.message_data = data;
	try_(cache_lock(&cache));
	struct error *err = fetch(&cache, &list);

	cache_unlock(&cache);
	return err;
}

static struct error *unpack(const char *directory, struct deadline deadline)
{
	_cleanup_(cache_deinit) struct cache cache;
	_cleanup_(package_list_deinit) struct package_list list = {0};

	cache_init(&cache);
	cache.deadline = deadline;
	try_(fetch(&cache, &list));
	for (size_t i = 0; i < list.count; i++)
		try_(package_unpack(&list.items[i], directory, deadline));
	return NULL;
}

/* The unpacked packages below lab_dir(), or "" where the place has a server of its own. */
static struct error *provide_tree(const struct place *place, struct deadline deadline, char **tree)
{
	_cleanup_free_ char *directory = format_string("%s/openssh-server", lab_dir());
	_cleanup_free_ char *server = format_string("%s" SSHD, directory);

	if (place->agent || access(SSHD, X_OK) == 0) {
		*tree = format_string("%s", "");
		return NULL;
	}
	if (access(server, X_OK) < 0)
		try_(unpack(directory, deadline));
	*tree = take_ptr(directory);
	return NULL;
}

static struct error *write_files(
	const struct place *place, const struct sshd_spec *spec, struct deadline deadline)
{
	_cleanup_free_ char *host_key = format_string("%s/host_key", place->dir);
	_cleanup_free_ char *authorized = format_string("%s/authorized_keys", place->dir);
	_cleanup_free_ char *path = format_string("%s/sshd_config", place->dir);
	_cleanup_free_ char *config =
		format_string("ListenAddress %s\nPort %u\nHostKey %s\nAuthorizedKeysFile %s\n"
			      "PidFile none\nStrictModes no\nUsePAM no\nUseDNS no\nPrintMotd no\n"
			      "PasswordAuthentication no\nKbdInteractiveAuthentication no\n"
			      "PermitRootLogin prohibit-password\nAllowTcpForwarding yes\n"
			      "AllowStreamLocalForwarding yes\nMaxStartups 100\nMaxSessions 100\n",
			spec->address, spec->port, host_key, authorized);

	try_(place_write(place, host_key, spec->host_key, strlen(spec->host_key), deadline));
	try_(place_write(
		place, authorized, spec->authorized_key, strlen(spec->authorized_key), deadline));
	return place_write(place, path, config, strlen(config), deadline);
}

struct error *sshd_start(const struct place *place, const struct sshd_spec *spec,
	struct deadline deadline, struct place_process *process)
{
	_cleanup_free_ char *tree = NULL;
	_cleanup_free_ char *runtime = fs_runtime_dir();
	struct place_process started;

	try_(provide_tree(place, deadline, &tree));
	try_(write_files(place, spec, deadline));
	const char *const argv[] = {"/usr/bin/unshare", "--mount", "--propagation", "private", "--",
		"/bin/sh", "-c", script, "sh", place->dir, tree, runtime, NULL};

	try_(place_start(place, "sshd", argv, deadline, &started));
	struct error *err = place_await(&started, "Server listening on ", deadline);

	if (err) {
		place_stop(&started, deadline);
		return error_prefix(err, "no OpenSSH server");
	}
	*process = started;
	return NULL;
}
