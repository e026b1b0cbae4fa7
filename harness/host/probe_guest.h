/* The smallest guest that tells whether an accelerator works: see probe_guest.c. */
#pragma once

#include <stddef.h>

/* An ELF image for QEMU's -kernel. Its guest ends QEMU through an isa-debug-exit device at port
 * PROBE_GUEST_PORT, with exit status PROBE_GUEST_EXIT. */
extern const char probe_guest_image[];
extern const char probe_guest_image_end[];

#define PROBE_GUEST_PORT 0xf4
#define PROBE_GUEST_EXIT 85 /* the device makes 2 n + 1 of the byte written */
