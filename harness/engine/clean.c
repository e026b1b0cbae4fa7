/* Is the host as it was before a trial: see clean.h. */
#include "harness/engine/clean.h"
#include "harness/base/fs.h"

#include <dirent.h>
#include <stdbool.h>
#include <string.h>

DEFINE_CLEANUP(dir, DIR *, closedir)

static json_t *network_devices(void)
{
	_cleanup_(cleanup_dir) DIR *dir = opendir("/sys/class/net");
	json_t *names = json_array();
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] != '.')
			json_array_append_new(names, json_string(entry->d_name));
	}
	return names;
}

/* The mount points of this process's namespace: the fifth word of each line. */
static json_t *mount_points(void)
{
	_cleanup_free_ char *text = NULL;
	json_t *points = json_array();
	char *save = NULL;

	error_destroy(fs_read("/proc/self/mountinfo", 16 << 20, &text, NULL));
	for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line;
		line = strtok_r(NULL, "\n", &save)) {
		char point[4096];

		if (sscanf(line, "%*s %*s %*s %*s %4095s", point) == 1)
			json_array_append_new(points, json_string(point));
	}
	return points;
}

static json_t *knobs(void)
{
	static const char *const paths[] = {
		"/sys/kernel/mm/ksm/run",
		"/sys/kernel/mm/transparent_hugepage/enabled",
		"/proc/sys/vm/max_map_count",
		"/proc/sys/vm/overcommit_memory",
	};
	json_t *values = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		_cleanup_free_ char *value = fs_read_line(paths[i]);

		if (value)
			json_object_set_new(values, paths[i], json_string(value));
	}
	return values;
}

json_t *clean_snapshot(void)
{
	return json_pack("{s:o, s:o, s:o}", "devices", network_devices(), "mounts", mount_points(),
		"knobs", knobs());
}

static bool contains(const json_t *array, const json_t *value)
{
	json_t *element;
	size_t i;

	json_array_foreach ((json_t *)array, i, element) {
		if (json_equal(element, value))
			return true;
	}
	return false;
}

static void warn(json_t *warnings, char *sentence)
{
	json_array_append_new(warnings, json_string(sentence));
	free(sentence);
}

static void compare_lists(
	const json_t *before, const json_t *now, const char *what, json_t *warnings)
{
	json_t *element;
	size_t i;

	json_array_foreach ((json_t *)now, i, element) {
		if (!contains(before, element))
			warn(warnings,
				format_string("%s %s of the host was not there before the trial",
					what, json_string_value(element)));
	}
}

void clean_compare(const json_t *before, json_t *warnings)
{
	_cleanup_json_ json_t *now = clean_snapshot();
	const char *path;
	json_t *value;

	compare_lists(json_object_get(before, "devices"), json_object_get(now, "devices"),
		"network device", warnings);
	compare_lists(json_object_get(before, "mounts"), json_object_get(now, "mounts"), "mount",
		warnings);
	json_object_foreach (json_object_get(now, "knobs"), path, value) {
		if (!json_equal(value, json_object_get(json_object_get(before, "knobs"), path)))
			warn(warnings, format_string("%s of the host has changed to '%s'", path,
					       json_string_value(value)));
	}
}
