/* How each kind of image is made; for harness/image/image.c only. */
#pragma once

#include "harness/image/cache.h"
#include "harness/image/image.h"
#include "harness/image/tree.h"

/* A checked request: packages sorted and without repeats. */
struct recipe {
	const char *kind;
	const char *const *packages;
	size_t package_count;
	const char *from;	   /* absolute path, or NULL */
	const char *guest_program; /* path, or NULL for the embedded one */
};

/* These are cache_build functions; their data is a struct recipe. Each sets in the manifest what
 * struct image has: "kernel", "initrd", "disk", "disk_format", "command_line",
 * "memory_min_bytes", "own_program". */
struct error *build_tiny(struct cache *cache, const char *entry, const char *work, json_t *manifest,
	const void *data);
struct error *build_hypervisor(struct cache *cache, const char *entry, const char *work,
	json_t *manifest, const void *data);
struct error *build_debian(struct cache *cache, const char *entry, const char *work,
	json_t *manifest, const void *data);
struct error *build_from_tarball(struct cache *cache, const char *entry, const char *work,
	json_t *manifest, const void *data);
struct error *build_from_disk(struct cache *cache, const char *entry, const char *work,
	json_t *manifest, const void *data);

/* ---- shared by builders ---- */

/* The part of the kernel command line that every guest of ours gets. */
#define COMMON_COMMAND_LINE "quiet panic=-1 reboot=t cryptomgr.notests"

/* busybox (downloaded) with links for its commands, and the directories of a root. */
struct error *put_busybox(
	struct cache *cache, const char *work, json_t *manifest, const struct tree *tree);

/* This project's program as /sbin/fleetlab-guest. */
struct error *put_guest_program(const struct recipe *recipe, const struct tree *tree);

/* Copies the packages' own files (without documentation, and without what begins with a word of
 * `unwanted`, NULL-terminated, may be NULL) and, of what they depend on, the shared objects that
 * the copied files need. */
struct error *put_packages(struct cache *cache, const char *work, const char *const *names,
	size_t count, const char *const *unwanted, json_t *manifest, const struct tree *tree);

/* A guest that lives in its initramfs: what makes one kind differ from another. */
struct initramfs_plan {
	const char *const *packages; /* beside the recipe's; NULL-terminated */
	const char *const *unwanted; /* as for put_packages() */
	const char *const *modules;  /* beside those of every guest; NULL-terminated, may be NULL */
	struct error *(*customise)(const struct tree *root); /* may be NULL */
	uint64_t memory_min_bytes;
};

extern const struct initramfs_plan tiny_plan, hypervisor_plan;

struct error *build_initramfs(struct cache *cache, const char *entry, const char *work,
	json_t *manifest, const struct recipe *recipe, const struct initramfs_plan *plan);

/* Makes `disk.qcow2` from a root tarball, with our modules and program, and the kernel and an
 * initrd that boots it. `customise` (may be NULL) changes the unpacked root. */
struct error *put_disk(struct cache *cache, const char *entry, const char *work, json_t *manifest,
	const struct recipe *recipe, const char *tarball,
	struct error *(*customise)(const struct tree *root));
