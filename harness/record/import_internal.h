/* What the parts of importing share. Internal to record/. */
#pragma once

#include "harness/base/error.h"

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>

static inline void close_directory(DIR *directory)
{
	closedir(directory);
}
DEFINE_CLEANUP(directory, DIR *, close_directory)
#define _cleanup_directory_ _cleanup_(cleanup_directory)

/* ---- import_staging.c ---- */

/* Where what has not arrived yet is: a directory in RESULTS/runs, of this import alone. One that an
 * import left is known by that nobody holds the store's lock of imports. */
struct staging {
	const char *results_dir; /* borrowed, as `runs` is */
	int runs;
	int lock_fd; /* -1: not open */
	int fd;
	char *name; /* in runs */
};

/* Waits for another import of this store to end, and removes what those that died have left. Does
 * nothing when it is open already. `root` is RESULTS. */
struct error *staging_open(struct staging *staging, int root);

/* Removes it with all that is in it. */
void staging_close(struct staging *staging);

/* The path of a name in it, or of itself (NULL); caller frees. */
char *staging_path(const struct staging *staging, const char *name);

/* ---- import_beside.c ---- */

/*
 * Copies plain files under plain names, two levels deep, from the directory NAME in `from` to the
 * directory `to`; the rest is left where it is, as is everything when there is no such directory.
 * No symbolic link is followed on either side. *files: how many came. ERROR_USAGE when it is too
 * much. `shown` is its path for messages.
 */
struct error *import_beside(int from, const char *name, const char *shown, int to, size_t *files);
