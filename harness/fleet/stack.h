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
 *                                                         template, by its number
 *   save    name                              {"bytes"}   ends a guest, its state in the state file
 *   stop    name                              {}
 *   qmp     name, command, arguments          {"result"}  one monitor command
 *   connect path                              {}          from then on the connection is one to
 *                                                         that UNIX socket, where the stack is
 *   idle                                      {}          waits till no such connection is left
 *   network links, taps                       {}          makes links of these names and, as
 *                                                         {"tap", "link"}, taps on them: in a lab
 *                                                         that has none yet
 *   cable   link                              {}          from then on the connection is a cable
 *                                                         to that link (harness/lab/cable.h)
 *
 * For channels through memory shared with another machine (channel.h); `device`, `offset` and
 * `bytes` say where it is:
 *   channel-format   device, offset, bytes        {}      makes it an empty channel
 *   channel-listen   …, path                      {}      carries the first connection to this
 *                                                         UNIX socket, as side 0
 *   channel-connect  …, path                      {}      carries, as side 1, to a socket that is
 *                                                         connected to when something comes
 *   channel-flood    …, total                     {"seconds"}   sends so many bytes, as side 0
 *   channel-drain    …, total                     {"seconds"}   receives them, as side 1
 *
 * For moving guests (move.h), at the source, the target or either:
 *   cpr       name                            {}          refuses, with the reason, a guest that
 *                                                         cannot go by cpr-transfer
 *   receive   name, xml | argv, [cpr]         {"pid", "cpr"}   a QEMU, stopped, with "-incoming
 *                                                         defer"; with `cpr` true it waits for its
 *                                                         source at the path told, and answers
 *                                                         nothing before
 *   listen    name, uri, capabilities, parameters  {}     the migration capabilities to be on (all
 *                                                         others go off), then migrate-incoming
 *   send      name, uri, capabilities, parameters, [cpr]  {}   the same, then migrate; returns at
 *                                                         once. With `cpr`, such a path, the guest
 *                                                         runs until the target is to listen
 *   await     name, timeout_ms, until         {"status", "stop_ns",
 *                                             "resume_ns"}   waits for a migration's end or the
 *                                                         status `until`; "waiting" after at most
 *                                                         200 ms; *_ns are QEMU's wall clock
 *   postcopy  name                            {}          migrate-start-postcopy
 *   resume    name                            {"resume_ns"}
 *   continue  name                            {}          gives a migration up and lets the guest
 *                                                         run here, whatever state that was in
 *   status    name                            {"alive", "pid", "status", "running", "migration"};
 *                                                         of a dead one {"alive", "had_run"}
 *   end       name                            {}          kills a QEMU and waits for its end
 *   adopt     name                            {"pid"}     a QEMU that the stack knows, or else
 *                                                         takes over from the one that died here
 *                                                         before; 0: there is none
 *   machine   name                            {"machine", "cpu", "vcpus", "memory_bytes", "kvm"}
 *   memory    name                            {"boot_id", "device", "inode", "offset", "bytes",
 *                                             "shared"}   what is mapped as RAM
 *   sample    name, count, seed               {"offsets"} of pages that hold data
 *   digest    name, [offsets]                 {"digests", "pages"}   of these pages, or of each
 *                                                         2 MiB of all data, in QEMU's mapping
 *   populate  name, from                      {"next", "done"}   fills QEMU's page tables where
 *                                                         there is data, for 200 ms at most
 *   statistics  [name]                        {"cpu_s", "children_cpu_s", "vcpu_s",
 *                                             "minor_faults", "major_faults", "rss_bytes",
 * "pss_bytes"} balloon   name, timeout_ms                {"bytes"}   of RAM that the guest's
 * balloon leaves it; an error when it has none clock {"boot_id", "monotonic_ns", "realtime_ns"}
 *   room                                      {"available_bytes"}
 *   revoke    session_id, timeout_ms          {}          refuses requests with this "session"
 *                                                         from now on, and returns when none is
 *                                                         under way: what a dead asker has begun
 *                                                         cannot come as a surprise
 *
 * An "id" in a request comes back in its answer.
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
/* The same, but waits so long at most for a stack that does not accept. */
struct error *stack_connect_within(
	const char *socket_path, unsigned int wait_ms, struct stack **stack);

/* Sends `request` (taken over) and waits for its answer, owned by the caller (may be NULL). */
struct error *stack_request(
	struct stack *stack, json_t *request, struct deadline deadline, json_t **answer);

/* The two halves of it, so that several stacks work at once. Each sent request needs its receive.
 */
struct error *stack_send(struct stack *stack, json_t *request);
struct error *stack_receive(struct stack *stack, struct deadline deadline, json_t **answer);

/* All requests of this connection carry this "session" (not 0) from now on: see "revoke". */
void stack_set_session(struct stack *stack, int64_t session);

/* Asks a stack at the other end of `fd`, called `who` in messages, for "connect" or "cable": after
 * success the descriptor, which stays the caller's, is a connection to what was asked for. Takes
 * `request` over. */
struct error *stack_ask_to_lead(int fd, json_t *request, const char *who, struct deadline deadline);
