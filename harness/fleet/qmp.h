/*
 * QEMU's machine protocol over a socket. One command is under way at a time; events that arrive in
 * between are kept until asked for.
 */
#pragma once

#include "harness/base/jsonline.h"

struct qmp;

/* Takes over the connected socket `fd` (also on failure), reads the greeting and leaves negotiation
 * mode. `name` is the guest's, for messages. */
struct error *qmp_open(int fd, const char *name, struct deadline deadline, struct qmp **qmp);
void qmp_close(struct qmp *qmp);
DEFINE_CLEANUP(qmp, struct qmp *, qmp_close)

/* Executes one command; takes over `arguments` (may be NULL). `result` may be NULL; else the
 * "return" value, owned by the caller. An error answer of QEMU becomes an error with QEMU's
 * description. */
struct error *qmp_execute(struct qmp *qmp, const char *command, json_t *arguments,
	struct deadline deadline, json_t **result);

/* As qmp_execute("getfd"): gives QEMU a copy of `fd` under a name usable in "fd:NAME" URIs. */
struct error *qmp_give_fd(struct qmp *qmp, int fd, const char *name, struct deadline deadline);

/* Takes the first event called `event` that arrives, or has arrived; owned by the caller. */
struct error *qmp_take_event(
	struct qmp *qmp, const char *event, struct deadline deadline, json_t **taken);
/* Forgets all events that have arrived before the answer to the last command. */
void qmp_forget_events(struct qmp *qmp);

/* Waits for an event called `event` that arrives, or has arrived since the last such call. */
struct error *qmp_wait_event(struct qmp *qmp, const char *event, struct deadline deadline);

/* Waits until a migration (either direction) is completed; failed or cancelled is an error. Needs
 * the migration capability "events". */
struct error *qmp_wait_migration(struct qmp *qmp, struct deadline deadline);
