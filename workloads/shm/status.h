/*
 * How the guest library reports failure: a status, and the story in words beside it. Nothing in the
 * library prints or exits.
 */
#pragma once

enum shm_status {
	SHM_OK,
	SHM_TIMEOUT,   /* the deadline passed and every awaited member still seemed alive */
	SHM_PEER_GONE, /* a member that was waited for has died, left or been replaced */
	SHM_CORRUPT,   /* the region holds what no correct member writes */
	SHM_READ_ONLY, /* this member may only read */
	SHM_INVALID,   /* the caller asked for something that cannot be */
	SHM_SYSTEM,    /* the guest lacks something, or a system call failed */
};

/* The calling thread's last failure, in words. Valid until its next one; never NULL. */
const char *shm_message(void);

/* Sets the message and returns `status`. */
enum shm_status shm_fail(enum shm_status status, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* As shm_fail(SHM_SYSTEM) with ": strerror(errno)" appended. */
enum shm_status shm_fail_errno(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Returns from the calling function with a failure, if there is one. */
#define shm_try(expression)                                                                        \
	do {                                                                                       \
		enum shm_status _status = (expression);                                            \
		if (_status != SHM_OK)                                                             \
			return _status;                                                            \
	} while (0)
