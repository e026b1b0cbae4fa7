/*
 * Messages to stderr for the person at the terminal: what is going on and what to be aware of.
 * Only commands, the engine and long-lived processes log; library code returns errors instead.
 */
#pragma once

#include "harness/base/error.h"

#include <stdbool.h>

enum log_level { LOG_QUIET, LOG_NORMAL, LOG_VERBOSE };

void log_set_level(enum log_level level);
enum log_level log_level(void);

/* One line; no trailing newline in `format`. Shown at LOG_NORMAL and up. */
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Shown at LOG_VERBOSE only. */
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Always shown, marked as a warning. */
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints "fleetlab: MESSAGE" and the remedy; always shown. */
void log_error(const struct error *err);
