/* A directory of the test's own that is also $FLEETLAB_CACHE; gone afterwards. */
#pragma once

#include "harness/base/test/support.h"

#include <sys/stat.h>

/* cmocka's set-up, as scratch_make(). */
static inline int scratch_make_cache(void **state)
{
	return scratch_make(state) == 0 && setenv("FLEETLAB_CACHE", scratch, 1) == 0 ? 0 : -1;
}

/* Writes a file there, with its directories, executable when `mode` says so. */
static inline void scratch_write(const char *name, const char *text, mode_t mode)
{
	_cleanup_free_ char *path = scratch_path(name);
	char *slash = strrchr(path, '/');

	*slash = '\0';
	assert_null(fs_make_dirs(path));
	*slash = '/';
	assert_null(fs_write_atomic(path, text, strlen(text)));
	assert_int_equal(chmod(path, mode), 0);
}
