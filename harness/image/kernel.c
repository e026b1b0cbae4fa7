/* The guests' kernel as a cache entry: see kernel.h. */
#include "harness/image/kernel.h"
#include "harness/base/fs.h"
#include "harness/base/process.h"
#include "harness/image/modules.h"
#include "harness/image/packages.h"

#include <errno.h>
#include <glob.h>
#include <string.h>
#include <sys/stat.h>

#define RECIPE 1

/* What can be of use in a virtual machine; the rest (of 400 MB) drives hardware it has not. */
static bool useful_in_guest(const char *path, const void *data)
{
	static const char *const prefixes[] = {
		"arch/",
		"crypto/",
		"lib/",
		"mm/",
		"virt/",
		"block/",
		"fs/9p",
		"fs/autofs",
		"fs/binfmt_misc",
		"fs/configfs",
		"fs/ext4",
		"fs/fat",
		"fs/fscache",
		"fs/fuse",
		"fs/isofs",
		"fs/nls",
		"fs/overlayfs",
		"fs/squashfs",
		"net/",
		"drivers/acpi/nfit",
		"drivers/block/loop",
		"drivers/block/nbd",
		"drivers/block/virtio_blk",
		"drivers/block/zram",
		"drivers/char/hw_random/",
		"drivers/char/virtio_console",
		"drivers/cpufreq",
		"drivers/crypto/virtio",
		"drivers/dax",
		"drivers/firmware/qemu_fw_cfg",
		"drivers/iommu",
		"drivers/md/dm-",
		"drivers/net/bonding",
		"drivers/net/dummy",
		"drivers/net/ethernet/intel/e1000",
		"drivers/net/ifb",
		"drivers/net/macv",
		"drivers/net/net_failover",
		"drivers/net/netconsole",
		"drivers/net/tap",
		"drivers/net/tun",
		"drivers/net/veth",
		"drivers/net/virtio_net",
		"drivers/net/vxlan",
		"drivers/nvdimm",
		"drivers/nvme/host",
		"drivers/scsi/scsi_mod",
		"drivers/scsi/sd_mod",
		"drivers/scsi/virtio_scsi",
		"drivers/uio",
		"drivers/vfio",
		"drivers/vhost",
		"drivers/virtio",
		"drivers/acpi/button",
		"drivers/input/evdev",
	};

	(void)data;
	if (strncmp(path, "kernel/", 7) != 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		if (strncmp(path + 7, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	}
	return false;
}

static struct error *depmod(const char *root, const char *version, struct deadline deadline)
{
	const char *const argv[] = {"depmod", "-b", root, version, NULL};

	return process_check(argv, NULL, deadline, NULL);
}

static struct error *find_one(const char *pattern, char **path)
{
	_cleanup_(globfree) glob_t found = {0};

	if (glob(pattern, 0, NULL, &found) != 0 || found.gl_pathc != 1)
		return error_new(ERROR_SETUP, "the kernel's package has no (single) %s", pattern);
	*path = format_string("%s", found.gl_pathv[0]);
	return NULL;
}

/* Reduces the modules to the useful ones and packs them. */
static struct error *pack_modules(
	const char *root, const char *version, const char *archive, struct deadline deadline)
{
	_cleanup_free_ char *parent = format_string("%s/lib/modules", root);
	_cleanup_free_ char *directory = format_string("%s/%s", parent, version);
	_cleanup_json_ json_t *dependencies = NULL;
	_cleanup_json_ json_t *chosen = json_object();
	const char *const argv[] = {"tar", "-C", parent, "--sort=name", "--mtime=@0", "--owner=0",
		"--group=0", "--numeric-owner", "-cf", archive, version, NULL};

	try_(depmod(root, version, deadline));
	try_(modules_read(directory, &dependencies));
	modules_choose(dependencies, useful_in_guest, NULL, chosen);
	try_(modules_prune(directory, dependencies, chosen));
	try_(depmod(root, version, deadline));
	return process_check(argv, NULL, deadline, NULL);
}

static struct error *build_kernel(struct cache *cache, const char *entry, const char *work,
	json_t *manifest, const void *data)
{
	static const char *const names[] = {"linux-image-amd64"};
	_cleanup_(package_list_deinit) struct package_list list = {0};
	_cleanup_free_ char *root = format_string("%s/unpacked", work);
	_cleanup_free_ char *modules_pattern = format_string("%s/lib/modules/*", root);
	_cleanup_free_ char *kernel_pattern = format_string("%s/boot/vmlinuz-*", root);
	_cleanup_free_ char *vmlinux = format_string("%s/vmlinux", entry);
	_cleanup_free_ char *archive = format_string("%s/modules.tar", entry);
	_cleanup_free_ char *modules = NULL;
	_cleanup_free_ char *bzimage = NULL;

	(void)data;
	try_(packages_fetch(cache, work, names, 1, PACKAGES_OF_METAPACKAGE, &list));
	cache_say(cache, "unpacking kernel %s", list.items[0].version);
	try_(package_unpack(&list.items[0], root, cache->deadline));
	try_(find_one(modules_pattern, &modules));
	try_(find_one(kernel_pattern, &bzimage));
	const char *version = strrchr(modules, '/') + 1;

	try_(kernel_extract(bzimage, work, vmlinux, cache->deadline));
	try_(pack_modules(root, version, archive, cache->deadline));
	json_object_set_new(manifest, "kernel_version", json_string(version));
	json_object_set_new(manifest, "layer", json_true());
	packages_record(manifest, &list);
	return NULL;
}

struct error *kernel_obtain(struct cache *cache, struct cache_entry *entry)
{
	_cleanup_json_ json_t *specification =
		json_pack("{s:s, s:i}", "kind", "kernel", "recipe", RECIPE);

	return cache_obtain(cache, "kernel", specification, build_kernel, NULL, entry);
}

struct error *kernel_put_vmlinux(
	const struct cache_entry *kernel, const char *directory, json_t *manifest)
{
	_cleanup_free_ char *source = format_string("%s/vmlinux", kernel->directory);
	_cleanup_free_ char *place = format_string("%s/vmlinux", directory);
	json_t *package;
	size_t i;

	json_object_set(
		manifest, "kernel_version", json_object_get(kernel->manifest, "kernel_version"));
	json_array_foreach (json_object_get(kernel->manifest, "packages"), i, package) {
		packages_record_one(manifest, json_string_value(json_object_get(package, "name")),
			json_string_value(json_object_get(package, "version")),
			json_string_value(json_object_get(package, "architecture")));
	}
	/* A hard link: entries never change, and one copy serves all images from the page cache. */
	if (link(source, place) < 0)
		return error_errno(errno, "cannot link %s to %s", source, place);
	return NULL;
}

static bool is_named(const char *path, const void *data)
{
	for (const char *const *name = data; *name; name++) {
		if (modules_is(path, *name))
			return true;
	}
	return false;
}

static struct error *put_module_file(void *data, const char *path, const char *name, mode_t mode)
{
	_cleanup_free_ char *place = format_string("lib/modules/%s", name);

	return S_ISDIR(mode) ? NULL : tree_put_file(data, place, path, 0644);
}

/* Leaves out the indexes that busybox' modprobe does not read. */
static struct error *put_for_busybox(void *data, const char *path, const char *name, mode_t mode)
{
	static const char *const unread[] = {".bin", "/modules.order", "/modules.builtin.modinfo"};

	for (size_t i = 0; i < ARRAY_SIZE(unread); i++) {
		if (strstr(name, unread[i]))
			return NULL;
	}
	return put_module_file(data, path, name, mode);
}

struct error *kernel_put_modules(const struct cache_entry *kernel, const char *work,
	const char *const *names, const struct tree *tree, struct deadline deadline)
{
	const char *version =
		json_string_value(json_object_get(kernel->manifest, "kernel_version"));
	_cleanup_free_ char *root = format_string("%s/modules", work);
	_cleanup_free_ char *parent = format_string("%s/lib/modules", root);
	_cleanup_free_ char *directory = format_string("%s/%s", parent, version);
	_cleanup_free_ char *archive = format_string("%s/modules.tar", kernel->directory);
	const char *const argv[] = {"tar", "-C", parent, "-xf", archive, NULL};
	_cleanup_json_ json_t *dependencies = NULL;
	_cleanup_json_ json_t *chosen = json_object();

	try_(fs_remove_tree(root));
	try_(fs_make_dirs(parent));
	try_(process_check(argv, NULL, deadline, NULL));
	if (names) {
		try_(modules_read(directory, &dependencies));
		modules_choose(dependencies, is_named, names, chosen);
		try_(modules_prune(directory, dependencies, chosen));
		try_(depmod(root, version, deadline));
	}
	return tree_walk(parent, names ? put_for_busybox : put_module_file, (void *)tree);
}
