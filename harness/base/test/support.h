/*
 * What tests share: errors as assertions, and a directory of the test's own. Include first.
 */
#pragma once

#include "harness/base/error.h"
#include "harness/base/fs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

/* Nothing in a test waits so long unless it has hung. */
#define TEST_TIMEOUT_MS 30000

/* Fails the test with the error's message, if there is an error. */
#define assert_ok(expr)                                                                            \
	do {                                                                                       \
		struct error *_failed = (expr);                                                    \
		if (_failed)                                                                       \
			fail_msg("%s", error_message(_failed));                                    \
	} while (0)

/* Demands an error of this kind whose message or remedy has `text` in it. */
#define assert_fails(expr, its_kind, text)                                                         \
	do {                                                                                       \
		_cleanup_error_ struct error *_failed = (expr);                                    \
		const char *_text = (text);                                                        \
		if (!_failed)                                                                      \
			fail_msg("no error from %s", #expr);                                       \
		const char *_remedy = error_remedy(_failed);                                       \
		if (!strstr(error_message(_failed), _text) &&                                      \
			!(_remedy && strstr(_remedy, _text)))                                      \
			fail_msg("no '%s' in '%s' (%s)", _text, error_message(_failed), _remedy);  \
		assert_int_equal(error_kind(_failed), its_kind);                                   \
	} while (0)

static char scratch[] = "/tmp/fleetlab-test-XXXXXX";

/* cmocka set-up and teardown: `scratch` is a directory that is gone afterwards. */
static inline int scratch_make(void **state)
{
	(void)state;
	memset(scratch + sizeof(scratch) - 7, 'X', 6);
	return mkdtemp(scratch) ? 0 : -1;
}

static inline int scratch_remove(void **state)
{
	(void)state;
	struct error *err = fs_remove_tree(scratch);

	error_destroy(err);
	return err ? -1 : 0;
}

/* Path of a name in the scratch directory; caller frees. */
static inline char *scratch_path(const char *name)
{
	return format_string("%s/%s", scratch, name);
}

#define scratch_test(f) cmocka_unit_test_setup_teardown(f, scratch_make, scratch_remove)
