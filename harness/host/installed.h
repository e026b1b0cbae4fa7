/* Which versions of the packages that matter to a measurement are installed on this host. */
#pragma once

#include "harness/base/clock.h"

#include <jansson.h>

/* {"qemu-system-x86": "1:7.2+dfsg-7", …} of the kernel, QEMU and what it loads, libvirt, firmware,
 * microcode, libc and the tools that put load on guests; "all" is a hash of everything that is
 * installed. Empty where dpkg is not the host's package manager. Caller owns it. */
json_t *host_installed(struct deadline deadline);

/* The same from the lines "PACKAGE VERSION" of `list`, in any order. */
json_t *installed_parse(const char *list);
