/* Choosing kernel modules: see modules.h. */
#include "harness/image/modules.h"
#include "harness/base/fs.h"

#include <errno.h>
#include <string.h>

struct error *modules_read(const char *directory, json_t **dependencies)
{
	_cleanup_free_ char *path = format_string("%s/modules.dep", directory);
	_cleanup_json_ json_t *all = json_object();
	_cleanup_free_ char *text = NULL;
	char *save = NULL;

	try_(fs_read(path, 64 << 20, &text, NULL));
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *colon = strchr(line, ':');
		char *inner = NULL;

		if (!colon)
			return error_new(ERROR_SETUP, "%s has a line without a colon", path);
		*colon = '\0';
		json_t *needs = json_array();

		for (char *word = strtok_r(colon + 1, " ", &inner); word;
			word = strtok_r(NULL, " ", &inner))
			json_array_append_new(needs, json_string(word));
		json_object_set_new(all, line, needs);
	}
	*dependencies = take_ptr(all);
	return NULL;
}

void modules_choose(json_t *dependencies, bool (*wanted)(const char *path, const void *data),
	const void *data, json_t *chosen)
{
	const char *path;
	json_t *needs, *need;
	size_t i;

	json_object_foreach (dependencies, path, needs) {
		if (!wanted(path, data))
			continue;
		json_object_set_new(chosen, path, json_true());
		json_array_foreach (needs, i, need)
			json_object_set_new(chosen, json_string_value(need), json_true());
	}
}

bool modules_is(const char *path, const char *name)
{
	const char *slash = strrchr(path, '/');
	const char *file = slash ? slash + 1 : path;

	for (; *name; name++, file++) {
		char a = *file == '-' ? '_' : *file;
		char b = *name == '-' ? '_' : *name;

		if (a != b)
			return false;
	}
	return strncmp(file, ".ko", 3) == 0;
}

struct error *modules_prune(const char *directory, json_t *dependencies, json_t *chosen)
{
	const char *module;
	json_t *needs;

	json_object_foreach (dependencies, module, needs) {
		_cleanup_free_ char *path = format_string("%s/%s", directory, module);

		if (!json_object_get(chosen, module) && unlink(path) < 0)
			return error_errno(errno, "cannot remove %s", path);
	}
	return NULL;
}
