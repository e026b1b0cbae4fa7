/*
 * A drill's slowdown: while a trial measures, its guests are made slower by a known factor, from
 * outside, so that the nightly watch has something to find. The QEMUs of the lab are stopped
 * (SIGSTOP) for a share of every few milliseconds: whatever a guest does takes 1 / (1 - share)
 * times as long by the host's clock, and by the guest's own, which goes on meanwhile.
 */
#pragma once

#include "harness/base/error.h"

#include <sys/types.h>

/* Bounds of the factor: below it no drill is told from noise, above it guests miss deadlines. */
#define HANDICAP_LEAST 1.01
#define HANDICAP_MOST 10.0

/* A process beside the caller in the same PID namespace, which must be a lab's. */
struct handicap_brake {
	pid_t pid; /* 0: none */
	int wire[2];
};

struct error *handicap_start(double slowdown, struct handicap_brake *brake);

/* Ends it with all guests running again. *stopped: the share of its time in which it held at least
 * one guest, measured by itself; 0 when there was none, or when it had to be killed. Does nothing
 * when none was started. */
void handicap_stop(struct handicap_brake *brake, double *stopped);
