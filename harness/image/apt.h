/* The host's apt as a downloader, for harness/image/packages.c only. */
#pragma once

#include "harness/image/packages.h"

/* Downloads the .debs into `directory`, which is made. When the host's package lists are missing or
 * stale, fresh ones are fetched below cache->packages and used instead; the host's stay. */
struct error *apt_download(struct cache *cache, const char *directory, const char *const *names,
	size_t count, enum package_scope scope);

/* The host's Debian sources as one-line entries, for mmdebstrap; the caller frees. */
struct error *apt_sources(struct cache *cache, char **sources, char **suite);
