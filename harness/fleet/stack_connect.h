/* Connections that a stack leads on to sockets of its machine: for stack_server.c only. */
#pragma once

#include "harness/base/clock.h"
#include "harness/base/error.h"

#include <jansson.h>

/* Serves the request "connect" on `fd`, which is taken over unless this fails: it returns when the
 * connection has ended. */
struct error *stack_lead_on(int fd, json_t *request);

/* Waits until none of these connections is left: an L1 guest is saved as a template only when
 * nobody is connected to what runs in it, or nobody could connect to its clones'. */
struct error *stack_await_idle(struct deadline deadline);
