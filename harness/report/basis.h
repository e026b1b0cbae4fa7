/* What a claim was decided by: the readings behind each of its tests. Internal to report/ and the
 * dashboard. */
#pragma once

#include <jansson.h>

/*
 * For each test of a paper's claim, in their order, new reference:
 *   [{"experiment", "selectors": [{"role": "of", "to" or "ascending", "variant", "metric", "at",
 *     "parameters", "unit", "readings": [{"trial": index, "pair", "value"}]}],
 *     "ratios": [{"pair", "ratio", "of": {"trial", "value"}, "to": {"trial", "value"}}]}]
 * Selectors are those of the record: coordinates and best variants are settled. "ratios" only of
 * tests that have both "of" and "to". Readings are those that count, as claims_grade() takes them.
 */
json_t *claim_basis(const json_t *record, const json_t *paper, const json_t *claim);

/* The trials that any of the selectors of a basis names, whether they count or not: array of
 * borrowed trials in a new array. */
json_t *basis_trials(const json_t *record, const json_t *paper, const json_t *basis);

/* Which fields of the host the paper's setting names: [{"field", "paper", "here", "ok"}]. */
json_t *basis_comparability(const json_t *record, const json_t *paper);
