/* The watch's memory of a metric as JSON, to be kept between nights. */
#pragma once

#include "harness/watch/watch.h"

#include <jansson.h>

/* New reference; {} for a memory of nothing. */
json_t *watch_memory_save(const struct watch_memory *memory);

/* What was saved. False, and a memory of nothing, when it is not that: the file may be damaged, and
 * a wrong baseline is worse than none. */
bool watch_memory_load(const json_t *saved, struct watch_memory *memory);
