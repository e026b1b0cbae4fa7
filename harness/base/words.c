/* Command lines: see words.h. */
#include "harness/base/words.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void words_add(struct words *words, const char *format, ...)
{
	va_list args;

	if (words->count == WORDS_MAX)
		abort();
	va_start(args, format);
	if (vasprintf(&words->words[words->count++], format, args) < 0)
		abort();
	va_end(args);
}

void words_deinit(struct words *words)
{
	for (size_t i = 0; i < words->count; i++)
		free(words->words[i]);
	*words = (struct words){0};
}
