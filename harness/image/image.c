/* Opening an image: from a request to files that are verified. See image.h. */
#include "harness/image/image.h"
#include "harness/base/embedded.h"
#include "harness/base/fs.h"
#include "harness/base/nearest.h"
#include "harness/image/builders.h"
#include "harness/image/from.h"
#include "harness/image/packages.h"

#include <errno.h>
#include <string.h>

/* Part of every specification: raise it when a builder's outcome changes by more than its inputs.
 */
#define RECIPE 2

static const struct kind {
	const char *name;
	cache_build build;
	/* The scripts in it: a change of one makes it another image. */
	const char *scripts[5];
	/* And the words of what it is made of; NULL: its builder adds none. */
	const struct initramfs_plan *plan;
} kinds[] = {
	{"tiny", build_tiny,
		{"tiny-init/init", "tiny-init/load-modules", "tiny-init/agent",
			"tiny-init/shutdown"},
		&tiny_plan},
	{"hypervisor", build_hypervisor,
		{"tiny-init/init", "tiny-init/load-modules", "tiny-init/agent",
			"tiny-init/shutdown"},
		&hypervisor_plan},
	{"debian", build_debian, {"tiny-init/disk-init"}, NULL},
};

static const struct kind from_tarball = {"user", build_from_tarball, {"tiny-init/disk-init"}, NULL};
static const struct kind from_disk = {"user", build_from_disk, {NULL}, NULL};

const char *image_kind_at(size_t index)
{
	return index < ARRAY_SIZE(kinds) ? kinds[index].name : NULL;
}

static struct error *find_kind(const char *name, const struct kind **kind)
{
	const char *names[ARRAY_SIZE(kinds)];

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		names[i] = kinds[i].name;
		if (strcmp(kinds[i].name, name) == 0) {
			*kind = &kinds[i];
			return NULL;
		}
	}
	const char *near = nearest_name(name, names, ARRAY_SIZE(names));
	struct error *err = error_new(ERROR_USAGE, "there is no image kind '%s'", name);

	return near ? error_hint(err, "the kind '%s'", near)
		    : error_hint(err, "the kinds tiny, hypervisor and debian, or your own file by "
				      "--from FILE");
}

/* A checked request with what was derived from it. */
struct order {
	const struct kind *kind;
	struct recipe recipe;
	const char **packages;
	char *from;
	char *name;
	json_t *specification;
};

static void order_deinit(struct order *order)
{
	free(order->packages);
	free(order->from);
	free(order->name);
	json_decref(order->specification);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static struct error *sort_packages(const struct image_request *request, struct order *order)
{
	size_t used = 0;

	order->packages = calloc(request->package_count + 1, sizeof(char *));
	if (!order->packages)
		abort();
	for (size_t i = 0; i < request->package_count; i++) {
		try_(package_name_check(request->packages[i]));
		order->packages[i] = request->packages[i];
	}
	qsort(order->packages, request->package_count, sizeof(char *), compare_names);
	for (size_t i = 0; i < request->package_count; i++) {
		if (used == 0 || strcmp(order->packages[used - 1], order->packages[i]) != 0)
			order->packages[used++] = order->packages[i];
	}
	order->recipe.packages = order->packages;
	order->recipe.package_count = used;
	return NULL;
}

static struct error *choose_kind(const struct image_request *request, struct order *order)
{
	enum from_format format;

	if (!request->from) {
		order->name = format_string("%s", request->kind ? request->kind : "tiny");
		return find_kind(order->name, &order->kind);
	}
	if (request->kind || request->package_count > 0)
		return error_new(ERROR_USAGE,
			"an image from a file takes neither a kind nor packages: it is what it is");
	order->from = realpath(request->from, NULL);
	if (!order->from)
		return error_hint(error_errno(errno, "cannot use %s as an image", request->from),
			"a qcow2 disk or a tarball of a root file system that you can read");
	try_(from_detect(order->from, &format));
	order->kind = format == FROM_QCOW2 ? &from_disk : &from_tarball;
	order->name = format_string("user:%s", strrchr(order->from, '/') + 1);
	order->recipe.from = order->from;
	return NULL;
}

static struct error *hash_guest_program(const char *path, char *hash)
{
	const struct embedded_file *file;

	if (path)
		return fs_hash_file(path, hash);
	file = embedded_find("fleetlab-guest");
	if (!file)
		return error_new(
			ERROR_INTERNAL, "this fleetlab was built without its guest program");
	fs_hash_bytes(file->data, file->size, hash);
	return NULL;
}

static json_t *words_json(const char *const *words)
{
	json_t *array = json_array();

	for (size_t i = 0; words && words[i]; i++)
		json_array_append_new(array, json_string(words[i]));
	return array;
}

/* Everything that decides the content, and nothing else. */
static struct error *specify(struct order *order)
{
	_cleanup_json_ json_t *packages = json_array();
	_cleanup_json_ json_t *scripts = json_object();
	char hash[33];

	for (size_t i = 0; i < order->recipe.package_count; i++)
		json_array_append_new(packages, json_string(order->recipe.packages[i]));
	for (size_t i = 0; order->kind->scripts[i]; i++) {
		const struct embedded_file *file = embedded_find(order->kind->scripts[i]);

		if (!file)
			return error_new(ERROR_INTERNAL, "this fleetlab was built without %s",
				order->kind->scripts[i]);
		fs_hash_bytes(file->data, file->size, hash);
		json_object_set_new(scripts, file->name, json_string(hash));
	}
	order->specification = json_pack("{s:s, s:i, s:O, s:O}", "kind", order->kind->name,
		"recipe", RECIPE, "packages", packages, "scripts", scripts);
	if (order->kind->plan)
		json_object_set_new(order->specification, "plan",
			json_pack("[o, o, o]", words_json(order->kind->plan->packages),
				words_json(order->kind->plan->unwanted),
				words_json(order->kind->plan->modules)));
	if (order->kind != &from_disk) {
		try_(hash_guest_program(order->recipe.guest_program, hash));
		json_object_set_new(order->specification, "guest_program", json_string(hash));
	}
	if (order->from) {
		try_(fs_hash_file(order->from, hash));
		json_object_set_new(order->specification, "from", json_string(hash));
		json_object_set_new(order->specification, "from_path", json_string(order->from));
	}
	return NULL;
}

static struct error *take_order(const struct image_request *request, struct order *order)
{
	try_(choose_kind(request, order));
	try_(sort_packages(request, order));
	order->recipe.kind = order->kind->name;
	order->recipe.guest_program = request->guest_program;
	for (size_t i = 0; i < order->recipe.package_count; i++) {
		char *longer = format_string("%s+%s", order->name, order->recipe.packages[i]);

		free(order->name);
		order->name = longer;
	}
	return specify(order);
}

static char *path_of(const struct cache_entry *entry, const char *member)
{
	const char *name = json_string_value(json_object_get(entry->manifest, member));

	if (!name)
		return NULL;
	return name[0] == '/' ? format_string("%s", name)
			      : format_string("%s/%s", entry->directory, name);
}

static char *text_of(const struct cache_entry *entry, const char *member)
{
	const char *text = json_string_value(json_object_get(entry->manifest, member));

	return text ? format_string("%s", text) : NULL;
}

static struct image *image_of(const struct order *order, const struct cache_entry *entry)
{
	struct image *image = calloc(1, sizeof(*image));

	if (!image)
		abort();
	*image = (struct image){
		.name = format_string("%s", order->name),
		.kind = format_string("%s", order->kind->name),
		.hash = format_string("%s", entry->hash),
		.directory = format_string("%s", entry->directory),
		.kernel = path_of(entry, "kernel"),
		.initrd = path_of(entry, "initrd"),
		.disk = path_of(entry, "disk"),
		.disk_format = text_of(entry, "disk_format"),
		.command_line = text_of(entry, "command_line"),
		.own_program = json_is_true(json_object_get(entry->manifest, "own_program")),
		.memory_min_bytes = (uint64_t)json_integer_value(
			json_object_get(entry->manifest, "memory_min_bytes")),
		.manifest = json_incref(entry->manifest),
	};
	return image;
}

void image_destroy(struct image *image)
{
	if (!image)
		return;
	free(image->name);
	free(image->kind);
	free(image->hash);
	free(image->directory);
	free(image->kernel);
	free(image->initrd);
	free(image->disk);
	free(image->disk_format);
	free(image->command_line);
	json_decref(image->manifest);
	free(image);
}

struct error *image_open(const struct image_request *request, struct image **image)
{
	_cleanup_(order_deinit) struct order order = {0};
	_cleanup_(cache_deinit) struct cache cache = {.lock_fd = -1};
	_cleanup_(cache_entry_deinit) struct cache_entry entry = {0};

	try_(take_order(request, &order));
	cache_init(&cache);
	cache.fresh = request->fresh;
	cache.message = request->message;
	cache.message_data = request->message_data;
	if (request->timeout_ms > 0)
		cache.deadline = deadline_after_ms(request->timeout_ms);
	try_(cache_obtain(
		&cache, order.name, order.specification, order.kind->build, &order.recipe, &entry));
	*image = image_of(&order, &entry);
	return NULL;
}

struct error *image_is_cached(const struct image_request *request, bool *cached)
{
	_cleanup_(order_deinit) struct order order = {0};
	_cleanup_(cache_deinit) struct cache cache = {.lock_fd = -1};
	_cleanup_(cache_entry_deinit) struct cache_entry entry = {0};
	_cleanup_free_ char *damage = NULL;
	char key[33];

	try_(take_order(request, &order));
	cache_init(&cache);
	cache_key(order.specification, key);
	*cached = cache_lookup(&cache, key, &entry, &damage);
	return NULL;
}
