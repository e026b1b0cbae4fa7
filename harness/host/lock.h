/*
 * One run at a time on a host: two would measure each other. The lock is the kernel's (on
 * fs_runtime_dir()/run.lock), so it ends with its holder, however that dies. Processes forked by
 * the holder (and not exec'd) hold it too: it is free only when all of them are gone.
 */
#pragma once

#include "harness/base/clock.h"
#include "harness/base/error.h"

struct host_lock;

/* Takes the lock, waiting until the deadline for another holder; `what` says to others who we are:
 * "run 20260131T235959Z-1a2b (shmipc)". When it stays taken, the error (ERROR_TIMEOUT) names the
 * holder, its pid and since when, and the remedy. A deadline that has passed means: do not wait. */
struct error *host_lock_acquire(const char *what, struct deadline deadline, struct host_lock **out);

/* Gives the lock back; takes NULL. */
void host_lock_release(struct host_lock *lock);
DEFINE_CLEANUP(host_lock, struct host_lock *, host_lock_release)
#define _cleanup_host_lock_ _cleanup_(cleanup_host_lock)

/* Who holds it now: {what, pid, since}, or NULL when it is free. Caller owns it. */
struct error *host_lock_holder(json_t **holder);
