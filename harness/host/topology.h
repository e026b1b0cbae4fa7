/* The host's topology, as hwloc sees it. */
#pragma once

#include "harness/base/error.h"

/* {summary, packages, cores, threads, numa_nodes, caches: [{level, type, bytes, count}], xml}, the
 * last being hwloc's own export, which `lstopo -i` shows. Caller owns it. */
struct error *host_topology(json_t **topology);

/* "1 package, 2 cores, 2 threads, 1 NUMA node, L2 1024 KiB, L3 32 MiB"; caller frees. */
struct error *host_topology_summary(char **summary);

/* Version of the library loaded (its API's: the micro number is hwloc's own affair); caller frees.
 */
char *host_hwloc_version(void);
