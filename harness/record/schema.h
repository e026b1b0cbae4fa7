/*
 * Checks a JSON value against one of the schemas embedded in the binary (results/schema). The part
 * of JSON Schema understood is: $ref to "#/$defs/NAME", type, const, enum, anyOf, required,
 * properties, additionalProperties, items, minimum, maximum, minLength, maxLength, minItems,
 * maxItems, and $comment. A schema with any other word is refused as a bug: nothing is skipped.
 */
#pragma once

#include "harness/base/error.h"

#include <jansson.h>

/* `name` is "paper", "run" or "night". The error (ERROR_USAGE) names the JSON path and the reason:
 * "trials[3].outcome is "fine", expected one of ok, failed, invalid, skipped". */
struct error *schema_check(const char *name, const json_t *value);

/* The same for a part of such a document, by its name in the schema's "$defs": "trial" of "run". */
struct error *schema_check_part(const char *name, const char *part, const json_t *value);

/* The same with a schema of the caller's. */
struct error *schema_check_against(const json_t *schema, const json_t *value);
