/* The same work on many items in a few threads. */
#pragma once

#include "harness/base/error.h"

typedef struct error *parallel_body(size_t item, void *context);

/* Calls body(0 … count-1) from at most `threads` threads and returns when all have ended. After the
 * first error no new item is begun; that error is returned, later ones are dropped. */
struct error *parallel_for(size_t count, size_t threads, parallel_body *body, void *context);
