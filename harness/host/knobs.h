/*
 * Host-wide settings, borrowed and given back. Before a knob is changed, its old value is on disk
 * in fs_runtime_dir()/knobs.json; whoever dies, even by kill -9, leaves enough for the next
 * fleetlab (or `fleetlab gc`) to restore it. Must never change a setting that is not on its list,
 * nor overwrite what somebody else has changed in the meantime.
 *
 * An owner is a process. It is alive as long as it holds a lock file of its own beside the journal:
 * a pid says nothing across PID namespaces, and labs have their own. Processes it has forked (and
 * not exec'd) count as part of it.
 */
#pragma once

#include "harness/base/error.h"

/* Changes a knob for as long as this process lives or until knobs_give_back(). `path` is absolute
 * and below /sys/kernel/mm/ksm/, /sys/kernel/mm/transparent_hugepage/, /proc/sys/vm/,
 * /sys/fs/cgroup/ or a CPU's scaling_governor. Borrowing again what one has borrowed changes the
 * value and keeps the first old one. Fails when another live owner has it (the message names the
 * owner), and when the kernel does not take the value; then the knob is as before. */
struct error *knob_borrow(const char *path, const char *value);

/* Gives back all that this process has borrowed, latest first. A knob that has neither our value
 * nor its old one was changed by somebody else: it is left alone, and a sentence about it is
 * appended to `warnings` (a JSON array, or NULL). Nothing borrowed is fine. */
struct error *knobs_give_back(json_t *warnings);

/* The same for what dead owners have left; every fleetlab that changes anything calls it first. */
struct error *knobs_recover(json_t *warnings);

/* What is borrowed now: [{path, old, value, pid, since, command, alive}]. Caller owns it. */
struct error *knobs_list(json_t **entries);

/* Moves all knobs below `root` and the journal into `runtime_dir`, for tests on a made-up /sys;
 * NULL means the real place. The strings are copied. */
void knobs_relocate(const char *root, const char *runtime_dir);
