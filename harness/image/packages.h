/*
 * Debian packages as files: downloaded once by the host's own apt (its sources, its keys) into the
 * cache's packages directory and kept, so that a later build needs no network. Nothing is
 * installed, and neither apt's nor dpkg's state on the host is changed.
 */
#pragma once

#include "harness/image/cache.h"

struct package {
	char *name, *version, *architecture;
	char *path; /* of the .deb */
};

struct package_list {
	struct package *items;
	size_t count;
};

void package_list_deinit(struct package_list *list);

enum package_scope {
	PACKAGES_ONLY,		 /* just these */
	PACKAGES_CLOSURE,	 /* with all that they depend on, down to libc */
	PACKAGES_OF_METAPACKAGE, /* instead of the one name given, what it depends on first */
};

/* What was downloaded for the same names before, or else (or when cache->fresh) what apt offers
 * now. `work` is an existing directory for what is in between. */
struct error *packages_fetch(struct cache *cache, const char *work, const char *const *names,
	size_t count, enum package_scope scope, struct package_list *list);

/* An error unless `name` can be the name of a Debian package (so never an option of apt). */
struct error *package_name_check(const char *name);

/* Splits "zlib1g_1%3a1.2.13-1_amd64.deb"; false when it is not such a name. */
bool package_parse_file_name(const char *file, struct package *package);

/* Appends name, version and architecture to the array manifest["packages"], each once. */
void packages_record(json_t *manifest, const struct package_list *list);
void packages_record_one(
	json_t *manifest, const char *name, const char *version, const char *architecture);

/* Unpacks a .deb into a directory, which is made. */
struct error *package_unpack(
	const struct package *package, const char *directory, struct deadline deadline);
