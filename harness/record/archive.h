/*
 * Archives of files: tar, compressed by zstd or gzip, written and read by libarchive. What is read
 * is hostile: only plain files and directories with plain relative names are taken, nothing is
 * followed, and everything is bounded; one entry that breaks these rules refuses the archive.
 */
#pragma once

#include "harness/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* What an archive may unpack to: a night of all mechanisms is below a hundredth of either. */
#define ARCHIVE_MAX_BYTES ((uint64_t)2 << 30)
#define ARCHIVE_MAX_FILES 200000

/* Directories below each other in a name. */
#define ARCHIVE_MAX_DEPTH 4

/* True for a name that cannot lead anywhere else: parts of letters, digits and ._+:@- that do not
 * begin with a dot, at most ARCHIVE_MAX_DEPTH of them. */
bool archive_name_is_plain(const char *name);

/* ---- writing ---- */

struct archive_writer;

/* Begins an archive at `path`, whose end says how it is compressed (.tar.zst, .tar.gz, .tgz; else
 * ERROR_USAGE). It appears there, replacing nothing, when archive_finish() is called; until then it
 * is a file beside it that archive_writer_destroy() removes. Its mode is by the umask. */
struct error *archive_create(const char *path, struct archive_writer **writer);

/* Adds a file with these bytes. Order and times are all that archives of equal files differ in. */
struct error *archive_add(struct archive_writer *writer, const char *name, const void *data,
	size_t size, time_t when);

/* Completes it; it must not be there yet. */
struct error *archive_finish(struct archive_writer *writer);
void archive_writer_destroy(struct archive_writer *writer);

/* ---- reading ---- */

/* Unpacks an archive below `directory`, which must be empty. The first part of its names, when all
 * have the same, is left out. */
struct error *archive_unpack(const char *path, const char *directory);
