/* Debian packages as files: see packages.h. Must never change the host's apt or dpkg state. */
#include "harness/image/packages.h"
#include "harness/base/fs.h"
#include "harness/base/process.h"
#include "harness/image/apt.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

void package_list_deinit(struct package_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->items[i].name);
		free(list->items[i].version);
		free(list->items[i].architecture);
		free(list->items[i].path);
	}
	free(list->items);
	*list = (struct package_list){0};
}

struct error *package_name_check(const char *name)
{
	size_t length = strlen(name);

	/* Debian Policy 5.6.1 */
	if (length >= 2 && length < 200 && strchr("-+.", name[0]) == NULL &&
		strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789+-.") == length)
		return NULL;
	return error_hint(
		error_new(ERROR_USAGE, "'%s' cannot be the name of a Debian package", name),
		"names are lower case letters, digits and + - . ; search: apt-cache search WORD");
}

/* "1%3a2.0" to "1:2.0", which is the only character that apt escapes in versions. */
static char *unescape(const char *text, size_t length)
{
	char *out = format_string("%.*s", (int)length, text);

	for (char *p; (p = strstr(out, "%3a"));) {
		*p = ':';
		memmove(p + 1, p + 3, strlen(p + 3) + 1);
	}
	return out;
}

bool package_parse_file_name(const char *file, struct package *package)
{
	const char *first = strchr(file, '_');
	const char *second = first ? strchr(first + 1, '_') : NULL;
	const char *end = second ? strstr(second, ".deb") : NULL;

	if (!end || end[4] != '\0' || strchr(file, '/') || first == file)
		return false;
	*package = (struct package){
		.name = format_string("%.*s", (int)(first - file), file),
		.version = unescape(first + 1, (size_t)(second - first - 1)),
		.architecture = format_string("%.*s", (int)(end - second - 1), second + 1),
	};
	return true;
}

static void append(struct package_list *list, const char *directory, const char *file)
{
	struct package package;

	if (!package_parse_file_name(file, &package))
		return;
	package.path = format_string("%s/%s", directory, file);
	list->items = reallocarray(list->items, list->count + 1, sizeof(package));
	if (!list->items)
		abort();
	list->items[list->count++] = package;
}

/* Which packages a request led to is kept beside them, by the hash of the request. */
static char *set_path(
	const struct cache *cache, const char *const *names, size_t count, enum package_scope scope)
{
	_cleanup_json_ json_t *request = json_pack("{s:i, s:[]}", "scope", (int)scope, "names");
	char key[33];

	for (size_t i = 0; i < count; i++)
		json_array_append_new(json_object_get(request, "names"), json_string(names[i]));
	cache_key(request, key);
	return format_string("%s/set-%s.json", cache->packages, key);
}

/* True when all packages of the set are there, with the content they had when downloaded. */
static bool load_set(const struct cache *cache, const char *path, struct package_list *list)
{
	_cleanup_json_ json_t *set = json_load_file(path, 0, NULL);
	struct package_list found = {0};
	const char *file;
	json_t *hash;

	json_object_foreach (set, file, hash) {
		_cleanup_free_ char *deb = format_string("%s/%s", cache->packages, file);
		char actual[33] = "";
		_cleanup_error_ struct error *err = fs_hash_file(deb, actual);

		if (err || !json_is_string(hash) || strcmp(actual, json_string_value(hash)) != 0) {
			package_list_deinit(&found);
			return false;
		}
		append(&found, cache->packages, file);
	}
	if (found.count == 0)
		return false;
	*list = found;
	return true;
}

/* Moves what was downloaded to its place and notes the set. */
static struct error *store_set(const struct cache *cache, const char *path, const char *downloads)
{
	_cleanup_json_ json_t *set = json_object();
	DIR *dir = opendir(downloads);
	struct error *err = NULL;
	struct dirent *item;

	if (!dir)
		return error_errno(errno, "cannot read %s", downloads);
	while (!err && (item = readdir(dir))) {
		_cleanup_free_ char *from = format_string("%s/%s", downloads, item->d_name);
		_cleanup_free_ char *to = format_string("%s/%s", cache->packages, item->d_name);
		size_t length = strlen(item->d_name);
		char hash[33];

		if (length < 5 || strcmp(item->d_name + length - 4, ".deb") != 0)
			continue;
		err = fs_hash_file(from, hash);
		if (!err && rename(from, to) < 0)
			err = error_errno(errno, "cannot rename %s to %s", from, to);
		json_object_set_new(set, item->d_name, json_string(hash));
	}
	closedir(dir);
	if (err)
		return err;
	_cleanup_free_ char *text = json_dumps(set, JSON_INDENT(2) | JSON_SORT_KEYS);

	return text ? fs_write_atomic(path, text, strlen(text))
		    : error_errno(ENOMEM, "cannot write %s", path);
}

struct error *packages_fetch(struct cache *cache, const char *work, const char *const *names,
	size_t count, enum package_scope scope, struct package_list *list)
{
	_cleanup_free_ char *path = set_path(cache, names, count, scope);
	_cleanup_free_ char *downloads = format_string("%s/downloads", work);

	for (size_t i = 0; i < count; i++)
		try_(package_name_check(names[i]));
	if (!cache->fresh && load_set(cache, path, list))
		return NULL;
	try_(fs_make_dirs(cache->packages));
	try_(fs_remove_tree(downloads));
	cache_say(cache, "downloading %s%s", names[count - 1],
		scope == PACKAGES_CLOSURE ? " and what it depends on" : "");
	try_(apt_download(cache, downloads, names, count, scope));
	try_(store_set(cache, path, downloads));
	if (!load_set(cache, path, list))
		return error_new(ERROR_SETUP, "apt has downloaded nothing for %s", names[0]);
	return NULL;
}

void packages_record_one(
	json_t *manifest, const char *name, const char *version, const char *architecture)
{
	json_t *packages = json_object_get(manifest, "packages");
	json_t *known;
	size_t i;

	if (!packages) {
		packages = json_array();
		json_object_set_new(manifest, "packages", packages);
	}
	json_array_foreach (packages, i, known) {
		if (strcmp(json_string_value(json_object_get(known, "name")), name) == 0)
			return;
	}
	json_array_append_new(packages, json_pack("{s:s, s:s, s:s}", "name", name, "version",
						version, "architecture", architecture));
}

void packages_record(json_t *manifest, const struct package_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		packages_record_one(manifest, list->items[i].name, list->items[i].version,
			list->items[i].architecture);
}

struct error *package_unpack(
	const struct package *package, const char *directory, struct deadline deadline)
{
	const char *const argv[] = {"dpkg-deb", "--extract", package->path, directory, NULL};

	try_(fs_make_dirs(directory));
	return process_check(argv, NULL, deadline, NULL);
}
