/*
 * What the kernel tells of processes in /proc/PID: stat, maps and smaps_rollup. The texts may come
 * from another machine, such as a guest, so parsing believes nothing: what does not have the form
 * of proc(5) is refused as a whole.
 */
#pragma once

#include "harness/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- /proc/PID/stat ---- */

/* Times in the kernel's ticks (_SC_CLK_TCK a second). */
struct proc_stat {
	pid_t pid, parent;
	char state; /* as ps(1) shows it: R, S, D, Z, … */
	uint64_t minor_faults, major_faults;
	uint64_t user, system;		     /* of the process itself */
	uint64_t reaped_user, reaped_system; /* of its children that have been waited for */
	uint64_t start;			     /* since the boot */
};

/* One line, which need not end with a NUL or a newline. The program's name in it may hold anything,
 * spaces and brackets too. False: it is not such a line, and *stat is untouched. */
bool proc_parse_stat(const char *line, size_t length, struct proc_stat *stat);

/* Of a process of this PID namespace; 0: of ourselves. False: there is none, or it cannot be read.
 */
bool proc_read_stat(pid_t pid, struct proc_stat *stat);

/* A process that nobody has waited for yet has ended all the same. */
bool proc_has_ended(pid_t pid);

/* CPU seconds, to the tick, of QEMU's threads that run its guest's vCPUs: those that `-name
 * …,debug-threads=on` calls "CPU 0/KVM" or the like. What has ended counts for nothing. */
double proc_vcpu_seconds(pid_t qemu);

/* ---- /proc/PID/cmdline ---- */

/* How many QEMUs of this guest live in this PID namespace: those that run with `-name
 * guest=GUEST,…` or, as later seats have it, `-name guest=GUEST.N,…`. */
struct error *proc_count_qemus(const char *guest, unsigned int *count);

/* ---- /proc/PID/maps ---- */

struct proc_map {
	uint64_t from, to; /* addresses [from, to) */
	bool shared;
	uint64_t offset; /* in the file */
	unsigned int device_major, device_minor;
	uint64_t inode;	  /* 0: no file */
	const char *name; /* in the text, not NUL-terminated; may be empty */
	size_t name_length;
};

/* Caller frees *text, through which proc_next_map() goes. */
struct error *proc_read_maps(pid_t pid, char **text);

/* The next mapping, and moves *text behind it; false at the end. Lines that are none are passed
 * over. */
bool proc_next_map(const char **text, struct proc_map *map);

/* ---- /proc/PID/smaps_rollup ---- */

/* Bytes; 0 for parts of PSS that the kernel does not tell. */
struct proc_memory {
	uint64_t rss, pss;
	uint64_t pss_anonymous, pss_file;
};

bool proc_parse_memory(const char *text, struct proc_memory *memory);
struct error *proc_read_memory(pid_t pid, struct proc_memory *memory);
