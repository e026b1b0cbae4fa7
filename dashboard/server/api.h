/*
 * The API's resources (docs/api.md), one handler each. A handler reads the store and makes an
 * answer; it knows nothing of connections. Internal to the server.
 */
#pragma once

#include "dashboard/server/answer.h"
#include "dashboard/server/fleets.h"
#include "dashboard/server/live.h"
#include "dashboard/server/request.h"
#include "dashboard/server/store.h"

/* Rows of a list that are given when the client does not say how many, and at most. */
#define API_PAGE 100
#define API_PAGE_MAX 1000

struct ask {
	struct store *store;
	struct live *live;
	struct fleets *fleets;
	int64_t generation;    /* of the store, that the answer is for */
	struct reader *reader; /* this thread's; its index is open but for routes without one */
	const struct request *request;
	const char *captured[3]; /* what stands for the "*" of the route */
	unsigned int status;	 /* set beside an error: the HTTP status that it is */
	bool passing; /* set by the handler: true only now, such as of a run in progress; not kept
		       */
};

typedef struct error *api_handler(struct ask *ask, struct answer **answer);

enum {
	ROUTE_KEPT = 1,		 /* the same until the index changes */
	ROUTE_WITHOUT_INDEX = 2, /* fit while there is none */
};

struct route {
	const char *pattern;	/* below /api/v1: request_matches() */
	const char *parameters; /* that it knows */
	api_handler *handle;
	unsigned int flags;
};

/* The route of a request whose first two segments are "api" and "v1"; NULL when there is none.
 * captured[] is set. */
const struct route *api_find(const struct request *request, const char *captured[3]);

/* Runs the handler; what fails becomes an answer too. Never NULL. */
struct answer *api_answer(const struct route *route, struct ask *ask);

/* ---- for handlers ---- */

/* An error with its HTTP status. */
struct error *api_not_found(struct ask *ask, struct error *err);

/* "offset" and "limit" of the request. */
struct error *api_page(struct ask *ask, int64_t most, struct index_page *page);

/* What filters runs: "host", "mechanism", "profile", "commit", "since_s", "until_s". Borrowed. */
struct error *api_filter(struct ask *ask, struct index_filter *filter);

/* A parameter that must be there. */
struct error *api_required(struct ask *ask, const char *name, const char **value);

/* JSON text of a parameter ("at"), NULL when it is not given or "". */
struct error *api_json_parameter(struct ask *ask, const char *name, json_t **value);

/* The run that is meant ("latest", an id): *id is owned by the caller. */
struct error *api_run_id(struct ask *ask, const char *what, char **id);

/* Holds a run's record; an unknown one is an error. */
struct error *api_hold(struct ask *ask, const char *what, struct held_record **held);

/* Adds "total" and "offset" and the rows [offset, offset + limit) of a list under `name`; takes
 * over nothing. */
json_t *api_paged(const json_t *rows, struct index_page page, const char *name);

/* "/api/v1/runs/ID/samples?…" of a selector's readings; caller frees. */
char *api_samples_url(const json_t *record, const char *mechanism, const char *experiment,
	const json_t *selector);

/* A trial without its samples, as lists of trials have it; new reference. */
json_t *api_trial(const json_t *trial);

/* [{"mechanism", "experiment", "variant", "metric", "at", "unit", "median", "low", "high",
 * "trials", "samples": URL}] of a record; `mechanism` may be NULL. New reference. */
json_t *api_series_of(const json_t *record, const char *mechanism);

/* "lower" or "higher" is better, as the unit says; NULL where it does not. */
const char *api_better(const char *unit);

#define API_HANDLERS(X)                                                                            \
	X(root)                                                                                    \
	X(overview)                                                                                \
	X(papers)                                                                                  \
	X(paper)                                                                                   \
	X(claims)                                                                                  \
	X(claim)                                                                                   \
	X(history)                                                                                 \
	X(runs)                                                                                    \
	X(run)                                                                                     \
	X(trials)                                                                                  \
	X(trial)                                                                                   \
	X(trial_samples)                                                                           \
	X(run_series)                                                                              \
	X(samples)                                                                                 \
	X(topology)                                                                                \
	X(logs)                                                                                    \
	X(log)                                                                                     \
	X(report)                                                                                  \
	X(live)                                                                                    \
	X(series)                                                                                  \
	X(trends)                                                                                  \
	X(compare)                                                                                 \
	X(hosts)                                                                                   \
	X(refused)                                                                                 \
	X(fleets)                                                                                  \
	X(fleet)                                                                                   \
	X(nights)                                                                                  \
	X(night)
#define DECLARE_HANDLER(name)                                                                      \
	struct error *api_##name##_get(struct ask *ask, struct answer **answer);
API_HANDLERS(DECLARE_HANDLER)
#undef DECLARE_HANDLER
