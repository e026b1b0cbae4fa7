/* The kernel's modules by modules.dep, which depmod writes: the only place that knows all of what a
 * module needs (modprobe --show-depends leaves out modules that have an install rule). */
#pragma once

#include "harness/base/error.h"

#include <jansson.h>
#include <stdbool.h>

/* Reads modules.dep of `directory` (…/lib/modules/VERSION): path → array of paths it needs. */
struct error *modules_read(const char *directory, json_t **dependencies);

/* Adds to the object `chosen` the modules that `wanted` accepts, with what they need. */
void modules_choose(json_t *dependencies, bool (*wanted)(const char *path, const void *data),
	const void *data, json_t *chosen);

/* True when `path` is that of the module `name`; '-' and '_' are the same. */
bool modules_is(const char *path, const char *name);

/* Removes the modules that are not chosen. */
struct error *modules_prune(const char *directory, json_t *dependencies, json_t *chosen);
