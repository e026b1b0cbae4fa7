/*
 * Writes the one JSON object a command prints. It is collected in memory and appears on stdout only
 * with json_print(), so a command that fails half-way prints its error and nothing of its result.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void json_text(const char *name, const char *value);
void json_number(const char *name, uint64_t value);
void json_signed(const char *name, int64_t value);
void json_bool(const char *name, bool value);
/* As a "0x…" string: JSON numbers lose the low bits of a 64-bit address. */
void json_hex(const char *name, uint64_t value);
void json_numbers(const char *name, const uint64_t *values, size_t count);

/* Nested objects and arrays; the elements of an array have a NULL name. */
void json_open(const char *name, char bracket);
void json_close(char bracket);

/* Prints the object and a newline, flushes, and starts a new one. */
void json_print(void);
/* Forgets what has been collected. */
void json_discard(void);
