/*
 * Files and directories: whole-file reads with a bound, writes that are either complete or absent,
 * and the places where fleetlab keeps things.
 */
#pragma once

#include "harness/base/error.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Returns a newly allocated, formatted string; aborts when memory is exhausted. */
char *format_string(const char *format, ...) __attribute__((format(printf, 1, 2), returns_nonnull));

/* BEGIN and 16 random hexadecimal digits, as a name that nobody can have put anything at; caller
 * frees. */
char *fs_unguessed_name(const char *begin);

/* Creates a directory and its parents (mode 0755). An existing directory is fine. */
struct error *fs_make_dirs(const char *path);

/* Reads a whole file of at most `max_size` bytes; `*data` is NUL-terminated and owned by the
 * caller. `size` may be NULL. Works on /proc and /sys files. A larger file is an error. */
struct error *fs_read(const char *path, size_t max_size, char **data, size_t *size);

/* As fs_read(), for a place that others may have written to: only of a regular file, through no
 * symbolic link, and never waiting for the other end of a FIFO. `status` may be NULL. */
struct error *fs_read_regular(
	const char *path, size_t max_size, char **data, size_t *size, struct stat *status);

/* Opens a regular file below the directory `root` for reading: "runs/a.json". Follows no symbolic
 * link, leaves `root` by no way, and never waits for the other end of a FIFO. `status` may be NULL.
 */
struct error *fs_open_beneath(int root, const char *path, int *fd, struct stat *status);

/* As fs_read_regular(), of such a file. */
struct error *fs_read_beneath(int root, const char *path, size_t max_size, char **data,
	size_t *size, struct stat *status);

/* As fs_read() of a short text file, with trailing white space removed; NULL when unreadable. */
char *fs_read_line(const char *path);

/* Writes `size` bytes so that `path` holds either its old content or all of the new one, also after
 * a power cut: a temporary file beside it, fsync, rename, fsync of the directory. */
struct error *fs_write_atomic(const char *path, const void *data, size_t size);

/*
 * Moves a file or a directory, replacing nothing: -1 with errno EEXIST where there is something.
 * As renameat2(2) with RENAME_NOREPLACE; where the file system has no such thing (NFS, 9p), a file
 * gets its new name by link(2) before it loses the old one, and a directory takes the place of an
 * empty one that mkdir(2) has claimed. A kill between the two leaves both names, or the empty one.
 */
int fs_rename_new(int from_directory, const char *from, int to_directory, const char *to);

/* Writes a value to an existing file such as a knob below /sys, /proc or a cgroup. */
struct error *fs_write_value(const char *path, const char *value);

/* Writes all of `size` bytes to `fd`, going on after short writes and EINTR. */
struct error *fs_write_all(int fd, const void *data, size_t size, const char *what);

/* Removes a directory tree without crossing mounts or following links. A missing one is fine. */
struct error *fs_remove_tree(const char *path);

/* Bytes free for this user on the file system of `path` (or of its nearest existing parent). */
struct error *fs_free_bytes(const char *path, uint64_t *bytes);

/* Content hash of a regular file (XXH3, 128 bit) as 32 hex digits; `hex` holds 33 bytes. */
struct error *fs_hash_file(const char *path, char *hex);
/* The same of bytes in memory. */
void fs_hash_bytes(const void *data, size_t size, char *hex);

/* Path, time of change and size of a file as text ("PATH missing" without one): for keys of what
 * has been learned from that file. Caller frees. */
char *fs_identity(const char *path);

/* $FLEETLAB_CACHE, $XDG_CACHE_HOME/fleetlab or ~/.cache/fleetlab; caller frees. */
char *fs_cache_dir(void);

/* Where records are kept when the user names no place: $FLEETLAB_RESULTS, ./results when it exists,
 * else $XDG_STATE_HOME/fleetlab (~/.local/state/fleetlab); caller frees. */
char *fs_results_dir(void);

/* What a command needs to find records in `dir` as well: " --results DIR", quoted for a shell, or
 * "" where that is fs_results_dir() anyway. Caller frees. */
char *fs_results_words(const char *dir);

/* Small host-wide state that must not outlive a boot (locks, knob journal, sockets of running
 * fleets): /run/fleetlab for root, $XDG_RUNTIME_DIR/fleetlab otherwise; caller frees. */
char *fs_runtime_dir(void);
