/* The files beside a run's record: consoles of guests, QEMU's and the trials' logs. */
#pragma once

#include <jansson.h>
#include <stddef.h>

/* More are not listed. */
#define RUN_LOGS_MAX 20000

/* How many /logs lists; `root` is the results directory. */
size_t run_logs_count(int root, const char *id);

/* [{"name": "trial-0003/g0.console", "bytes"}] by name; caller owns it. */
json_t *run_logs(int root, const char *id);

/* The same of one trial. */
json_t *run_logs_of_trial(int root, const char *id, json_int_t index);
