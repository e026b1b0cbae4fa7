/*
 * A directory that is a guest's root while it is being put together. All paths are resolved inside
 * it, also through absolute or climbing links, so that an unpacked archive can never make us read
 * or write a file of the host.
 */
#pragma once

#include "harness/base/clock.h"
#include "harness/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct tree {
	int fd;
	char *path;
};

/* Opens an existing or new directory. */
struct error *tree_open(struct tree *tree, const char *path);
void tree_close(struct tree *tree);

/* The same as open(2) of a path inside; -1 and errno on failure. */
int tree_open_file(const struct tree *tree, const char *path, int flags);
bool tree_has(const struct tree *tree, const char *path);

/* These make missing parents and replace what is at `path` (a directory stays one). */
struct error *tree_mkdir(const struct tree *tree, const char *path, mode_t mode);
struct error *tree_put_bytes(
	const struct tree *tree, const char *path, const void *data, size_t size, mode_t mode);
struct error *tree_put_fd(const struct tree *tree, const char *path, int fd, mode_t mode);
struct error *tree_put_file(
	const struct tree *tree, const char *path, const char *source, mode_t mode);
struct error *tree_put_link(const struct tree *tree, const char *path, const char *target);

/* Calls `visit` for each file, directory and link of the directory `path` on the host, with its
 * path relative to that, in order of name and parents first. Stops at the first error. */
struct error *tree_walk(const char *path,
	struct error *(*visit)(void *data, const char *path, const char *name, mode_t mode),
	void *data);

/* Puts a file that is compiled into fleetlab. */
struct error *tree_put_embedded(
	const struct tree *tree, const char *path, const char *embedded, mode_t mode);

/* Packs all of it as a newc cpio archive owned by root, the same bytes for the same content. */
struct error *tree_pack_initramfs(
	const struct tree *tree, const char *archive, struct deadline deadline);
