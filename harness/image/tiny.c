/* Guests that are a kernel and an initramfs: the tiny image, and the common part of its relatives.
 */
#include "harness/base/fs.h"
#include "harness/base/process.h"
#include "harness/image/builders.h"
#include "harness/image/kernel.h"
#include "harness/image/packages.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* What devices a guest can be given; loaded at boot when there is such a device, or on demand. */
static const char *const common_modules[] = {"virtio_pci", "virtio_console", "virtio_net",
	"virtio_blk", "virtio_balloon", "virtio-rng", "e1000", "vfio-pci", "vfio_iommu_type1",
	"qemu_fw_cfg", "virtio_pmem", "nd_pmem", "nfit", NULL};

static struct error *put_skeleton(const struct tree *tree)
{
	static const char *const directories[] = {"usr/bin", "usr/sbin", "usr/lib", "usr/lib64",
		"dev", "proc", "sys", "run", "tmp", "etc", "root", "var/lib", "var/log", "mnt"};
	static const struct {
		const char *path, *target;
	} links[] = {{"bin", "usr/bin"}, {"sbin", "usr/sbin"}, {"lib", "usr/lib"},
		{"lib64", "usr/lib64"}, {"var/run", "../run"}, {"var/tmp", "../tmp"},
		{"etc/mtab", "../proc/self/mounts"}};
	static const char passwd[] = "root::0:0:root:/root:/bin/sh\n"
				     "nobody:*:65534:65534:nobody:/:/bin/false\n";
	static const char group[] = "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n";

	for (size_t i = 0; i < ARRAY_SIZE(directories); i++)
		try_(tree_mkdir(tree, directories[i], 0755));
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		try_(tree_put_link(tree, links[i].path, links[i].target));
	try_(tree_put_bytes(tree, "etc/passwd", passwd, sizeof(passwd) - 1, 0644));
	return tree_put_bytes(tree, "etc/group", group, sizeof(group) - 1, 0644);
}

struct error *put_busybox(
	struct cache *cache, const char *work, json_t *manifest, const struct tree *tree)
{
	static const char *const names[] = {"busybox-static"};
	_cleanup_(package_list_deinit) struct package_list list = {0};
	_cleanup_free_ char *unpacked = format_string("%s/busybox", work);
	_cleanup_free_ char *program = format_string("%s/bin/busybox", unpacked);
	const char *const argv[] = {program, "--list-full", NULL};
	_cleanup_free_ char *commands = NULL;
	char *save = NULL;

	try_(packages_fetch(cache, work, names, 1, PACKAGES_ONLY, &list));
	try_(package_unpack(&list.items[0], unpacked, cache->deadline));
	try_(put_skeleton(tree));
	try_(tree_put_file(tree, "usr/bin/busybox", program, 0755));
	try_(process_check(argv, NULL, cache->deadline, &commands));
	for (char *path = strtok_r(commands, "\n", &save); path;
		path = strtok_r(NULL, "\n", &save)) {
		if (strcmp(path, "bin/busybox") != 0 && strcmp(path, "linuxrc") != 0)
			try_(tree_put_link(tree, path, "/usr/bin/busybox"));
	}
	packages_record(manifest, &list);
	return NULL;
}

struct error *put_guest_program(const struct recipe *recipe, const struct tree *tree)
{
	static const char place[] = "sbin/fleetlab-guest";

	return recipe->guest_program ? tree_put_file(tree, place, recipe->guest_program, 0755)
				     : tree_put_embedded(tree, place, "fleetlab-guest", 0755);
}

static struct error *put_scripts(const struct tree *tree)
{
	try_(tree_put_embedded(tree, "init", "tiny-init/init", 0755));
	try_(tree_put_embedded(tree, "usr/sbin/load-modules", "tiny-init/load-modules", 0755));
	try_(tree_put_embedded(tree, "usr/sbin/agent", "tiny-init/agent", 0755));
	return tree_put_embedded(tree, "usr/sbin/shutdown", "tiny-init/shutdown", 0755);
}

/* `a`, then the `count` words of `b`, NULL-terminated; the caller frees the array only. */
static const char **join_words(const char *const *a, const char *const *b, size_t count)
{
	size_t used = 0;

	while (a && a[used])
		used++;
	const char **words = calloc(used + count + 1, sizeof(char *));

	if (!words)
		abort();
	for (size_t i = 0; i < used; i++)
		words[i] = a[i];
	for (size_t i = 0; i < count; i++)
		words[used + i] = b[i];
	return words;
}

static size_t count_words(const char *const *words)
{
	size_t count = 0;

	while (words[count])
		count++;
	return count;
}

/* The kernel unpacks the initramfs into a tmpfs of at most half of the memory while it still holds
 * the archive; a guest with less than this hangs without a word (tried: 69 MiB of it in 256 MiB).
 */
static uint64_t memory_to_unpack(const char *initrd)
{
	struct stat status = {0};
	uint64_t least = (uint64_t)64 << 20, step = (uint64_t)16 << 20;

	if (stat(initrd, &status) == 0)
		least += (uint64_t)status.st_size / 2 * 7;
	return (least + step - 1) / step * step;
}

struct error *build_initramfs(struct cache *cache, const char *entry, const char *work,
	json_t *manifest, const struct recipe *recipe, const struct initramfs_plan *plan)
{
	_cleanup_(cache_entry_deinit) struct cache_entry kernel = {0};
	_cleanup_(tree_close) struct tree tree = {0};
	_cleanup_free_ char *root = format_string("%s/root", work);
	_cleanup_free_ char *initrd = format_string("%s/initrd", entry);
	_cleanup_free_ const char **packages =
		join_words(plan->packages, recipe->packages, recipe->package_count);
	_cleanup_free_ const char **modules =
		join_words(plan->modules, common_modules, ARRAY_SIZE(common_modules) - 1);

	try_(kernel_obtain(cache, &kernel));
	try_(tree_open(&tree, root));
	try_(put_busybox(cache, work, manifest, &tree));
	try_(put_packages(
		cache, work, packages, count_words(packages), plan->unwanted, manifest, &tree));
	try_(kernel_put_modules(&kernel, work, modules, &tree, cache->deadline));
	try_(put_guest_program(recipe, &tree));
	try_(put_scripts(&tree));
	if (plan->customise)
		try_(plan->customise(&tree));
	try_(tree_pack_initramfs(&tree, initrd, cache->deadline));
	try_(kernel_put_vmlinux(&kernel, entry, manifest));
	uint64_t least = memory_to_unpack(initrd);
	json_t *how = json_pack("{s:s, s:s, s:s, s:b, s:I}", "kernel", "vmlinux", "initrd",
		"initrd", "command_line", COMMON_COMMAND_LINE, "own_program", 1, "memory_min_bytes",
		(json_int_t)(least > plan->memory_min_bytes ? least : plan->memory_min_bytes));

	json_object_update_new(manifest, how);
	return NULL;
}

static const char *const tiny_packages[] = {"qemu-guest-agent", NULL};

const struct initramfs_plan tiny_plan = {
	.packages = tiny_packages,
	/* The papers' guests have 128 MiB; with the initramfs in it, 40 MiB of that are free. */
	.memory_min_bytes = 128ULL << 20,
};

struct error *build_tiny(struct cache *cache, const char *entry, const char *work, json_t *manifest,
	const void *data)
{
	return build_initramfs(cache, entry, work, manifest, data, &tiny_plan);
}
