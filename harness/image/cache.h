/*
 * The content-addressed cache below fs_cache_dir()/images:
 *   HASH/               files of an entry, named by their content, never changed after its birth
 *   manifests/KEY.json  what fulfils a specification: which entry, what is in it, made when by
 * what; KEY is the hash of the specification staging-XXXXXX/     what the one builder works on;
 * left behind only when it was killed lock                held (flock) by the builder An entry
 * appears by rename, so it is complete or absent. Reading needs no lock. Two specifications with
 * the same outcome share their entry.
 */
#pragma once

#include "harness/base/clock.h"
#include "harness/base/error.h"

#include <jansson.h>
#include <stdbool.h>

struct cache {
	char *directory;	  /* …/images */
	char *packages;		  /* …/packages: downloaded .debs */
	struct deadline deadline; /* for all of an image: waiting, downloading, building */
	bool fresh;		  /* ignore what is there */
	void (*message)(void *data, const char *text); /* may be NULL */
	void *message_data;
	int lock_fd; /* -1: not held */
};

/* Says where things are; creates nothing. */
void cache_init(struct cache *cache);
void cache_deinit(struct cache *cache);
void cache_say(const struct cache *cache, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

struct cache_entry {
	char *directory; /* absolute path */
	char *hash;
	json_t *manifest;
};

void cache_entry_deinit(struct cache_entry *entry);

/* Makes an entry: puts its files (flat, regular) into `entry`, may use `work` for what is in
 * between, and adds to `manifest` what it knows ("packages" and so on). */
typedef struct error *(*cache_build)(struct cache *cache, const char *entry, const char *work,
	json_t *manifest, const void *data);

/* The entry for a specification, built by `build` when there is none or it is damaged.
 * `name` is for messages and the manifest. A builder may obtain other entries: the lock nests. */
struct error *cache_obtain(struct cache *cache, const char *name, json_t *specification,
	cache_build build, const void *data, struct cache_entry *entry);

/* The key of a specification: does not depend on the order of its members. */
void cache_key(json_t *specification, char *key);

/* Looks a key up and verifies every byte. False when it is missing, or damaged: then `damage`
 * (owned by the caller) says how, else it is NULL. */
bool cache_lookup(
	const struct cache *cache, const char *key, struct cache_entry *entry, char **damage);

/* Whether an entry can have this name. */
bool cache_is_hash(const char *text);

/* Reads a file below manifests/; an error when it is not what was written there. */
struct error *cache_read_manifest(const char *path, json_t **manifest);

/* Waits for the lock until the deadline and sweeps what killed builders left. */
struct error *cache_lock(struct cache *cache);
void cache_unlock(struct cache *cache);
