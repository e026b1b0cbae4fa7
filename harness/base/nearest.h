/* "Did you mean …?" for names that users type. */
#pragma once

#include <stddef.h>

/* The candidate nearest to `word` by edit distance, or NULL when none is near. */
const char *nearest_name(const char *word, const char *const *candidates, size_t count);
