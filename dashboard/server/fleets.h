/*
 * Running fleets, as their keepers told last. A keeper may hang: one thread at a time waits for
 * keepers, for a bounded time, and everybody else gets what is known. May be used from any thread.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

struct fleets;

struct fleets *fleets_create(void);
void fleets_destroy(struct fleets *fleets);

/*
 * What each fleet's keeper told last (its answer to "status"), with "name". When that is no longer
 * so, because it does not answer now: "stale" true, "age_s", and the reason as "trouble". A fleet
 * whose keeper never answered has "name" and "trouble" alone. By name; the caller owns it.
 * *under_way: another thread is asking just now, so that a new fleet may not be among them yet.
 */
json_t *fleets_now(struct fleets *fleets, bool *under_way);
