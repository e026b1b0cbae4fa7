/*
 * Clones: guests whose QEMU starts with a template's device state and its RAM (mapped privately and
 * copied on write, or a copy of their own), instead of booting.
 */
#pragma once

#include "harness/fleet/guest_spec.h"
#include "harness/fleet/qmp.h"

#include <sys/types.h>

/* Makes a template's argument vector of libvirt's command line (libvirt_driver_native()): without
 * its environment, its own monitor and secret, the kernel (it is in RAM already), and with every
 * trace of libvirt's directories gone. The result, an array of strings, is owned by the caller. */
struct error *clone_argv(const char *native, json_t **argv);

/* The vector of one clone: a template's (clone_argv()), with what is `spec`'s own: name, seat, MAC
 * addresses, uuid, and the kind and path of its RAM (RAM_COPY without a path: the template's, as it
 * stands). The result is owned by the caller. */
json_t *clone_fill(const json_t *template, const struct guest_spec *spec);

/* Starts QEMU with such a vector, stopped and waiting for a migration (its state). Its messages go
 * to `log_path`; its monitor listens in the directory of `seat`, which is made. The process is a
 * child of the caller. With `cpr_path` (may be NULL) it will listen there for the source of a
 * cpr-transfer, has no monitor before that has come, and *qmp is NULL. */
struct error *clone_spawn(const char *seat, const json_t *argv, const char *cpr_path,
	const char *log_path, struct deadline deadline, pid_t *pid, struct qmp **qmp);

/* The same, and loads the state of the `template`-th template from its STACK_STATE_FD; returns when
 * it runs. */
struct error *clone_start(const char *seat, const json_t *argv, unsigned int template,
	const char *log_path, struct deadline deadline, pid_t *pid, struct qmp **qmp);

/* The template's side: stops a guest, writes its device state (not its RAM, which is a shared file)
 * to STACK_STATE_FD and ends its QEMU. */
struct error *clone_save(struct qmp *qmp, struct deadline deadline);
