/*
 * The fingerprint of this host, for records: what decides whether two measurements may be compared.
 * Field names are stable; what cannot be read is null, never a guess.
 *
 *   cpu         {model, vendor, family, model_number, stepping, microcode, sockets, cores, threads,
 *                smt, max_mhz, governor, turbo, hypervisor}
 *   topology    {summary: "1 package, 2 cores, 2 threads, 1 NUMA node, L3 32 MiB, …", numa_nodes,
 *                caches: [{level, type, bytes, count}], xml: hwloc's export}
 *   memory      {total_bytes, swap_bytes, huge_page_bytes}
 *   kernel      {release, version, cmdline, machine}
 *   distribution  "Debian GNU/Linux 12 (bookworm)"
 *   virtualized {is, how}: is this host itself a guest; how: hypervisor's signature or DMI product
 *   accelerator {name, reason, kvm} or null
 *   qemu        {path, version} or null
 *   libvirt     {version}: of the library loaded
 *   hwloc       {version}: of the library loaded
 *   cgroup      "v1", "v2", "hybrid", "none"
 *   knobs       {ksm_run, ksm_pages_to_scan, ksm_sleep_millisecs, ksm_pages_shared,
 *                thp_enabled, thp_shmem_enabled, thp_defrag, swappiness, overcommit_memory,
 *                max_map_count, numa_balancing}: text as read, the chosen word of "a [b] c"
 *   mitigations {NAME: text} from /sys/devices/system/cpu/vulnerabilities
 */
#pragma once

#include "harness/base/clock.h"
#include "harness/base/error.h"
#include "harness/host/accelerator.h"

#include <stdbool.h>
#include <stdint.h>

/* Collects the facts. `qemu` is a program name or path, `accelerator` what accelerator_find() said;
 * each may be NULL, and its field is then null. `*facts` is owned by the caller. The deadline
 * bounds asking QEMU for its version. */
struct error *host_facts(const char *qemu, const struct accelerator *accelerator,
	struct deadline deadline, json_t **facts);

/* "7.2.22" from running `qemu --version`; caller frees. */
struct error *qemu_version(const char *qemu, struct deadline deadline, char **version);

/* "1 package, 2 cores, 2 threads, …" by hwloc; caller frees. */
struct error *host_topology_summary(char **summary);

/* "v1", "v2", "hybrid" or "none"; static. */
const char *host_cgroup_version(void);

/* /proc/meminfo's value of a field ("MemAvailable") in bytes; false when there is none. */
bool host_meminfo(const char *field, uint64_t *bytes);
