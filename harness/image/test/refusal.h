/* What tests of images expect of an error, whatever its kind. */
#pragma once

#include "harness/base/test/support.h"

/* Expects an error whose message contains `part`; takes it over. */
static inline void assert_error(struct error *err, const char *part)
{
	if (!err)
		fail_msg("no error, though '%s' was expected", part);
	if (!strstr(error_message(err), part))
		fail_msg("'%s' does not say '%s'", error_message(err), part);
	error_destroy(err);
}
