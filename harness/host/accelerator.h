/*
 * Which accelerator QEMU can really use here. That /dev/kvm exists and answers proves nothing: on
 * some hosts a guest then hangs in its boot ROM for ever. So a probe guest is booted under KVM, the
 * way our guests boot (SeaBIOS, the PVH option ROM, long mode), with a deadline, and the answer is
 * remembered in fs_cache_dir()/accelerator.json for this QEMU (path, mtime, size), host kernel,
 * microcode, CPU and kernel image.
 */
#pragma once

#include "harness/base/clock.h"
#include "harness/base/error.h"

#include <stdbool.h>

/* How KVM fared. Only what a probe boot found out is remembered, the first two are looked up. */
enum kvm_state {
	KVM_ABSENT,	   /* there is no /dev/kvm */
	KVM_NOT_PERMITTED, /* it cannot be opened by this user */
	KVM_REFUSED,	   /* QEMU ended with an error: its message is in the reason */
	KVM_HANGS,	   /* the probe guest did not come up, the same one under TCG did */
	KVM_WORKS,
};

struct accelerator {
	char *name;   /* "kvm" or "tcg": the word for -accel and for every result */
	char *reason; /* one sentence, no full stop; never NULL */
	enum kvm_state kvm;
	double boot_seconds; /* of the probe guest under `name`; 0 when it was not booted */
	bool probed_now;     /* false: remembered, or answered without a boot */
};

void accelerator_deinit(struct accelerator *accelerator);

/* Finds the accelerator. `qemu` is a program name or path; `kernel_path` an uncompressed kernel to
 * boot as the probe, or NULL for the built-in one (probe_guest.h: 0.1 s under TCG). A hang takes up
 * to five seconds of the deadline to establish, once. KVM is probed with `-cpu host`, which is what
 * guests get under it. Fails when QEMU cannot be run, when the probe fails under TCG too, or when
 * the deadline passes before there is an answer: that is ERROR_TIMEOUT and nothing is remembered.
 */
struct error *accelerator_find(const char *qemu, const char *kernel_path, struct deadline deadline,
	struct accelerator *out);

/* Forgets all remembered answers, so that the next accelerator_find() boots. */
struct error *accelerator_forget(void);

/* "absent", "not-permitted", "refused", "hangs", "works". */
const char *kvm_state_name(enum kvm_state state);

/* Looks at another device than /dev/kvm, for tests; NULL means the real one. Not copied. */
void accelerator_relocate(const char *kvm_device);
