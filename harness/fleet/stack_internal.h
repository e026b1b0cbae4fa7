/* What the files of a stack's serving side share; nobody else includes this. */
#pragma once

#include "harness/fleet/libvirt_driver.h"
#include "harness/fleet/qmp.h"
#include "harness/fleet/stack.h"

#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

/* How long one request may take at most. */
#define STACK_REQUEST_MS 180000
/* How long "await" waits at most before it says "waiting". */
#define STACK_AWAIT_MS 200
/* How long a migration may take to end when it is cancelled. */
#define STACK_CONTINUE_MS 20000

struct stack_guest {
	struct stack_guest *next;
	char *name;
	pid_t pid;
	int pidfd;		     /* names this process for ever, when its number is another's;
					-1: it has ended. Closed meanwhile: use stack_watch() */
	bool had_run;		     /* its vCPUs have been let go by "resume" */
	bool child;		     /* ours to reap */
	struct qmp *qmp;	     /* opened when first needed; use with `lock` held */
	uint64_t ram_hva, ram_bytes; /* where QEMU has its RAM, for good; 0: not asked yet */
	pthread_mutex_t lock;
	pthread_mutex_t pidfd_lock; /* never held for long; taken last */
};

/* Requests of one asker, which can be revoked together. */
struct session {
	struct session *next;
	json_int_t id;
	unsigned int under_way;
	bool revoked;
};

struct server {
	struct libvirt_driver *driver;
	struct stack_guest *guests;
	struct session *sessions;
	pthread_mutex_t lock; /* of both lists */
	pthread_cond_t session_changed;
};

typedef struct error *stack_operation(struct server *server, json_t *request, json_t *answer);

/* Notes a guest by the process of its QEMU. Takes over `qmp`, which may be NULL, also on failure.
 * `guest` may be NULL. */
struct error *stack_add_guest(struct server *server, const char *name, pid_t pid, bool child,
	struct qmp *qmp, struct stack_guest **guest);
/* The same for a QEMU that has just been started: one that could not be noted is ended. */
struct error *stack_add_started(struct server *server, const char *name, pid_t pid, bool child,
	struct qmp *qmp, struct stack_guest **guest);
/* A descriptor of the caller's own to signal and watch the guest's process by; -1: it has ended. */
struct error *stack_watch(struct stack_guest *guest, int *fd);
/* The guest of this name, or NULL. */
struct stack_guest *stack_known_guest(struct server *server, const char *name);
/* The latest guest whose name the request has; guests are never freed while the stack lives. */
struct error *stack_find_guest(struct server *server, json_t *request, struct stack_guest **guest);
/* Call with the guest's lock held. */
struct error *stack_open_monitor(struct stack_guest *guest, struct deadline deadline);
struct error *stack_string(json_t *request, const char *name, const char **value);

/* One monitor command with the guest's lock taken; as qmp_execute(). */
struct error *stack_monitor(struct stack_guest *guest, const char *command, json_t *arguments,
	struct deadline deadline, json_t **result);

/* ---- stack_move.c ---- */
stack_operation stack_op_receive, stack_op_listen, stack_op_send, stack_op_await, stack_op_postcopy,
	stack_op_resume, stack_op_continue;
/* ---- stack_cpr.c ---- */
stack_operation stack_op_cpr;
/* Where a seat's QEMU waits for its source; caller frees. */
char *stack_cpr_path(const char *seat);
/* Returns when its QEMU waits there. */
struct error *stack_cpr_await_listening(
	struct stack_guest *guest, const char *path, struct deadline deadline);
/* It waits there still: it has no monitor yet, and has never run. */
bool stack_cpr_awaits_source(const struct stack_guest *guest);
/* The arguments of "migrate" to a QEMU that waits at `cpr_path` and will listen at `uri`. */
struct error *stack_cpr_migrate(const char *uri, const char *cpr_path, json_t **arguments);
/* ---- stack_channel.c ---- */
stack_operation stack_op_channel_format, stack_op_channel_listen, stack_op_channel_connect,
	stack_op_channel_flood, stack_op_channel_drain;
/* ---- stack_process.c ---- */
stack_operation stack_op_end, stack_op_adopt, stack_op_status, stack_op_statistics,
	stack_op_balloon, stack_op_clock, stack_op_room, stack_op_machine;
/* ---- stack_memory.c ---- */
stack_operation stack_op_memory, stack_op_populate;
/* ---- stack_digest.c ---- */
stack_operation stack_op_sample, stack_op_digest;
