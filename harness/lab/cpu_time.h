/*
 * CPU seconds of the lab's processes, user and system, since they began. Two readings can be
 * subtracted: a process that has ended counts on in the parent that reaped it, at the latest in the
 * lab's init. So the lab's total loses nothing; what has ended and was not the child of a chosen
 * process, such as a QEMU, is in the total only.
 *
 * A QEMU's time holds what its guest has computed. Living processes are read to the nanosecond,
 * ended ones to the kernel's tick (10 ms) for each parent.
 */
#pragma once

#include "harness/lab/machine.h"

#include <sys/types.h>

/* Of everything that runs or ran in the lab; call inside it. */
struct error *cpu_time_lab(double *seconds);

/* Of this process alone, all its threads. */
double cpu_time_self(void);

/* Of the lab, this process left out. */
struct error *cpu_time_lab_but_self(double *seconds);

/* Of these processes and all that live below them, with the children that they have reaped. A
 * process that does not exist is an error. */
struct error *cpu_time_processes(const pid_t *pids, size_t count, double *seconds);

/* Of all processes that are now in a machine; NULL: in the lab itself, outside of any machine. */
struct error *cpu_time_machine(const struct machine *machine, double *seconds);

/* As cpu_time_processes(), from the text of many /proc/PID/stat of elsewhere, such as of a guest
 * (to the tick); the text may be anything. */
struct error *cpu_time_listing(const char *text, const pid_t *pids, size_t count, double *seconds);
