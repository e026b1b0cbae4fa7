/* A scratch directory per test, which is also $FLEETLAB_CACHE, and small helpers. */
#pragma once

#include "harness/base/fs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define assert_fine(expr)                                                                          \
	do {                                                                                       \
		struct error *_e = (expr);                                                         \
		if (_e)                                                                            \
			fail_msg("%s", error_message(_e));                                         \
	} while (0)

/* Expects an error whose message contains `part`. */
static inline void assert_error(struct error *err, const char *part)
{
	if (!err)
		fail_msg("no error, though '%s' was expected", part);
	if (!strstr(error_message(err), part))
		fail_msg("'%s' does not say '%s'", error_message(err), part);
	error_destroy(err);
}

static char scratch[64];

static inline int scratch_setup(void **state)
{
	(void)state;
	strcpy(scratch, "/tmp/fleetlab-test-XXXXXX");
	if (!mkdtemp(scratch))
		return -1;
	return setenv("FLEETLAB_CACHE", scratch, 1);
}

static inline int scratch_teardown(void **state)
{
	(void)state;
	assert_fine(fs_remove_tree(scratch));
	return 0;
}
