/* What was new in a night: see attribute.h. Records come from files: no field can be relied on. */
#include "harness/watch/attribute.h"
#include "harness/base/cleanup.h"
#include "harness/base/fs.h"

#include <stdbool.h>
#include <string.h>

/* Deeper than this no host fact is nested. */
#define DEEPEST 6
/* A longer text (hwloc's XML) is the same fact as others tell in short. */
#define LONGEST 400

/* What a field's beginning says about it; what explains most comes first. */
static const struct {
	const char *prefix, *kind;
} kinds[] = {
	{"kernel.", "kernel"},
	{"cpu.microcode", "microcode"},
	{"qemu.", "QEMU"},
	{"accelerator.name", "accelerator"},
	{"build.", "build of fleetlab"},
	{"image.", "guest image"},
	{"libvirt.", "libvirt"},
	{"package.", "package"},
	{"cpu.", "CPU"},
	{"memory.", "memory"},
	{"mitigations.", "mitigation"},
	{"knobs.", "knob"},
	{"packages", "set of installed packages"},
	{"", "host"},
};

/* Counters and reasons, which are not settings. */
static const char *const volatile_fields[] = {"knobs.ksm_pages_shared", "accelerator.reason"};

static size_t kind_of(const char *field)
{
	size_t i = 0;

	while (strncmp(field, kinds[i].prefix, strlen(kinds[i].prefix)) != 0)
		i++;
	return i;
}

static bool is_volatile(const char *field)
{
	for (size_t i = 0; i < ARRAY_SIZE(volatile_fields); i++) {
		if (strcmp(field, volatile_fields[i]) == 0)
			return true;
	}
	return false;
}

static void add_field(json_t *fields, const char *path, const json_t *value)
{
	_cleanup_free_ char *text = json_is_string(value)
					    ? format_string("%s", json_string_value(value))
					    : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

	if (text && strlen(text) <= LONGEST && !is_volatile(path) && !json_is_null(value))
		json_object_set_new(fields, path, json_string(text));
}

static void flatten(json_t *fields, const char *prefix, const json_t *object, unsigned int depth)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)object, key, value) {
		_cleanup_free_ char *path =
			format_string("%s%s%.100s", prefix, *prefix ? "." : "", key);

		if (!json_is_object(value))
			add_field(fields, path, value);
		else if (depth < DEEPEST)
			flatten(fields, path, value, depth + 1);
	}
}

json_t *attribute_fields(const json_t *record)
{
	json_t *fields = json_object();
	const json_t *build = json_object_get(record, "build"), *image;
	size_t i;

	flatten(fields, "", json_object_get(record, "host"), 0);
	for (i = 0; i < 2; i++) {
		const char *key = i ? "commit" : "version";
		_cleanup_free_ char *path = format_string("build.%s", key);

		if (json_is_string(json_object_get(build, key)))
			add_field(fields, path, json_object_get(build, key));
	}
	json_array_foreach (json_object_get(record, "images"), i, image) {
		const char *name = json_string_value(json_object_get(image, "name"));
		_cleanup_free_ char *path = format_string("image.%.100s", name ? name : "");

		if (name && json_is_string(json_object_get(image, "hash")))
			add_field(fields, path, json_object_get(image, "hash"));
	}
	return fields;
}

void attribute_fingerprint(const json_t *fields, char *hex)
{
	_cleanup_free_ char *text = json_dumps(fields, JSON_SORT_KEYS | JSON_COMPACT);

	fs_hash_bytes(text ? text : "", text ? strlen(text) : 0, hex);
}

static void add_changes(
	json_t *list[ARRAY_SIZE(kinds)], const json_t *before, const json_t *after, size_t night)
{
	_cleanup_json_ json_t *keys = json_copy((json_t *)before);
	const char *key;
	json_t *value;

	json_object_update_missing(keys, (json_t *)after);
	json_object_foreach (keys, key, value) {
		json_t *one = json_object_get(before, key), *two = json_object_get(after, key);

		if (one && two && json_equal(one, two))
			continue;
		json_array_append_new(list[kind_of(key)],
			json_pack("{s:I, s:s, s:s, s:O?, s:O?}", "night", (json_int_t)night, "kind",
				kinds[kind_of(key)].kind, "field", key, "before", one, "after",
				two));
	}
}

json_t *attribute_changes(json_t *const *fields, size_t count, size_t first, size_t last)
{
	json_t *lists[ARRAY_SIZE(kinds)], *changes = json_array();
	const json_t *before = NULL;

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		lists[k] = json_array();
	for (size_t i = 0; i < count && i <= last; i++) {
		if (!fields[i])
			continue;
		if (before && i >= first)
			add_changes(lists, before, fields[i], i);
		before = fields[i];
	}
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		json_array_extend(changes, lists[k]);
		json_decref(lists[k]);
	}
	return changes;
}

char *attribute_text(const json_t *changes)
{
	const json_t *first = json_array_get(changes, 0);
	const char *before = json_string_value(json_object_get(first, "before"));
	const char *after = json_string_value(json_object_get(first, "after"));
	size_t more = json_array_size(changes);
	_cleanup_free_ char *rest = more > 1 ? format_string(", and %zu more", more - 1) : NULL;

	if (more == 0)
		return format_string("nothing known was new");
	return format_string("new %s (%s: %s → %s)%s",
		json_string_value(json_object_get(first, "kind")),
		json_string_value(json_object_get(first, "field")), before ? before : "absent",
		after ? after : "absent", rest ? rest : "");
}
