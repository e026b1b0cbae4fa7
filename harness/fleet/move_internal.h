/* What the files of moving share; nobody else includes this. */
#pragma once

#include "harness/fleet/move.h"
#include "harness/fleet/stack.h"

/* One guest on its way, in the mover. */
struct party {
	const struct move_item *item;
	struct move_report *report; /* in memory that the keeper sees too */
	struct stack *source, *target;
	json_t *samples;	 /* offsets that verify compares; owned */
	int64_t clock_offset_ns; /* the target's wall clock minus the source's */
	int64_t begin_ns;	 /* monotonic: the first migration command */
	double vcpu_before_s;	 /* the source's report.source_vcpu_s begins here */
	char *cpr_path;		 /* MOVE_CPR: where the target's QEMU waits for the source; owned */
	bool unlike_kernels;
	bool has_regions; /* memory that it shares with other guests (ivshmem) */
};

struct mover {
	const struct move_options *options;
	struct party *parties;
	size_t count;
	int keeper_fd;
	struct jsonline reader;
	int64_t session;
	struct deadline deadline;
};

/* Members of answers: 0 and "" when there is no such. */
static inline json_int_t integer(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

static inline const char *text(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));

	return value ? value : "";
}

static inline bool is_copying(const struct mover *mover)
{
	return move_copies(mover->options->method);
}

/* CPU time of the vCPUs of one side's QEMU; NAN: it does not tell. */
double move_vcpu_s(struct mover *mover, struct party *party, bool target);

/* Takes one step with these parties; all of them are waited for, and the first error counts. */
typedef struct error *move_step_body(struct mover *mover, struct party *parties, size_t count);

move_step_body move_preflight, move_receive, move_transfer, move_verify, move_commit, move_finish;

/* The mover's side: takes all steps, asking the keeper on `keeper_fd` before each. */
struct error *mover_run(const struct move_item *items, size_t count,
	const struct move_options *options, int64_t session, int keeper_fd,
	struct move_report *reports);

/* Sends each party's stack a request made by `make` (NULL: none for this party), then collects all
 * answers, which `take` looks at. So slow answers overlap. */
struct error *move_ask_all(struct mover *mover, struct party *parties, size_t count, bool target,
	json_t *(*make)(struct mover *mover, struct party *party),
	struct error *(*take)(struct mover *mover, struct party *party, json_t *answer));

/* One request to one side about its guest; `request` is taken over and gets its "name". */
struct error *move_ask(
	struct mover *mover, struct party *party, bool target, json_t *request, json_t **answer);

/* The first half of it; stack_receive() is the other. */
struct error *move_send(struct party *party, bool target, json_t *request);

/* Asks one side until its migration has the status `until` or is completed. */
struct error *move_await(struct mover *mover, struct party *party, bool target, const char *until);

/* The request that the target listens. */
json_t *move_make_listen(struct mover *mover, struct party *party);
/* That the source sends; with MOVE_CPR it gets ready to. */
json_t *move_make_send(struct mover *mover, struct party *party);

/* Capabilities and parameters for "listen" and "send". */
json_t *move_capabilities(const struct mover *mover, const struct party *party, bool target);
json_t *move_parameters(const struct move_options *options);

/* Brings every guest to where the transaction ends: all forward when all run on the target, else
 * all to the source. `reached` is the last step of each guest that the mover was allowed to take,
 * or -1. Takes `err`, the reason; the result is NULL when all are on the target. */
struct error *move_recover(const struct move_item *items, size_t count,
	const struct move_options *options, int64_t session, const int *reached,
	struct move_report *reports, struct error *err);

/* As move_run(), of guests that run on the target: see receive_back. `indices` into items. */
struct error *move_back(const struct move_item *items, const size_t *indices, size_t count,
	const struct move_options *options, struct move_report *reports);
