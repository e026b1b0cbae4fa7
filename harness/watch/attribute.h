/*
 * What else was new when a metric changed: kernel, QEMU, microcode, guest image, build of fleetlab,
 * a knob. It names what changed in the same night; that it is the cause is for the reader to say.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

/* A run's record as a flat object {"kernel.release": "6.1", "build.commit": …, "image.tiny": hash}
 * of texts: what identifies the host and the build, without what differs from run to run anyway.
 * The record may be damaged: what is missing is left out. Owned by the caller. */
json_t *attribute_fields(const json_t *record);

/* A hash of such fields (32 hex digits, `hex` holds 33 bytes): equal fields, equal hash. */
void attribute_fingerprint(const json_t *fields, char *hex);

/*
 * The differences between each of the nights first..last and the one before it that has fields
 * (fields[i] may be NULL), as
 *   [{"night": index, "kind": "kernel", "field": "kernel.release", "before": "…", "after": "…"}]
 * with what matters most first; "before" or "after" is null where a night did not have the field. A
 * change point may be some nights off its place: ask for a few on either side. Owned by the caller.
 */
json_t *attribute_changes(json_t *const *fields, size_t count, size_t first, size_t last);

/* "new kernel (kernel.release: 6.1 → 6.2), and 2 more"; "nothing known was new" for an empty list.
 * Caller frees. */
char *attribute_text(const json_t *changes);
