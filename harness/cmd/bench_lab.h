/* A benchmark's lab: its body runs inside, and what it measured comes out as one line. */
#pragma once

#include "harness/base/error.h"
#include "harness/fleet/fleet.h"

/* Runs in the lab, in a process of its own. `result` is the caller's. */
typedef struct error *bench_body(void *context, json_t **result);

/* Opens a lab on the host's accelerator, waits for the body's result, and ends the lab. The body's
 * error is returned with its remedy. Call from a single-threaded process. */
struct error *bench_in_lab(const struct fleet_host *host, bench_body *body, void *context,
	struct deadline deadline, json_t **result);
