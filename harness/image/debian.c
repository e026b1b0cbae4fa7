/* The debian image: a minimal Debian with systemd and the guest agent, made by mmdebstrap from the
 * host's own sources, without root where user namespaces allow it. */
#include "harness/base/fs.h"
#include "harness/base/process.h"
#include "harness/image/apt.h"
#include "harness/image/builders.h"

#include <errno.h>
#include <string.h>

#define ROOT_RECIPE 1

static const char base_packages[] = "systemd-sysv,udev,dbus,kmod,iproute2,qemu-guest-agent";

/* The packages of an unpacked dpkg status file. */
static void record_status(json_t *manifest, char *status)
{
	char *save = NULL, *name = NULL, *version = NULL, *architecture = NULL;

	for (char *line = strtok_r(status, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, "Package: ", 9) == 0) {
			name = line + 9;
			version = architecture = NULL;
		} else if (strncmp(line, "Version: ", 9) == 0) {
			version = line + 9;
		} else if (strncmp(line, "Architecture: ", 14) == 0) {
			architecture = line + 14;
		}
		if (name && version && architecture) {
			packages_record_one(manifest, name, version, architecture);
			name = NULL;
		}
	}
}

static char *join_packages(const struct recipe *recipe)
{
	char *all = format_string("%s", base_packages);

	for (size_t i = 0; i < recipe->package_count; i++) {
		char *longer = format_string("%s,%s", all, recipe->packages[i]);

		free(all);
		all = longer;
	}
	return all;
}

/* The layer: a tarball of the root as the packages make it. */
static struct error *build_root(struct cache *cache, const char *entry, const char *work,
	json_t *manifest, const void *data)
{
	const struct recipe *recipe = data;
	_cleanup_free_ char *tarball = format_string("%s/root.tar.zst", entry);
	_cleanup_free_ char *all = join_packages(recipe);
	_cleanup_free_ char *include = format_string("--include=%s", all);
	/* As root its own temporary root goes into ours, which is swept after a kill; in a user
	 * namespace it could not reach that. */
	_cleanup_free_ char *temporary = format_string("TMPDIR=%s", geteuid() == 0 ? work : "/tmp");
	_cleanup_free_ char *sources = NULL;
	_cleanup_free_ char *suite = NULL;
	_cleanup_free_ char *status = NULL;

	try_(apt_sources(cache, &sources, &suite));
	const char *const argv[] = {"env", temporary, "mmdebstrap", "--quiet", "--variant=minbase",
		include, "--dpkgopt=path-exclude=/usr/share/doc/*",
		"--dpkgopt=path-exclude=/usr/share/man/*",
		"--dpkgopt=path-exclude=/usr/share/locale/*", suite, tarball, "-", NULL};
	const char *const show[] = {"tar", "-xOf", tarball, "./var/lib/dpkg/status", NULL};

	cache_say(cache, "installing Debian %s into a directory (half a minute)", suite);
	struct error *err = process_check(argv, sources, cache->deadline, NULL);

	if (err)
		return error_hint(error_prefix(err, "mmdebstrap"),
			geteuid() == 0
				? "the first build needs the network and 2 GiB of disk"
				: "without root it needs user namespaces: the package uidmap and "
				  "a range for you in /etc/subuid and /etc/subgid");
	try_(process_check(show, NULL, cache->deadline, &status));
	record_status(manifest, status);
	json_object_set_new(manifest, "layer", json_true());
	return NULL;
}

static struct error *obtain_root(
	struct cache *cache, const struct recipe *recipe, struct cache_entry *entry)
{
	_cleanup_json_ json_t *specification = json_pack("{s:s, s:i, s:s, s:[]}", "kind",
		"debian-root", "recipe", ROOT_RECIPE, "base", base_packages, "packages");

	for (size_t i = 0; i < recipe->package_count; i++)
		json_array_append_new(json_object_get(specification, "packages"),
			json_string(recipe->packages[i]));
	return cache_obtain(cache, "debian-root", specification, build_root, recipe, entry);
}

/* Units that only cost time, or do things behind a measurement's back. */
static const char *const masked_units[] = {"apt-daily.timer", "apt-daily-upgrade.timer",
	"apt-daily.service", "apt-daily-upgrade.service", "dpkg-db-backup.timer",
	"e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer", "man-db.timer",
	"systemd-tmpfiles-clean.timer", "systemd-timesyncd.service", "systemd-pstore.service",
	"systemd-journal-flush.service", "systemd-update-utmp.service",
	"systemd-update-utmp-runlevel.service", "systemd-random-seed.service",
	"systemd-machine-id-commit.service", "getty@tty1.service", "ldconfig.service",
	"systemd-hwdb-update.service", "systemd-firstboot.service"};

static struct error *customise(const struct tree *root)
{
	static const struct {
		const char *path, *text;
	} files[] = {
		{"etc/hostname", "debian\n"},
		{"etc/machine-id", ""}, /* each boot makes its own, in memory */
		{"etc/systemd/journald.conf.d/fleetlab.conf", "[Journal]\nStorage=volatile\n"},
		{"etc/systemd/system/serial-getty@ttyS0.service.d/autologin.conf",
			"[Service]\nExecStart=\nExecStart=-/sbin/agetty --autologin root "
			"--keep-baud 115200,57600,38400,9600 - $TERM\n"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		try_(tree_put_bytes(
			root, files[i].path, files[i].text, strlen(files[i].text), 0644));
	for (size_t i = 0; i < ARRAY_SIZE(masked_units); i++) {
		_cleanup_free_ char *path = format_string("etc/systemd/system/%s", masked_units[i]);

		try_(tree_put_link(root, path, "/dev/null"));
	}
	return NULL;
}

struct error *build_debian(struct cache *cache, const char *entry, const char *work,
	json_t *manifest, const void *data)
{
	const struct recipe *recipe = data;
	_cleanup_(cache_entry_deinit) struct cache_entry root = {0};

	try_(obtain_root(cache, recipe, &root));
	_cleanup_free_ char *tarball = format_string("%s/root.tar.zst", root.directory);

	json_object_set_new(
		manifest, "packages", json_deep_copy(json_object_get(root.manifest, "packages")));
	return put_disk(cache, entry, work, manifest, recipe, tarball, customise);
}
