/*
 * What a JSON text costs once it is parsed, known before anything is allocated for it. The size of
 * a hostile text does not tell: "[]," is three bytes and takes fifty times as much.
 */
#pragma once

#include <stddef.h>

/* Bytes of memory that jansson takes for the text, estimated from above. The text need not be
 * valid: what would be parsed of it is within the estimate. */
size_t jsontext_memory(const char *text, size_t size);
