/*
 * Errors with a story. A function that can fail for a reason worth telling returns struct error *:
 * NULL means success, anything else is owned by the caller, who prefixes it, hands it on or
 * destroys it. Results are last out-parameters and are untouched on failure. Nothing here prints:
 * main() prints an error once.
 *
 * A good message names the thing, the reason and the remedy:
 *   error_hint(error_errno(errno, "cannot open image %s", path), "build it: fleetlab image build")
 */
#pragma once

#include "harness/base/cleanup.h"

/* What kind of failure it is; decides the exit status and nothing else. */
enum error_kind {
	ERROR_USAGE,	   /* the command line or a file given by the user is wrong */
	ERROR_SETUP,	   /* the host lacks something, or a system call failed */
	ERROR_TIMEOUT,	   /* a deadline passed; the message says what was waited for */
	ERROR_GUEST,	   /* a guest or its agent misbehaved */
	ERROR_INTERRUPTED, /* the user asked to stop */
	ERROR_INTERNAL,	   /* a bug in fleetlab itself */
};

struct error;

/* A new error of a kind; never returns NULL (falls back to a static out-of-memory error). */
struct error *error_new(enum error_kind kind, const char *format, ...)
	__attribute__((format(printf, 2, 3), returns_nonnull, warn_unused_result));

/* As error_new(ERROR_SETUP) with ": strerror(errnum)" appended. */
struct error *error_errno(int errnum, const char *format, ...)
	__attribute__((format(printf, 2, 3), returns_nonnull, warn_unused_result));

/* Puts "PREFIX: " before the message; consumes and returns `err`, which must not be NULL. */
struct error *error_prefix(struct error *err, const char *format, ...)
	__attribute__((format(printf, 2, 3), nonnull(1), returns_nonnull, warn_unused_result));

/* Sets the remedy, printed on a line of its own; consumes and returns `err`. A hint set earlier
 * (closer to the cause) stays. */
struct error *error_hint(struct error *err, const char *format, ...)
	__attribute__((format(printf, 2, 3), nonnull(1), returns_nonnull, warn_unused_result));

enum error_kind error_kind(const struct error *err);
/* Borrowed; valid until the error is destroyed or prefixed. error_remedy() may return NULL. */
const char *error_message(const struct error *err);
const char *error_remedy(const struct error *err);

/* The exit status for this error: 1, or 130 for ERROR_INTERRUPTED. */
int error_exit_status(const struct error *err);

void error_destroy(struct error *err);
DEFINE_CLEANUP(error, struct error *, error_destroy)
#define _cleanup_error_ _cleanup_(cleanup_error)

/* Returns from the calling function with an error, if there is one. */
#define try_(expr)                                                                                 \
	do {                                                                                       \
		struct error *_err = (expr);                                                       \
		if (_err)                                                                          \
			return _err;                                                               \
	} while (0)
