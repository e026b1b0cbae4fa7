/* Connections that a stack leads on, to sockets or links of its lab: for stack_server.c only. */
#pragma once

#include "harness/base/clock.h"
#include "harness/base/error.h"

#include <jansson.h>
#include <stdbool.h>

/* Whether this request makes the connection one to something else: "connect", "cable". */
bool stack_is_leading(json_t *request);

/* Serves such a request on `fd`, which is taken over unless this fails: it returns when the
 * connection has ended. */
struct error *stack_lead_on(int fd, json_t *request);

/* Waits until none of these connections is left: an L1 guest is saved as a template only when
 * nobody is connected to what runs in it, or nobody could connect to its clones'. */
struct error *stack_await_idle(struct deadline deadline);
