/* What the installed QEMU is and can: asked of the program itself, never derived from a version. */
#pragma once

#include "harness/base/clock.h"
#include "harness/base/error.h"

#include <jansson.h>
#include <stdbool.h>

#define QEMU_DEFAULT "qemu-system-x86_64"

/* The path of a program given by name or path, through PATH; caller frees. An error tells how to
 * install it. */
struct error *qemu_find(const char *qemu, char **path);

/* "7.2.22" as of `qemu --version`; caller frees. */
struct error *qemu_version(const char *qemu, struct deadline deadline, char **version);

/* Finds QEMU (as qemu_find) and its version (as qemu_version), and refuses one that is too old for
 * fleetlab: 6.2 is the oldest that its command lines were tried with. Both texts: caller frees. */
struct error *qemu_usable(const char *qemu, struct deadline deadline, char **path, char **version);

/* A migration mode: memory is handed to another QEMU of the same host as file descriptors. */
#define QEMU_CPR_TRANSFER "cpr-transfer"

/* Asks over QMP, without a guest: {version: "7.2.22", devices: [NAME], objects: [NAME],
 * migration: [CAPABILITY, and QEMU_CPR_TRANSFER where there is that], machines: [NAME]}. Caller
 * owns it. */
struct error *qemu_features(const char *qemu, struct deadline deadline, json_t **features);

/* True when an enumeration of this answer to query-qmp-schema has this value. */
bool qemu_schema_has_value(const json_t *schema, const char *value);

/* True when features[list] has this name. */
bool qemu_has(const json_t *features, const char *list, const char *name);
