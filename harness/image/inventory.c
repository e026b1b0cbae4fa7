/* What is in the image cache, and taking it out again: image_list() and image_remove(). */
#include "harness/base/fs.h"
#include "harness/image/cache.h"
#include "harness/image/image.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <time.h>

static uint64_t size_of(json_t *manifest)
{
	uint64_t size = 0;
	const char *name;
	json_t *file;

	json_object_foreach (json_object_get(manifest, "files"), name, file)
		size += (uint64_t)json_integer_value(json_object_get(file, "bytes"));
	return size;
}

static char *text(json_t *manifest, const char *member)
{
	const char *value = json_string_value(json_object_get(manifest, member));

	return format_string("%s", value ? value : "?");
}

static void add_summary(struct image_list *list, const struct cache *cache, json_t *manifest)
{
	_cleanup_free_ char *built = text(manifest, "built");
	struct tm tm = {0};
	struct image_summary summary = {
		.name = text(manifest, "name"),
		.kind = text(json_object_get(manifest, "specification"), "kind"),
		.hash = text(manifest, "hash"),
		.layer = json_is_true(json_object_get(manifest, "layer")),
		.size_bytes = size_of(manifest),
		.package_count = json_array_size(json_object_get(manifest, "packages")),
		.manifest = json_incref(manifest),
	};

	summary.directory = format_string("%s/%s", cache->directory, summary.hash);
	if (strptime(built, "%Y-%m-%dT%H:%M:%SZ", &tm))
		summary.built = timegm(&tm);
	list->items = reallocarray(list->items, list->count + 1, sizeof(summary));
	if (!list->items)
		abort();
	list->items[list->count++] = summary;
}

static int by_name(const void *a, const void *b)
{
	const struct image_summary *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : (x->built < y->built) - (x->built > y->built);
}

/* Calls `visit` for each manifest that is whole; damaged ones are seen when they are opened. */
static struct error *for_each_manifest(const struct cache *cache,
	struct error *(*visit)(
		void *data, const struct cache *cache, const char *path, json_t *manifest),
	void *data)
{
	_cleanup_free_ char *directory = format_string("%s/manifests", cache->directory);
	DIR *dir = opendir(directory);
	struct error *err = NULL;
	struct dirent *item;

	if (!dir && errno == ENOENT)
		return NULL;
	if (!dir)
		return error_errno(errno, "cannot read %s", directory);
	while (!err && (item = readdir(dir))) {
		_cleanup_free_ char *path = format_string("%s/%s", directory, item->d_name);
		_cleanup_json_ json_t *manifest = NULL;
		_cleanup_error_ struct error *damaged = NULL;

		if (!strstr(item->d_name, ".json"))
			continue;
		damaged = cache_read_manifest(path, &manifest);
		if (!damaged)
			err = visit(data, cache, path, manifest);
	}
	closedir(dir);
	return err;
}

static struct error *list_one(
	void *data, const struct cache *cache, const char *path, json_t *manifest)
{
	(void)path;
	add_summary(data, cache, manifest);
	return NULL;
}

struct error *image_list(struct image_list *list)
{
	_cleanup_(cache_deinit) struct cache cache = {.lock_fd = -1};
	_cleanup_(image_list_deinit) struct image_list found = {0};

	cache_init(&cache);
	try_(for_each_manifest(&cache, list_one, &found));
	if (found.count > 0)
		qsort(found.items, found.count, sizeof(found.items[0]), by_name);
	*list = found;
	found = (struct image_list){0};
	return NULL;
}

void image_list_deinit(struct image_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->items[i].name);
		free(list->items[i].kind);
		free(list->items[i].hash);
		free(list->items[i].directory);
		json_decref(list->items[i].manifest);
	}
	free(list->items);
	*list = (struct image_list){0};
}

struct removal {
	const char *wanted;
	size_t removed;
};

static struct error *remove_one(
	void *data, const struct cache *cache, const char *path, json_t *manifest)
{
	struct removal *removal = data;
	_cleanup_free_ char *name = text(manifest, "name");
	_cleanup_free_ char *hash = text(manifest, "hash");
	size_t length = strlen(removal->wanted);

	(void)cache;
	if (strcmp(name, removal->wanted) != 0 &&
		(length < 4 || strncmp(hash, removal->wanted, length) != 0))
		return NULL;
	if (unlink(path) < 0)
		return error_errno(errno, "cannot remove %s", path);
	removal->removed++;
	return NULL;
}

static struct error *note_hash(
	void *data, const struct cache *cache, const char *path, json_t *manifest)
{
	_cleanup_free_ char *hash = text(manifest, "hash");

	(void)cache;
	(void)path;
	json_object_set_new(data, hash, json_true());
	return NULL;
}

/* Removes the entries that no manifest names: of what was just removed, of images that have been
 * built anew, and of whoever was killed between an entry and its manifest. Under the lock. */
static struct error *sweep_entries(const struct cache *cache)
{
	_cleanup_json_ json_t *named = json_object();
	struct error *err = NULL;
	struct dirent *item;
	DIR *dir;

	try_(for_each_manifest(cache, note_hash, named));
	dir = opendir(cache->directory);
	if (!dir)
		return error_errno(errno, "cannot read %s", cache->directory);
	while (!err && (item = readdir(dir))) {
		_cleanup_free_ char *path = format_string("%s/%s", cache->directory, item->d_name);

		if (cache_is_hash(item->d_name) && !json_object_get(named, item->d_name))
			err = fs_remove_tree(path);
	}
	closedir(dir);
	return err;
}

struct error *image_remove(const char *name_or_hash, size_t *removed)
{
	_cleanup_(cache_deinit) struct cache cache = {.lock_fd = -1};
	struct removal removal = {.wanted = name_or_hash};

	cache_init(&cache);
	try_(cache_lock(&cache));
	try_(for_each_manifest(&cache, remove_one, &removal));
	if (removal.removed == 0)
		return error_hint(error_new(ERROR_USAGE, "there is no image '%s'", name_or_hash),
			"fleetlab image list");
	try_(sweep_entries(&cache));
	*removed = removal.removed;
	return NULL;
}

struct error *image_remove_all(bool packages, size_t *removed)
{
	_cleanup_(cache_deinit) struct cache cache = {.lock_fd = -1};
	_cleanup_(image_list_deinit) struct image_list list = {0};
	_cleanup_free_ char *manifests = NULL;

	cache_init(&cache);
	try_(cache_lock(&cache));
	try_(image_list(&list));
	manifests = format_string("%s/manifests", cache.directory);
	try_(fs_remove_tree(manifests));
	try_(sweep_entries(&cache));
	if (packages)
		try_(fs_remove_tree(cache.packages));
	*removed = list.count;
	return NULL;
}
