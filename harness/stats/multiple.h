/* Many tests at once: which of them may be called discoveries. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * Benjamini and Hochberg (1995): with independent or positively dependent tests, at most a share
 * `rate` of the discoveries is expected to be false. p-values that are NaN (no test was made) take
 * no part and are no discoveries. Sets discovered[i] for p_values[i], i < n; returns how many.
 */
size_t multiple_discoveries(const double *p_values, size_t n, double rate, bool *discovered);
