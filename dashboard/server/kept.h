/* Answers that stay right until the index changes, by request target: the last ones used, within
 * a bound. May be used from any thread. */
#pragma once

#include "dashboard/server/answer.h"

#include <stdint.h>

struct kept;

/* At most `most_bytes` of answers, by answer_size(). */
struct kept *kept_create(size_t most_bytes);
void kept_destroy(struct kept *kept);

/* A reference to the answer to that target, if it was kept at that generation of the index; else
 * NULL. */
struct answer *kept_find(struct kept *kept, const char *target, int64_t generation);

/* Keeps a reference of its own. Answers of other generations are dropped. */
void kept_put(struct kept *kept, const char *target, int64_t generation, struct answer *answer);
