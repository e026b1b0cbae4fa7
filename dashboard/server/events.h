/*
 * Server-sent events: what is new in a run, or in the store, told to whoever follows. A thread of
 * its own looks at what changed; a follower that reads too slowly is dropped, and may come back
 * with where it was.
 */
#pragma once

#include "dashboard/server/live.h"
#include "dashboard/server/store.h"

#include <microhttpd.h>

struct events;

/* Followers at a time; more are told to come back later. */
#define EVENTS_FOLLOWERS 64

/* Both are borrowed. */
struct error *events_create(struct store *store, struct live *live, struct events **events);

/* Ends all streams; before the daemon is stopped. */
void events_end(struct events *events);
/* After it. */
void events_destroy(struct events *events);

/*
 * A stream of the run `id` ("latest": that is in progress, or the next), or, NULL, of the store.
 * `last` is what the client says that it was told last ("Last-Event-ID"), may be NULL. NULL when
 * there are too many followers; else to be queued for this connection, and destroyed.
 */
struct MHD_Response *events_follow(
	struct events *events, struct MHD_Connection *connection, const char *id, const char *last);

/* One event as it goes over the wire, "event: NAME\nid: N\ndata: JSON\n\n"; `id` < 0: none. Caller
 * frees. */
char *event_format(const char *name, int64_t id, const json_t *data);
