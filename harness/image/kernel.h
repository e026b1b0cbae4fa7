/*
 * The guests' kernel: the distribution's, as an uncompressed vmlinux (which QEMU enters directly,
 * by PVH, without a decompressor running in the guest), and those of its modules that make sense in
 * a virtual machine.
 */
#pragma once

#include "harness/image/cache.h"
#include "harness/image/tree.h"

/* The cache entry of the kernel: "vmlinux" and "modules.tar"; its manifest has "kernel_version" and
 * "packages". Built from the package when missing. */
struct error *kernel_obtain(struct cache *cache, struct cache_entry *entry);

/* Takes the ELF file out of a bzImage (Linux' Documentation/arch/x86/boot.rst: setup_sects,
 * payload_offset, payload_length). `work` is a directory for what is in between. */
struct error *kernel_extract(
	const char *bzimage, const char *work, const char *vmlinux, struct deadline deadline);

/* Puts modules below lib/modules/VERSION of a tree: those named, with what they depend on, with
 * indexes for busybox' modprobe, or all when `names` is NULL, with those for kmod as well. */
struct error *kernel_put_modules(const struct cache_entry *kernel, const char *work,
	const char *const *names, const struct tree *tree, struct deadline deadline);

/* Puts the kernel's vmlinux into `directory` and its packages and version into `manifest`. */
struct error *kernel_put_vmlinux(
	const struct cache_entry *kernel, const char *directory, json_t *manifest);
