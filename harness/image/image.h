/*
 * Guest images: what a guest boots, built from the distribution's packages and kept in a cache
 * below fs_cache_dir()/images. The cache is addressed by content: an image is verified by hash each
 * time it is opened, and built again when it is damaged. Nothing is installed on the host.
 *
 * An image is read-only. A guest that writes to its disk gets an overlay or a snapshot on top.
 */
#pragma once

#include "harness/base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* How a guest of this image is started. All strings are owned by the image. */
struct image {
	char *name;	    /* "tiny", "debian+iperf3", "user:disk.qcow2" */
	char *kind;	    /* "tiny", "hypervisor", "debian", "user" */
	char *hash;	    /* of its content, 32 hex digits: equal content, equal hash */
	char *directory;    /* where its files are */
	char *kernel;	    /* path of an uncompressed vmlinux (PVH); NULL: boots from its disk */
	char *initrd;	    /* path, or NULL */
	char *disk;	    /* path of the root disk (the guest's first virtio-blk), or NULL */
	char *disk_format;  /* "qcow2" or "raw" as for -drive format=; NULL without a disk */
	char *command_line; /* kernel command line without console=; NULL without a kernel */
	bool own_program;   /* it has this project's guest program as /sbin/fleetlab-guest */
	uint64_t memory_min_bytes; /* the least a guest needs to boot and answer */
	json_t *manifest; /* packages inside, files, hashes, builder, time; see manifest.json */
};

struct image_request {
	const char *kind;	     /* "tiny", "hypervisor", "debian"; NULL with `from` */
	const char *const *packages; /* Debian packages to add; any order, repeats are fine */
	size_t package_count;
	const char *from; /* the user's own qcow2 or root tarball instead of a kind, or NULL */

	bool fresh;	    /* build anew, with the newest packages, even when there is one */
	int64_t timeout_ms; /* for waiting and building together; 0: 30 minutes */
	/* Told what takes long ("building …", "waiting for …"); may be NULL. */
	void (*message)(void *data, const char *text);
	void *message_data;
	const char *guest_program; /* instead of the built-in fleetlab-guest (for tests), or NULL */
};

/* Opens an image, building it when it is missing or damaged; waits when another fleetlab builds.
 * A second open needs no network and takes as long as hashing the image's files. */
struct error *image_open(const struct image_request *request, struct image **image);
void image_destroy(struct image *image);
DEFINE_CLEANUP(image, struct image *, image_destroy)
#define _cleanup_image_ _cleanup_(cleanup_image)

/* Whether such an image is in the cache and intact. Never builds, never waits. */
struct error *image_is_cached(const struct image_request *request, bool *cached);

/* The kinds that can be built, for help and for checking names; the i-th, NULL past the last. */
const char *image_kind_at(size_t index);

struct image_summary {
	char *name, *kind, *hash, *directory;
	bool layer; /* an intermediate product (the kernel, a root tarball) that images are made of
		     */
	uint64_t size_bytes; /* of all its files */
	time_t built;
	size_t package_count;
	json_t *manifest;
};

struct image_list {
	struct image_summary *items;
	size_t count;
};

/* All that is in the cache, by name; content is not verified. No cache is an empty list. */
struct error *image_list(struct image_list *list);
void image_list_deinit(struct image_list *list);

/* Removes the images that have this name or whose hash starts with it (at least four digits);
 * `removed` counts them. None is an error. With them goes what no image needs, such as what `fresh`
 * has replaced. Guests that run keep what they have opened. */
struct error *image_remove(const char *name_or_hash, size_t *removed);
/* Removes all images and layers; with `packages` the downloaded packages as well. */
struct error *image_remove_all(bool packages, size_t *removed);
