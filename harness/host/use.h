/*
 * Do others use this host? What they do would be in every reading, so the nightly watch asks before
 * it begins.
 */
#pragma once

#include <jansson.h>

/*
 * Looks below `proc` ("/proc"; a test's own otherwise) for a load average (1 minute) of more than
 * `most_load` per core and for virtual machines: a process with a VM of /dev/kvm open (where we may
 * look) or with the name of a known monitor, which is all that tells of one without KVM.
 *   {"load_per_core": 0.1, "reasons": ["process 4711 (qemu-system-x86) is a virtual machine"]}
 * No reason: nobody does. "load_per_core" is absent when it cannot be read. Caller owns it.
 */
json_t *host_use(const char *proc, double most_load);
