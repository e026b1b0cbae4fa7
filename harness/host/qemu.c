/* What the installed QEMU is and can: see qemu.h. */
#include "harness/host/qemu.h"
#include "harness/base/fs.h"
#include "harness/base/process.h"

#include <string.h>
#include <unistd.h>

enum { OLDEST_MAJOR = 6, OLDEST_MINOR = 2 };

struct error *qemu_find(const char *qemu, char **path)
{
	const char *search = getenv("PATH");
	_cleanup_free_ char *dirs =
		format_string("%s", search ? search : "/usr/sbin:/usr/bin:/sbin:/bin");
	char *save = NULL;

	if (strchr(qemu, '/') && access(qemu, X_OK) == 0) {
		*path = format_string("%s", qemu);
		return NULL;
	}
	for (char *dir = strtok_r(dirs, ":", &save); dir && !strchr(qemu, '/');
		dir = strtok_r(NULL, ":", &save)) {
		_cleanup_free_ char *candidate = format_string("%s/%s", dir, qemu);

		if (access(candidate, X_OK) == 0) {
			*path = take_ptr(candidate);
			return NULL;
		}
	}
	return error_hint(error_new(ERROR_SETUP, "QEMU is missing: there is no program '%s'", qemu),
		"apt-get install qemu-system-x86, or run your command through ci/with-deps");
}

struct error *qemu_version(const char *qemu, struct deadline deadline, char **version)
{
	const char *const argv[] = {qemu, "--version", NULL};
	_cleanup_free_ char *output = NULL;
	char *found = NULL;

	try_(process_check(argv, NULL, deadline, &output));
	if (sscanf(output, "QEMU emulator version %m[0-9.]", &found) != 1)
		return error_hint(
			error_new(ERROR_SETUP, "%s --version printed no version of QEMU", qemu),
			"reinstall QEMU: apt-get install --reinstall qemu-system-x86");
	*version = found;
	return NULL;
}

struct error *qemu_usable(const char *qemu, struct deadline deadline, char **path, char **version)
{
	_cleanup_free_ char *its_path = NULL;
	_cleanup_free_ char *its_version = NULL;
	int major = 0, minor = 0;

	try_(qemu_find(qemu, &its_path));
	try_(qemu_version(its_path, deadline, &its_version));
	if (sscanf(its_version, "%d.%d", &major, &minor) == 2 &&
		(major < OLDEST_MAJOR || (major == OLDEST_MAJOR && minor < OLDEST_MINOR)))
		return error_hint(error_new(ERROR_SETUP, "%s is version %s, older than %d.%d",
					  its_path, its_version, OLDEST_MAJOR, OLDEST_MINOR),
			"Debian 12 has 7.2: apt-get install qemu-system-x86");
	*path = take_ptr(its_path);
	*version = take_ptr(its_version);
	return NULL;
}

/* The answer to the question with this id among QMP's lines; borrowed from `lines`. */
static json_t *answer(json_t *lines, int id)
{
	json_t *line;
	size_t i;

	json_array_foreach (lines, i, line) {
		if (json_integer_value(json_object_get(line, "id")) == id)
			return json_object_get(line, "return");
	}
	return NULL;
}

static json_t *parse_lines(char *text)
{
	json_t *lines = json_array();
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		json_t *value = json_loads(line, 0, NULL);

		if (value)
			json_array_append_new(lines, value);
	}
	return lines;
}

/* One field of every element of an array, and its alias where it has one ("q35"), as an array. */
static json_t *column(json_t *rows, const char *field)
{
	json_t *values = json_array();
	json_t *row;
	size_t i;

	json_array_foreach (rows, i, row) {
		json_array_append(values, json_object_get(row, field));
		json_array_append(values, json_object_get(row, "alias"));
	}
	return values;
}

struct error *qemu_features(const char *qemu, struct deadline deadline, json_t **features)
{
	/* QEMU ends with what the pipe has not taken yet unsent: all answers together have to fit
	 * into one, which that to query-qmp-schema does not. So a mode is tried instead. */
	static const char questions[] =
		"{\"execute\":\"qmp_capabilities\"}\n"
		"{\"execute\":\"query-version\",\"id\":1}\n"
		"{\"execute\":\"qom-list-types\",\"arguments\":{"
		"\"implements\":\"device\"},\"id\":2}\n"
		"{\"execute\":\"qom-list-types\",\"arguments\":"
		"{\"implements\":\"user-creatable\"},\"id\":3}\n"
		"{\"execute\":\"query-migrate-capabilities\",\"id\":4}\n"
		"{\"execute\":\"migrate-set-parameters\","
		"\"arguments\":{\"mode\":\"" QEMU_CPR_TRANSFER "\"},\"id\":6}\n"
		"{\"execute\":\"query-machines\",\"id\":5}\n"
		"{\"execute\":\"quit\"}\n";
	const char *const argv[] = {qemu, "-nodefaults", "-no-user-config", "-display", "none",
		"-machine", "none", "-S", "-qmp", "stdio", NULL};
	_cleanup_free_ char *output = NULL;
	_cleanup_json_ json_t *lines = NULL;
	int major, minor, micro;

	try_(process_check(argv, questions, deadline, &output));
	lines = parse_lines(output);
	if (json_unpack(answer(lines, 1), "{s:{s:i, s:i, s:i}}", "qemu", "major", &major, "minor",
		    &minor, "micro", &micro) != 0 ||
		!answer(lines, 5))
		return error_new(ERROR_SETUP, "%s does not answer over QMP", qemu);
	_cleanup_free_ char *version = format_string("%d.%d.%d", major, minor, micro);

	*features = json_pack("{s:s, s:o, s:o, s:o, s:o}", "version", version, "devices",
		column(answer(lines, 2), "name"), "objects", column(answer(lines, 3), "name"),
		"migration", column(answer(lines, 4), "capability"), "machines",
		column(answer(lines, 5), "name"));
	if (answer(lines, 6))
		json_array_append_new(
			json_object_get(*features, "migration"), json_string(QEMU_CPR_TRANSFER));
	return NULL;
}

static bool has_string(const json_t *strings, const char *wanted)
{
	const json_t *value;
	size_t i;

	json_array_foreach ((json_t *)strings, i, value) {
		if (json_is_string(value) && strcmp(json_string_value(value), wanted) == 0)
			return true;
	}
	return false;
}

bool qemu_schema_has_value(const json_t *schema, const char *value)
{
	const json_t *type;
	size_t i;

	json_array_foreach ((json_t *)schema, i, type) {
		if (has_string(json_object_get(type, "values"), value))
			return true;
	}
	return false;
}

bool qemu_has(const json_t *features, const char *list, const char *name)
{
	return has_string(json_object_get(features, list), name);
}
