/* Who else uses this host: see use.h. Must only look. */
#include "harness/host/use.h"
#include "harness/base/cleanup.h"
#include "harness/base/fs.h"

#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define MOST_REASONS 20

DEFINE_CLEANUP(dir, DIR *, closedir)

/* As /proc/PID/comm has them: cut to 15 characters. */
static const char *const monitors[] = {"qemu-system-", "qemu-kvm", "firecracker", "cloud-hyperviso",
	"crosvm", "VBoxHeadless", "VirtualBoxVM", "vmware-vmx", "lkvm"};

static bool is_monitor(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(monitors); i++) {
		if (strncmp(name, monitors[i], strlen(monitors[i])) == 0)
			return true;
	}
	return false;
}

static bool has_kvm_vm(const char *process)
{
	_cleanup_free_ char *path = format_string("%s/fd", process);
	_cleanup_(cleanup_dir) DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char target[32] = "";

		if (readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1) > 0 &&
			strcmp(target, "anon_inode:kvm-vm") == 0)
			return true;
	}
	return false;
}

/* A process that has ended, and a thread of the kernel, have no command line. */
static bool is_running(const char *process)
{
	_cleanup_free_ char *path = format_string("%s/cmdline", process);
	_cleanup_free_ char *words = NULL;
	size_t size = 0;
	struct error *err = fs_read(path, 4 << 20, &words, &size);

	error_destroy(err);
	return !err && size > 0;
}

static void look_at_processes(const char *proc, json_t *reasons)
{
	_cleanup_(cleanup_dir) DIR *dir = opendir(proc);
	struct dirent *entry;

	while (dir && json_array_size(reasons) < MOST_REASONS && (entry = readdir(dir))) {
		_cleanup_free_ char *process = format_string("%s/%s", proc, entry->d_name);
		_cleanup_free_ char *path = format_string("%s/comm", process);
		_cleanup_free_ char *name = NULL;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		name = fs_read_line(path);
		if (!name || !(is_monitor(name) || has_kvm_vm(process)) || !is_running(process))
			continue;
		_cleanup_free_ char *text =
			format_string("process %s (%s) is a virtual machine", entry->d_name, name);

		json_array_append_new(reasons, json_string(text));
	}
}

static void look_at_load(const char *proc, double most_load, json_t *use)
{
	_cleanup_free_ char *path = format_string("%s/loadavg", proc);
	_cleanup_free_ char *line = fs_read_line(path);
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	char *end = line;
	double load = line ? strtod(line, &end) : 0;

	if (end == line || cores < 1)
		return;
	load /= (double)cores;
	json_object_set_new(use, "load_per_core", json_real(load));
	if (load <= most_load)
		return;
	_cleanup_free_ char *text = format_string(
		"the load is %.2f per core (average of a minute), more than %.2f", load, most_load);

	json_array_append_new(json_object_get(use, "reasons"), json_string(text));
}

json_t *host_use(const char *proc, double most_load)
{
	json_t *use = json_pack("{s:[]}", "reasons");

	look_at_load(proc, most_load, use);
	look_at_processes(proc, json_object_get(use, "reasons"));
	return use;
}
