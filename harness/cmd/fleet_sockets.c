/* The sockets of fleets that run, or ran: see fleet_control.h. */
#include "harness/cmd/fleet_control.h"

#include "harness/base/fs.h"

#include <dirent.h>
#include <string.h>

static char *fleets_dir(void)
{
	_cleanup_free_ char *runtime = fs_runtime_dir();

	return format_string("%s/fleets", runtime);
}

char *fleet_control_path(const char *name)
{
	_cleanup_free_ char *dir = fleets_dir();

	return format_string("%s/%s.sock", dir, name);
}

char *fleet_control_note(const char *name)
{
	_cleanup_free_ char *dir = fleets_dir();

	return format_string("%s/%s.pid", dir, name);
}

DEFINE_CLEANUP(dir, DIR *, closedir)

void fleet_control_each_socket(
	void (*body)(const char *path, const char *name, void *context), void *context)
{
	_cleanup_free_ char *directory = fleets_dir();
	_cleanup_(cleanup_dir) DIR *dir = opendir(directory);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		size_t length = strlen(entry->d_name);
		_cleanup_free_ char *path = format_string("%s/%s", directory, entry->d_name);

		if (length <= 5 || strcmp(entry->d_name + length - 5, ".sock") != 0)
			continue;
		_cleanup_free_ char *name = format_string("%.*s", (int)length - 5, entry->d_name);

		body(path, name, context);
	}
}

/* A keeper that hangs serves its socket all the same. */
static bool is_served(const char *path)
{
	int fd;
	_cleanup_error_ struct error *err = unix_connect(path, &fd);

	if (!err)
		close(fd);
	return !err || error_kind(err) == ERROR_TIMEOUT;
}

static void collect_alive(const char *path, const char *name, void *context)
{
	if (is_served(path))
		json_array_append_new(context, json_string(name));
}

struct error *fleet_control_list(json_t **names)
{
	*names = json_array();
	fleet_control_each_socket(collect_alive, *names);
	return NULL;
}

static void remove_stale(const char *path, const char *name, void *context)
{
	_cleanup_free_ char *note = fleet_control_note(name);

	if (is_served(path) || unlink(path) < 0)
		return;
	unlink(note);
	(*(size_t *)context)++;
}

struct error *fleet_control_sweep(size_t *removed)
{
	*removed = 0;
	fleet_control_each_socket(remove_stale, removed);
	return NULL;
}
