/*
 * A stack is one virtualization system: a process of its own with one embedded libvirt driver,
 * which starts guests and drives their QEMU. It is asked over a UNIX socket, one JSON object a line
 * each way, one request under way on a connection; connections are served in parallel. The same
 * process serves beside us and inside an L1 guest ("fleetlab stack").
 *
 * Requests ({"op": …}), each answered by an object with "error" (and "remedy") or the result:
 *   ping                                      {}
 *   start   name, xml                         {"pid"}     a guest by libvirt, running
 *   native  xml                               {"argv"}    what libvirt would execute for it
 *   clone   name, argv, template              {"pid"}     a guest from the RAM and state of that
 * template, by its number save    name                              {"bytes"}   ends a guest, its
 * state in the state file stop    name                              {} qmp     name, command,
 * arguments          {"result"}  one monitor command
 *
 * Why clones do not go through libvirt: creating 64 paused guests by it takes 5.4–9 s on 2 cores
 * before any state is loaded; QEMU itself, with the argument vector that libvirt would use, has all
 * of them running in about that time.
 */
#pragma once

#include "harness/base/jsonline.h"

/* Descriptors at which the stack and its QEMUs find the first template's RAM and device state. The
 * n-th template's are 2n further on. */
enum { STACK_RAM_FD = 100, STACK_STATE_FD = 101, STACK_TEMPLATES_MAX = 8 };

/* The serving side: what `fleetlab stack` runs. `root` becomes libvirt's root directory; `cache` is
 * where libvirt's answers about this QEMU are kept between labs. Serves until killed. */
struct error *stack_serve(int listen_fd, const char *root, const char *cache);

/* The asking side. One connection; not thread-safe, open one for each thread. */
struct stack;
struct error *stack_connect(const char *socket_path, struct stack **stack);
void stack_disconnect(struct stack *stack);
DEFINE_CLEANUP(stack, struct stack *, stack_disconnect)

/* Sends `request` (taken over) and waits for its answer, owned by the caller (may be NULL). */
struct error *stack_request(
	struct stack *stack, json_t *request, struct deadline deadline, json_t **answer);
