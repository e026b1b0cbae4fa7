/* A command line that is built word by word. Zeroed is empty. */
#pragma once

#include <stddef.h>

enum { WORDS_MAX = 63 };

struct words {
	char *words[WORDS_MAX + 1]; /* owned; ends with NULL */
	size_t count;
};

/* More than WORDS_MAX words are a bug: aborts. */
void words_add(struct words *words, const char *format, ...) __attribute__((format(printf, 2, 3)));
void words_deinit(struct words *words);

/* As exec(3) and the guest agent want it. */
static inline const char *const *words_argv(const struct words *words)
{
	return (const char *const *)words->words;
}
