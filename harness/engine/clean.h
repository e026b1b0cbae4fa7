/*
 * Is the host as it was before a trial? The kernel takes a lab down with all that is in it; this
 * looks from outside whether it did: network devices, mounts and knobs of the host.
 */
#pragma once

#include <jansson.h>

/* What a lab could leave behind: {"devices": […], "mounts": […], "knobs": {path: value}}; owned by
 * the caller. */
json_t *clean_snapshot(void);

/* Appends a sentence to `warnings` for everything that is there now and was not in `before`, and
 * for every knob that has another value. Others may use the host too: it is a warning, not a
 * failure. */
void clean_compare(const json_t *before, json_t *warnings);
