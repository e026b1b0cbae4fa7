/* The content-addressed cache of images: see cache.h. Must never show a half-built entry and never
 * trust an entry whose bytes it has not hashed. */
#include "harness/image/cache.h"
#include "harness/base/fs.h"
#include "harness/base/version.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#define DEFAULT_TIMEOUT_MS (30 * 60 * 1000LL)

void cache_init(struct cache *cache)
{
	_cleanup_free_ char *base = fs_cache_dir();
	char cwd[4096];

	if (base[0] != '/' && getcwd(cwd, sizeof(cwd))) {
		char *absolute = format_string("%s/%s", cwd, base);

		free(base);
		base = absolute;
	}
	*cache = (struct cache){
		.directory = format_string("%s/images", base),
		.packages = format_string("%s/packages", base),
		.deadline = deadline_after_ms(DEFAULT_TIMEOUT_MS),
		.lock_fd = -1,
	};
}

void cache_deinit(struct cache *cache)
{
	cache_unlock(cache);
	free(cache->directory);
	free(cache->packages);
	*cache = (struct cache){.lock_fd = -1};
}

void cache_say(const struct cache *cache, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list args;

	if (!cache->message)
		return;
	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	if (text)
		cache->message(cache->message_data, text);
}

void cache_entry_deinit(struct cache_entry *entry)
{
	free(entry->directory);
	free(entry->hash);
	json_decref(entry->manifest);
	*entry = (struct cache_entry){0};
}

void cache_key(json_t *specification, char *key)
{
	_cleanup_free_ char *text = json_dumps(specification, JSON_SORT_KEYS | JSON_COMPACT);

	if (!text)
		abort();
	fs_hash_bytes(text, strlen(text), key);
}

/* The hash of an entry is that of the list of its files with their hashes and sizes. */
static void hash_of_files(json_t *files, char *hash)
{
	_cleanup_free_ char *text = json_dumps(files, JSON_SORT_KEYS | JSON_COMPACT);

	if (!text)
		abort();
	fs_hash_bytes(text, strlen(text), hash);
}

/* What is wrong with the files of an entry, or NULL; the caller frees. */
static char *find_damage(const char *directory, json_t *manifest, const char *hash)
{
	json_t *files = json_object_get(manifest, "files");
	char actual[33];
	const char *name;
	json_t *file;

	if (!json_is_object(files))
		return format_string("its manifest lists no files");
	hash_of_files(files, actual);
	if (strcmp(actual, hash) != 0)
		return format_string("its manifest was changed");
	json_object_foreach (files, name, file) {
		_cleanup_free_ char *path = format_string("%s/%s", directory, name);
		const char *expected = json_string_value(json_object_get(file, "hash"));
		_cleanup_error_ struct error *err = fs_hash_file(path, actual);

		if (err)
			return format_string("%s", error_message(err));
		if (!expected || strcmp(actual, expected) != 0)
			return format_string("the content of %s was changed", name);
	}
	return NULL;
}

bool cache_is_hash(const char *text)
{
	return text && strlen(text) == 32 && strspn(text, "0123456789abcdef") == 32;
}

static char *manifest_path(const struct cache *cache, const char *key)
{
	return format_string("%s/manifests/%s.json", cache->directory, key);
}

static void hash_of_manifest(json_t *manifest, char *hash)
{
	cache_key(manifest, hash);
}

struct error *cache_read_manifest(const char *path, json_t **manifest)
{
	_cleanup_json_ json_t *json = json_load_file(path, 0, NULL);
	json_t *inner = json_object_get(json, "manifest");
	const char *check = json_string_value(json_object_get(json, "check"));
	char actual[33] = "";

	if (inner)
		hash_of_manifest(inner, actual);
	if (!check || strcmp(check, actual) != 0 ||
		!cache_is_hash(json_string_value(json_object_get(inner, "hash"))))
		return error_new(ERROR_SETUP, "its manifest was changed");
	*manifest = json_incref(inner);
	return NULL;
}

bool cache_lookup(
	const struct cache *cache, const char *key, struct cache_entry *entry, char **damage)
{
	_cleanup_free_ char *path = manifest_path(cache, key);
	_cleanup_json_ json_t *manifest = NULL;

	*damage = NULL;
	if (access(path, F_OK) < 0)
		return false;
	_cleanup_error_ struct error *err = cache_read_manifest(path, &manifest);

	if (err) {
		*damage = format_string("%s", error_message(err));
		return false;
	}
	const char *hash = json_string_value(json_object_get(manifest, "hash"));
	_cleanup_free_ char *directory = format_string("%s/%s", cache->directory, hash);

	*damage = find_damage(directory, manifest, hash);
	if (*damage)
		return false;
	*entry = (struct cache_entry){
		.directory = take_ptr(directory),
		.hash = format_string("%s", hash),
		.manifest = take_ptr(manifest),
	};
	return true;
}

/* Fills in "files" of the manifest from what the builder has left in `directory`. */
static struct error *record_files(const char *directory, json_t *manifest)
{
	_cleanup_json_ json_t *files = json_object();
	DIR *dir = opendir(directory);
	struct dirent *item;
	struct error *err = NULL;

	if (!dir)
		return error_errno(errno, "cannot read %s", directory);
	while (!err && (item = readdir(dir))) {
		_cleanup_free_ char *path = format_string("%s/%s", directory, item->d_name);
		struct stat st;
		char hash[33];

		if (item->d_name[0] == '.')
			continue;
		if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode) || chmod(path, 0444) < 0)
			err = error_new(ERROR_INTERNAL, "%s is not a plain file of ours", path);
		else
			err = fs_hash_file(path, hash);
		if (!err)
			json_object_set_new(files, item->d_name,
				json_pack("{s:s, s:I}", "hash", hash, "bytes",
					(json_int_t)st.st_size));
	}
	closedir(dir);
	if (!err)
		json_object_set(manifest, "files", files);
	return err;
}

static struct error *write_manifest(struct cache *cache, const char *key, json_t *manifest)
{
	_cleanup_free_ char *path = manifest_path(cache, key);
	char check[33];

	hash_of_manifest(manifest, check);
	_cleanup_json_ json_t *json = json_pack("{s:s, s:O}", "check", check, "manifest", manifest);
	_cleanup_free_ char *text = json_dumps(json, JSON_INDENT(2) | JSON_SORT_KEYS);

	if (!text)
		return error_errno(ENOMEM, "cannot write %s", path);
	return fs_write_atomic(path, text, strlen(text));
}

/* Moves a finished entry to its place. When an intact one with the same content is there, that one
 * stays, so that a running guest never sees its files replaced. */
static struct error *publish(struct cache *cache, const char *key, const char *staged,
	json_t *manifest, struct cache_entry *entry)
{
	_cleanup_free_ char *manifests = format_string("%s/manifests", cache->directory);
	char hash[33];

	try_(record_files(staged, manifest));
	hash_of_files(json_object_get(manifest, "files"), hash);
	json_object_set_new(manifest, "hash", json_string(hash));

	_cleanup_free_ char *directory = format_string("%s/%s", cache->directory, hash);
	_cleanup_free_ char *damage = find_damage(directory, manifest, hash);

	if (damage) {
		try_(fs_remove_tree(directory));
		if (rename(staged, directory) < 0)
			return error_errno(errno, "cannot rename %s to %s", staged, directory);
	}
	try_(fs_make_dirs(manifests));
	try_(write_manifest(cache, key, manifest));
	*entry = (struct cache_entry){
		.directory = take_ptr(directory),
		.hash = format_string("%s", hash),
		.manifest = json_incref(manifest),
	};
	return NULL;
}

static struct error *build_in(struct cache *cache, const char *staging, const char *name,
	json_t *specification, cache_build build, const void *data, struct cache_entry *entry)
{
	_cleanup_free_ char *staged = format_string("%s/entry", staging);
	_cleanup_free_ char *work = format_string("%s/work", staging);
	char built[24], key[33];

	clock_format_utc(time(NULL), false, built, sizeof(built));
	_cleanup_json_ json_t *manifest = json_pack("{s:i, s:s, s:s, s:s, s:s, s:O}", "schema", 1,
		"name", name, "built", built, "fleetlab_version", fleetlab_version,
		"fleetlab_commit", fleetlab_commit, "specification", specification);

	try_(fs_make_dirs(staged));
	try_(fs_make_dirs(work));
	/* An unpacked root may hold set-user-ID programs: nobody else enters. */
	if (chmod(work, 0700) < 0)
		return error_errno(errno, "cannot protect %s", work);
	try_(build(cache, staged, work, manifest, data));
	cache_key(specification, key);
	return publish(cache, key, staged, manifest, entry);
}

static struct error *build_entry(struct cache *cache, const char *name, json_t *specification,
	cache_build build, const void *data, struct cache_entry *entry)
{
	_cleanup_free_ char *staging = format_string("%s/staging-XXXXXX", cache->directory);
	struct error *err;

	if (!mkdtemp(staging) || chmod(staging, 0755) < 0)
		return error_errno(errno, "cannot create a directory in %s", cache->directory);
	err = build_in(cache, staging, name, specification, build, data, entry);
	error_destroy(fs_remove_tree(staging)); /* what stays is swept by the next builder */
	return err ? error_prefix(err, "cannot build image %s", name) : NULL;
}

struct error *cache_obtain(struct cache *cache, const char *name, json_t *specification,
	cache_build build, const void *data, struct cache_entry *entry)
{
	bool nested = cache->lock_fd >= 0;
	_cleanup_free_ char *damage = NULL;
	struct error *err = NULL;
	char key[33];

	cache_key(specification, key);
	if (!cache->fresh && cache_lookup(cache, key, entry, &damage))
		return NULL;
	if (!nested) {
		try_(cache_lock(cache));
		free(take_ptr(damage));
		if (!cache->fresh && cache_lookup(cache, key, entry, &damage)) {
			cache_unlock(cache);
			return NULL;
		}
	}
	if (damage)
		cache_say(cache, "image %s is damaged (%s): building it again", name, damage);
	else
		cache_say(cache, "building %s (once; kept in %s)", name, cache->directory);
	err = build_entry(cache, name, specification, build, data, entry);
	if (!nested)
		cache_unlock(cache);
	return err;
}
