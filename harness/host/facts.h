/*
 * The fingerprint of this host, for records: what decides whether two measurements may be compared.
 * Field names are stable; what cannot be read is null, never a guess.
 *
 *   cpu           {model, vendor, family, model_number, stepping, microcode, packages, cores,
 *                  threads, smt, governor, turbo: "on" or "off"}
 *   topology      {summary, packages, cores, threads, numa_nodes, caches, xml}: see topology.h
 *   memory        {total_bytes, swap_bytes, huge_page_bytes}
 *   kernel        {release, version, cmdline, machine}; of cmdline only what decides about speed
 *   distribution  "Debian GNU/Linux 12 (bookworm)"
 *   virtualized   {is, how}: is this host itself a guest; how: "KVMKVMKVM, QEMU Standard PC"
 *   accelerator   {name, reason, kvm} or null
 *   qemu          {path, version} or null
 *   libvirt       {version}: of the library loaded
 *   hwloc         {version}: of the library loaded
 *   cgroup        "v1", "v2", "hybrid", "none"
 *   knobs         {ksm_run, ksm_pages_to_scan, ksm_sleep_millisecs, ksm_pages_shared,
 *                  ksm_use_zero_pages, thp_enabled, thp_shmem_enabled, thp_defrag, swappiness,
 *                  overcommit_memory, max_map_count, numa_balancing}: text as read; of a choice
 *                  like "always [madvise] never" the chosen word
 *   mitigations   {NAME: text} from /sys/devices/system/cpu/vulnerabilities
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

/* Which of the things that must be the same for two hosts to count as one differs ("qemu",
 * "kernel", …; static), or NULL. Either may be anything. */
const char *host_facts_differ(const json_t *a, const json_t *b);

/* A field of the first processor in /proc/cpuinfo ("model name", "microcode"); caller frees; NULL
 * when there is none. */
char *host_cpuinfo(const char *field);

/* "v1", "v2", "hybrid" or "none"; static. */
const char *host_cgroup_version(void);

/* /proc/meminfo's value of a field ("MemAvailable") in bytes; false when there is none. */
bool host_meminfo(const char *field, uint64_t *bytes);
