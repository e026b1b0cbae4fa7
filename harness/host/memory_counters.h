/*
 * What the host's memory controllers have carried, by their own counters (perf_event_open(2)): of
 * the whole host, whoever caused it. Only some hosts have them, hardly any virtual one.
 *
 * Found are the PMUs of sysfs that have one of these pairs of events, with a scale and the unit
 * MiB: cas_count_read and cas_count_write (Intel's servers), data_reads and data_writes (others).
 */
#pragma once

#include "harness/base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct memory_counters;

/* *counters is NULL on a host that has none. Events that are there and may not be opened are an
 * error. Needs the right to count system-wide. */
struct error *memory_counters_open(struct memory_counters **counters);
void memory_counters_close(struct memory_counters *counters);
DEFINE_CLEANUP(memory_counters, struct memory_counters *, memory_counters_close)

/* Bytes read and written since they were opened; NAN when the kernel had to share a counter with
 * others, so that it has not seen all. */
struct error *memory_counters_read(const struct memory_counters *counters, double *bytes);

/* Looks for PMUs below `devices` instead of sysfs', for tests; NULL: the real place. */
void memory_counters_relocate(const char *devices);
