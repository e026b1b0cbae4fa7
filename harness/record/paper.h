/*
 * The papers' published values and claims: data in results/papers/ID.json, embedded in the binary.
 * What a field means stands in results/schema/paper.schema.json.
 */
#pragma once

#include "harness/base/error.h"

#include <jansson.h>
#include <stddef.h>

/* The ids in their order: "A", "B", "C", "D", "E", "null"; NULL past the last one. */
const char *paper_id_at(size_t index);

/* The id of the paper that a mechanism ("shmipc") implements; NULL when there is none. */
const char *paper_id_of_mechanism(const char *mechanism);

/*
 * The paper, checked against its schema, with every published value resolved: wherever the file
 * refers to a cell ("cell", "less", "over"), the object also has "value" or "low" and "high"
 * (in tests as a plain ratio also when the cell is in per cent). Read once and then kept for the
 * life of the process, for all threads: nobody may change it. `id` may be any case. Unknown id:
 * ERROR_USAGE.
 */
struct error *paper_load(const char *id, const json_t **paper);

/* The same of a text of `size` bytes; `name` is for messages. *paper is the caller's. */
struct error *paper_parse(const char *name, const char *text, size_t size, json_t **paper);

/* The claim with this id ("C1", any case) in the paper; borrowed, NULL when there is none. */
json_t *paper_claim(const json_t *paper, const char *claim_id);

/* The table cell with this id; borrowed, NULL when there is none. */
json_t *paper_cell(const json_t *paper, const char *cell_id);

/* Finds the claim in all papers; *paper_id is static. ERROR_USAGE with the nearest name when it
 * does not exist. */
struct error *paper_find_claim(const char *claim_id, const char **paper_id);
