/* A directory of the test's own with the environment pointing into it; gone afterwards. */
#pragma once

#include "harness/base/fs.h"

#include <setjmp.h>
#include <stddef.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char scratch[] = "/tmp/fleetlab-test-XXXXXX";

static inline int scratch_make(void **state)
{
	(void)state;
	memcpy(scratch + sizeof(scratch) - 7, "XXXXXX", 6);
	return mkdtemp(scratch) && setenv("FLEETLAB_CACHE", scratch, 1) == 0 ? 0 : -1;
}

static inline int scratch_remove(void **state)
{
	(void)state;
	error_destroy(fs_remove_tree(scratch));
	return 0;
}

/* Path of a name in the scratch directory; caller frees. */
static inline char *scratch_path(const char *name)
{
	return format_string("%s/%s", scratch, name);
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

/* Fails the test with the error's message, if there is an error. */
#define assert_ok(expr)                                                                            \
	do {                                                                                       \
		struct error *_failed = (expr);                                                    \
		if (_failed)                                                                       \
			fail_msg("%s", error_message(_failed));                                    \
	} while (0)
