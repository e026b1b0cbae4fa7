/* Binding QEMU's threads to processing units, by hwloc. */
#include "harness/fleet/fleet_internal.h"
#include "harness/base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <hwloc.h>
#include <hwloc/linux.h>

DEFINE_CLEANUP(topology, hwloc_topology_t, hwloc_topology_destroy)
DEFINE_CLEANUP(dir, DIR *, closedir)

static struct error *bind_threads(hwloc_topology_t topology, pid_t pid, hwloc_const_cpuset_t set)
{
	_cleanup_free_ char *path = format_string("/proc/%d/task", (int)pid);
	_cleanup_(cleanup_dir) DIR *tasks = opendir(path);
	struct dirent *entry;

	if (!tasks)
		return error_errno(errno, "cannot list the threads of QEMU %d", (int)pid);
	while ((entry = readdir(tasks))) {
		int tid = atoi(entry->d_name);

		/* A thread may end while we look: that is no error. */
		if (tid > 0 && hwloc_linux_set_tid_cpubind(topology, tid, set) < 0 &&
			errno != ESRCH)
			return error_errno(errno, "cannot pin thread %d of QEMU %d", tid, (int)pid);
	}
	return NULL;
}

struct error *pin_guest(pid_t qemu, unsigned int index)
{
	_cleanup_(cleanup_topology) hwloc_topology_t topology = NULL;
	int count;
	hwloc_obj_t unit;

	if (hwloc_topology_init(&topology) < 0 || hwloc_topology_load(topology) < 0)
		return error_new(ERROR_SETUP, "hwloc cannot read this host's topology");
	count = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU);
	if (count <= 0)
		return error_new(ERROR_SETUP, "hwloc finds no processing unit");
	unit = hwloc_get_obj_by_type(topology, HWLOC_OBJ_PU, index % (unsigned int)count);
	return bind_threads(topology, qemu, unit->cpuset);
}
