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

/* Copies the packages' own files (without documentation) and, of what they depend on, the shared
 * objects they need. */
struct error *put_packages(struct cache *cache, const char *work, const char *const *names,
	size_t count, json_t *manifest, const struct tree *tree);

/* Makes `disk.qcow2` from a root tarball, with our modules and program, and the kernel and an
 * initrd that boots it. `customise` (may be NULL) changes the unpacked root. */
struct error *put_disk(struct cache *cache, const char *entry, const char *work, json_t *manifest,
	const struct recipe *recipe, const char *tarball,
	struct error *(*customise)(const struct tree *root));
