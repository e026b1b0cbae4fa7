/*
 * The embedded libvirt QEMU driver of a stack: opened when first needed, since a lab of clones
 * needs none. Thread-safe.
 */
#pragma once

#include "harness/base/error.h"

#include <stdbool.h>
#include <sys/types.h>

struct libvirt_driver;

/* Where below `cache_dir` is kept what this libvirt learns, under this kernel, about the QEMU that
 * is found first in PATH: another QEMU has a place of its own. Caller frees. */
char *libvirt_driver_cache_path(const char *cache_dir);

/* `root`: libvirt's root directory (created); `cache`: kept copy of what libvirt learned about
 * QEMU. */
struct libvirt_driver *libvirt_driver_create(const char *root, const char *cache);
void libvirt_driver_destroy(struct libvirt_driver *driver);

/* Starts a domain from XML, running or paused; *pid is its QEMU. */
struct error *libvirt_driver_start(
	struct libvirt_driver *driver, const char *name, const char *xml, bool paused, pid_t *pid);

/* The command line that libvirt would execute for this XML, as one shell-quoted string; caller
 * frees. */
struct error *libvirt_driver_native(struct libvirt_driver *driver, const char *xml, char **native);
