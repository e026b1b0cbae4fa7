/* What `fleetlab doctor` looks at: one function a check, one line a check in its table. */
#pragma once

#include "harness/base/clock.h"
#include "harness/base/error.h"

#include <stddef.h>

enum check_status {
	CHECK_OK,
	CHECK_WARN, /* the quick profile runs, something is limited */
	CHECK_FAIL, /* the quick profile cannot run */
};

struct check_result {
	enum check_status status;
	char *value;  /* what was found, one line; owned */
	char *remedy; /* what to do about it; owned, NULL only when ok */
};

struct check_context {
	const char *qemu;
	struct deadline deadline; /* of all checks together */
};

struct check {
	const char *name;
	void (*run)(const struct check_context *context, struct check_result *result);
};

extern const struct check doctor_checks[];
extern const size_t doctor_check_count;

/* Helpers for the files that hold checks. The formatted value becomes the result's; a remedy goes
 * with everything that is not ok. */
void check_value(struct check_result *result, enum check_status status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void check_remedy(struct check_result *result, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The error's message and remedy as the result; consumes the error. */
void check_error(struct check_result *result, enum check_status status, struct error *err);

/* Appends a word to a list like "a, b, c"; `*list` may be NULL at first. */
void check_append(char **list, const char *word);

/* In doctor_system.c: what the kernel lets us do. */
void check_privileges(const struct check_context *context, struct check_result *result);
void check_namespaces(const struct check_context *context, struct check_result *result);
void check_network(const struct check_context *context, struct check_result *result);
void check_shaping(const struct check_context *context, struct check_result *result);
void check_ksm(const struct check_context *context, struct check_result *result);
void check_cgroup(const struct check_context *context, struct check_result *result);
void check_topology(const struct check_context *context, struct check_result *result);
