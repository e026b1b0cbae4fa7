/*
 * Coordinates that a selector leaves to the record: {"at": {"memory_mib": "largest"}} names the
 * greatest value of that coordinate for which every selector of a test that says so has readings
 * ("smallest": the least). So a claim about the paper's largest guest is decided at the largest
 * that this record has, and says at which. Internal to record/.
 */
#pragma once

#include "harness/record/samples.h"

/* Puts numbers in place of "largest" and "smallest" in the selectors' "at", in place. A coordinate
 * without a common value stays as it is, and selects nothing. Elements may be NULL. */
void coordinates_settle(const struct source *source, json_t *const selectors[], size_t count);

/* A copy of a test with the coordinates of all its selectors settled; new reference. */
json_t *coordinates_settle_test(const struct source *source, const json_t *test);
