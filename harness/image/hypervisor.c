/* The hypervisor image: what an L1 guest boots, with KVM, QEMU and all that this project's own
 * program needs to serve a stack in it. It lives in its initramfs, like tiny, so that it can be a
 * template. The program itself is not in it: it comes with the guest, as it is now. */
#include "harness/image/builders.h"

static const char *const packages[] = {
	"qemu-guest-agent",
	/* The stack: QEMU with firmware, libvirt's driver, and what the program is linked with. */
	"qemu-system-x86",
	"qemu-system-common",
	"qemu-system-data",
	"seabios",
	"libvirt0",
	"libvirt-daemon-driver-qemu",
	"libjansson4",
	"libhwloc15",
	"libgsl27",
	"libgslcblas0",
	"libxxhash0",
	"libsqlite3-0",
	"libarchive13",
	"libmicrohttpd12",
	"zlib1g",
	/* The memory that L1 guests share. */
	"ndctl",
	"daxctl",
	/* Links between them, and what is measured on these. */
	"iproute2",
	"openssh-client",
	"openssh-server",
	"iperf3",
	NULL,
};

/* Other machines, graphics, sound, firmware of devices that no guest of ours has: two thirds of the
 * packages. */
static const char *const unwanted[] = {
	"usr/bin/qemu-system-i386",
	"usr/libexec/qemu-system-i386",
	"usr/bin/qemu-system-x86_64-",
	"usr/bin/elf2dmp",
	"usr/bin/qemu-pr-helper",
	"usr/bin/qemu-storage-daemon",
	"usr/lib/x86_64-linux-gnu/tc/",
	"usr/lib/qemu/",
	"usr/lib/x86_64-linux-gnu/qemu/audio",
	"usr/lib/x86_64-linux-gnu/qemu/chardev",
	"usr/lib/x86_64-linux-gnu/qemu/hw-",
	"usr/lib/x86_64-linux-gnu/qemu/ui-",
	"usr/share/qemu/QEMU,",
	"usr/share/qemu/bamboo",
	"usr/share/qemu/canyonlands",
	"usr/share/qemu/firmware",
	"usr/share/qemu/hppa",
	"usr/share/qemu/npcm",
	"usr/share/qemu/openbios",
	"usr/share/qemu/opensbi",
	"usr/share/qemu/palcode",
	"usr/share/qemu/petalogix",
	"usr/share/qemu/qboot",
	"usr/share/qemu/qemu-nsis",
	"usr/share/qemu/qemu_vga",
	"usr/share/qemu/s390",
	"usr/share/qemu/skiboot",
	"usr/share/qemu/slof",
	"usr/share/qemu/trace-events-all",
	"usr/share/qemu/u-boot",
	"usr/share/qemu/vof",
	"usr/share/applications",
	"usr/share/icons",
	"usr/share/libvirt/cpu_map/arm",
	"usr/share/libvirt/cpu_map/ppc64",
	"usr/share/libvirt/schemas",
	NULL,
};

static const char *const modules[] = {
	"kvm_amd",
	"kvm_intel",
	"libnvdimm",
	"nfit",
	"dax_pmem",
	"device_dax",
	"nd_pmem",
	"tun",
	"bridge",
	NULL,
};

/* Users by whose names libvirt and sshd look; nothing runs as them. */
static struct error *put_users(const struct tree *root)
{
	static const char passwd[] = "root::0:0:root:/root:/bin/sh\n"
				     "sshd:*:100:65534::/run/sshd:/bin/false\n"
				     "libvirt-qemu:*:64055:64055::/var/lib/libvirt:/bin/false\n"
				     "nobody:*:65534:65534:nobody:/:/bin/false\n";
	static const char group[] =
		"root:x:0:\ntty:x:5:\nkvm:x:106:\nlibvirt-qemu:x:64055:\nnogroup:x:65534:\n";

	try_(tree_put_bytes(root, "etc/passwd", passwd, sizeof(passwd) - 1, 0644));
	return tree_put_bytes(root, "etc/group", group, sizeof(group) - 1, 0644);
}

const struct initramfs_plan hypervisor_plan = {
	.packages = packages,
	.unwanted = unwanted,
	.modules = modules,
	.customise = put_users,
	.memory_min_bytes = 768ULL << 20,
};

struct error *build_hypervisor(struct cache *cache, const char *entry, const char *work,
	json_t *manifest, const void *data)
{
	return build_initramfs(cache, entry, work, manifest, data, &hypervisor_plan);
}
