/*
 * Clones: guests whose QEMU starts with a template's device state and a private, copy-on-write
 * mapping of its RAM, instead of booting.
 */
#pragma once

#include "harness/fleet/qmp.h"

#include <sys/types.h>

/* Makes a template's argument vector of libvirt's command line (libvirt_driver_native()): without
 * its environment, its own monitor and secret, the kernel (it is in RAM already), and with every
 * trace of libvirt's directories gone. The result, an array of strings, is owned by the caller. */
struct error *clone_argv(const char *native, json_t **argv);

/* Starts a clone called `name` and waits until it runs. The template's RAM and state are read from
 * STACK_RAM_FD and STACK_STATE_FD. QEMU's messages go to `log_path`. */
struct error *clone_start(const char *name, json_t *argv, const char *log_path,
	struct deadline deadline, pid_t *pid, struct qmp **qmp);

/* The template's side: stops a guest, writes its device state (not its RAM, which is a shared file)
 * to STACK_STATE_FD and ends its QEMU. */
struct error *clone_save(struct qmp *qmp, struct deadline deadline);
