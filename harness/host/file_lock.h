/*
 * Locks on whole files that belong to the open file: they end with the last process that has it
 * open, however that dies, and can be looked at without being taken (those of flock(2) cannot).
 */
#pragma once

#include "harness/base/clock.h"
#include "harness/base/error.h"

#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

/* Takes the lock if it is free; else false, with errno EAGAIN or EACCES. Needs a writable fd. */
bool file_try_lock(int fd);

/* Takes the lock of the file at `path`, open as `fd`, waiting for it until the deadline
 * (ERROR_TIMEOUT). Holders must give it back by closing, not by unlocking. */
struct error *file_lock(int fd, const char *path, struct deadline deadline);

/* Makes the file NAME in `directory` where there is none, opens it, through no symbolic link, and
 * takes its lock: *fd is closed to give it back. `path` is the same file: for messages. */
struct error *file_lock_at(
	int directory, const char *name, const char *path, struct deadline deadline, int *fd);

/* True when it is locked through another open file than this one. */
bool file_is_locked(int fd);
