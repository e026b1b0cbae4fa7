/* The host's topology by hwloc, as a sentence and as fields: part of facts.h. */
#include "harness/host/topology.h"
#include "harness/base/fs.h"

#include <hwloc.h>
#include <string.h>

DEFINE_CLEANUP(topology, hwloc_topology_t, hwloc_topology_destroy)

static struct error *load(hwloc_topology_t *out)
{
	_cleanup_(cleanup_topology) hwloc_topology_t topology = NULL;

	if (hwloc_topology_init(&topology) < 0 || hwloc_topology_load(topology) < 0)
		return error_new(ERROR_SETUP, "hwloc cannot read the topology of this host");
	*out = take_ptr(topology);
	return NULL;
}

static int count(hwloc_topology_t topology, hwloc_obj_type_t type)
{
	int n = hwloc_get_nbobjs_by_type(topology, type);

	return n > 0 ? n : 0;
}

static const char *cache_name(hwloc_obj_type_t type)
{
	return type == HWLOC_OBJ_L1ICACHE  ? "instruction"
	       : type == HWLOC_OBJ_L1CACHE ? "data"
					   : "unified";
}

static json_t *caches(hwloc_topology_t topology)
{
	static const hwloc_obj_type_t types[] = {HWLOC_OBJ_L1CACHE, HWLOC_OBJ_L1ICACHE,
		HWLOC_OBJ_L2CACHE, HWLOC_OBJ_L3CACHE, HWLOC_OBJ_L4CACHE};
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		hwloc_obj_t first = hwloc_get_obj_by_type(topology, types[i], 0);

		if (!first)
			continue;
		json_array_append_new(list,
			json_pack("{s:i, s:s, s:I, s:i}", "level", first->attr->cache.depth, "type",
				cache_name(types[i]), "bytes", (json_int_t)first->attr->cache.size,
				"count", count(topology, types[i])));
	}
	return list;
}

/* "2 cores", "1 core" */
static char *counted(int n, const char *noun)
{
	return format_string("%d %s%s", n, noun, n == 1 ? "" : "s");
}

static char *summarize(hwloc_topology_t topology)
{
	hwloc_obj_t last = hwloc_get_obj_by_type(topology, HWLOC_OBJ_L3CACHE, 0);
	hwloc_obj_t level2 = hwloc_get_obj_by_type(topology, HWLOC_OBJ_L2CACHE, 0);
	_cleanup_free_ char *packages = counted(count(topology, HWLOC_OBJ_PACKAGE), "package");
	_cleanup_free_ char *cores = counted(count(topology, HWLOC_OBJ_CORE), "core");
	_cleanup_free_ char *threads = counted(count(topology, HWLOC_OBJ_PU), "thread");
	_cleanup_free_ char *nodes = counted(count(topology, HWLOC_OBJ_NUMANODE), "NUMA node");
	_cleanup_free_ char *l2 =
		level2 ? format_string(", L2 %llu KiB",
				 (unsigned long long)level2->attr->cache.size >> 10)
		       : format_string("%s", "");
	_cleanup_free_ char *l3 = last ? format_string(", L3 %llu MiB",
						 (unsigned long long)last->attr->cache.size >> 20)
				       : format_string("%s", "");

	return format_string("%s, %s, %s, %s%s%s", packages, cores, threads, nodes, l2, l3);
}

/* Takes the machine's name and the like out of hwloc's export: a record says what a host is, not
 * which. */
static void drop_identity(char *xml)
{
	static const char *const names[] = {"HostName", "LinuxCgroup", "ProcessName",
		"DMIProductUUID", "DMIBoardSerial", "DMIChassisSerial", "DMIProductSerial"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *start = format_string("    <info name=\"%s\"", names[i]);
		char *line = strstr(xml, start);
		char *end = line ? strchr(line, '\n') : NULL;

		if (end)
			memmove(line, end + 1, strlen(end + 1) + 1);
	}
}

struct error *host_topology(json_t **out)
{
	_cleanup_(cleanup_topology) hwloc_topology_t topology = NULL;
	_cleanup_free_ char *summary = NULL;
	char *xml = NULL;
	int length;

	try_(load(&topology));
	summary = summarize(topology);
	if (hwloc_topology_export_xmlbuffer(topology, &xml, &length, 0) < 0)
		return error_new(ERROR_SETUP, "hwloc cannot export the topology of this host");
	drop_identity(xml);
	*out = json_pack("{s:s, s:i, s:i, s:i, s:i, s:o, s:s}", "summary", summary, "packages",
		count(topology, HWLOC_OBJ_PACKAGE), "cores", count(topology, HWLOC_OBJ_CORE),
		"threads", count(topology, HWLOC_OBJ_PU), "numa_nodes",
		count(topology, HWLOC_OBJ_NUMANODE), "caches", caches(topology), "xml", xml);
	hwloc_free_xmlbuffer(topology, xml);
	return NULL;
}

struct error *host_topology_summary(char **summary)
{
	_cleanup_(cleanup_topology) hwloc_topology_t topology = NULL;

	try_(load(&topology));
	*summary = summarize(topology);
	return NULL;
}

char *host_hwloc_version(void)
{
	unsigned version = hwloc_get_api_version();

	return format_string("%u.%u.%u", version >> 16, (version >> 8) & 0xff, version & 0xff);
}
