/* A root disk from a tarball, without loop devices: unpack, add what is ours, mkfs.ext4 -d. Needs
 * root, or fakeroot to keep the owners of files. Must never write outside the unpacked root. */
#include "harness/base/fs.h"
#include "harness/base/process.h"
#include "harness/image/builders.h"
#include "harness/image/kernel.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define DISK_BYTES (8ULL << 30)
#define DISK_MEMORY_MIN (384ULL << 20)

/* As any user, files get their owners only in fakeroot's books, kept between two runs of it. */
struct privilege {
	bool is_root;
	char *books;
};

static struct error *run_as_root(
	const struct privilege *privilege, const char *const *argv, struct deadline deadline)
{
	const char *longer[32] = {"fakeroot", "-i", privilege->books, "-s", privilege->books, "--"};
	size_t used = 6;

	if (privilege->is_root)
		return process_check(argv, NULL, deadline, NULL);
	if (!process_in_path("fakeroot"))
		return error_hint(
			error_new(ERROR_SETUP, "a root disk is built by root, or with fakeroot"),
			"install the package fakeroot");
	for (; *argv && used < ARRAY_SIZE(longer) - 1; argv++)
		longer[used++] = *argv;
	return process_check(longer, NULL, deadline, NULL);
}

static struct error *unpack(const struct privilege *privilege, const char *tarball,
	const char *root, struct deadline deadline)
{
	/* Device nodes come from devtmpfs, and making them is not always allowed. */
	const char *const argv[] = {"tar", "-C", root, "--numeric-owner", "--same-permissions",
		"--same-owner", "--exclude=./dev/*", "--exclude=dev/*", "-xf", tarball,
		privilege->is_root ? "--xattrs-include=security.capability" : NULL, NULL};

	try_(fs_make_dirs(root));
	if (!privilege->is_root)
		try_(fs_write_atomic(privilege->books, "", 0));
	struct error *err = run_as_root(privilege, argv, deadline);

	return err ? error_prefix(err, "cannot unpack %s", tarball) : NULL;
}

static struct error *add_size(void *data, const char *path, const char *name, mode_t mode)
{
	struct stat st;

	(void)name;
	(void)mode;
	if (lstat(path, &st) == 0)
		*(uint64_t *)data += 4096 + (uint64_t)st.st_blocks * 512;
	return NULL;
}

/* No journal: a guest's writes go to an overlay that is thrown away, and a journal only slows it.
 * The inode tables are written now, or the guest's kernel would do it during measurements. */
static struct error *make_file_system(const struct privilege *privilege, const char *root,
	const char *image, struct deadline deadline)
{
	uint64_t used = 0;

	try_(tree_walk(root, add_size, &used));
	_cleanup_free_ char *size =
		format_string("%lluk", (unsigned long long)(DISK_BYTES + 2 * used) >> 10);
	const char *const argv[] = {"mkfs.ext4", "-q", "-F", "-L", "fleetlab", "-m", "0", "-i",
		"32768", "-O", "^has_journal", "-E", "lazy_itable_init=0", "-d", root, image, size,
		NULL};

	return run_as_root(privilege, argv, deadline);
}

static struct error *make_initrd(struct cache *cache, const char *entry, const char *work,
	json_t *manifest, const struct cache_entry *kernel)
{
	static const char *const modules[] = {
		"virtio_pci", "virtio_blk", "ext4", "crc32c_generic", NULL};
	_cleanup_free_ char *root = format_string("%s/initrd-root", work);
	_cleanup_free_ char *initrd = format_string("%s/initrd", entry);
	_cleanup_(tree_close) struct tree tree = {0};

	try_(tree_open(&tree, root));
	try_(put_busybox(cache, work, manifest, &tree));
	try_(kernel_put_modules(kernel, work, modules, &tree, cache->deadline));
	try_(tree_put_embedded(&tree, "init", "tiny-init/disk-init", 0755));
	return tree_pack_initramfs(&tree, initrd, cache->deadline);
}

static struct error *fill_root(struct cache *cache, const char *work, const char *path,
	const struct recipe *recipe, const struct cache_entry *kernel, const char *tarball,
	struct error *(*customise)(const struct tree *root))
{
	_cleanup_(tree_close) struct tree root = {0};

	try_(tree_open(&root, path));
	if (!tree_has(&root, "sbin/init"))
		return error_hint(
			error_new(ERROR_USAGE, "%s has no /sbin/init: it is no root", tarball),
			"the tarball's top must be the root: ./bin, ./etc, ./sbin …");
	try_(tree_mkdir(&root, "dev", 0755));
	try_(put_guest_program(recipe, &root));
	if (customise)
		try_(customise(&root));
	return kernel_put_modules(kernel, work, NULL, &root, cache->deadline);
}

struct error *put_disk(struct cache *cache, const char *entry, const char *work, json_t *manifest,
	const struct recipe *recipe, const char *tarball,
	struct error *(*customise)(const struct tree *root))
{
	_cleanup_(cache_entry_deinit) struct cache_entry kernel = {0};
	_cleanup_free_ char *books = format_string("%s/fakeroot", work);
	_cleanup_free_ char *root = format_string("%s/root", work);
	_cleanup_free_ char *raw = format_string("%s/disk.raw", work);
	_cleanup_free_ char *disk = format_string("%s/disk.qcow2", entry);
	const struct privilege privilege = {.is_root = geteuid() == 0, .books = books};
	const char *const convert[] = {
		"qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, disk, NULL};

	try_(kernel_obtain(cache, &kernel));
	try_(unpack(&privilege, tarball, root, cache->deadline));
	try_(fill_root(cache, work, root, recipe, &kernel, tarball, customise));
	cache_say(cache, "making the root disk");
	try_(make_file_system(&privilege, root, raw, cache->deadline));
	try_(process_check(convert, NULL, cache->deadline, NULL));
	try_(make_initrd(cache, entry, work, manifest, &kernel));
	try_(kernel_put_vmlinux(&kernel, entry, manifest));
	json_t *how = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:I}", "kernel", "vmlinux",
		"initrd", "initrd", "disk", "disk.qcow2", "disk_format", "qcow2", "command_line",
		COMMON_COMMAND_LINE " root=/dev/vda rw net.ifnames=0", "own_program", 1,
		"memory_min_bytes", (json_int_t)DISK_MEMORY_MIN);

	json_object_update_new(manifest, how);
	return NULL;
}
