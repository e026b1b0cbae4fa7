/* See jsontext.h. Must never take less than what is allocated: figures are of 64-bit jansson 2.14
 * (value.c, hashtable.c) with malloc's header and rounding. */
#include "harness/base/jsontext.h"

#include <stdbool.h>
#include <string.h>

enum {
	OF_OBJECT = 80 + 144, /* with the eight buckets it begins with */
	OF_MEMBER = 32,	      /* its share of buckets, which double; its name is like a string */
	OF_ARRAY = 48 + 80,   /* with the eight places it begins with */
	OF_ITEM = 16,	      /* places double */
	OF_STRING = 48 + 32,
	OF_NUMBER = 32,
};

static size_t cost_of(char c)
{
	switch (c) {
	case '{':
		return OF_OBJECT;
	case ':':
		return OF_MEMBER;
	case '[':
		return OF_ARRAY;
	case ',':
		return OF_ITEM;
	case '"':
		return OF_STRING;
	default:
		return 0;
	}
}

static bool is_of_number(char c)
{
	return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* Past the string whose first character is text[at]. */
static size_t end_of_string(const char *text, size_t size, size_t at)
{
	while (at < size && text[at] != '"')
		at += text[at] == '\\' ? 2 : 1;
	return at < size ? at + 1 : size;
}

size_t jsontext_memory(const char *text, size_t size)
{
	size_t memory = OF_NUMBER;
	bool in_number = false;

	for (size_t i = 0; i < size;) {
		char c = text[i++];
		bool was_in_number = in_number;

		in_number = is_of_number(c);
		memory += cost_of(c);
		if (in_number && !was_in_number)
			memory += OF_NUMBER;
		if (c == '"') {
			size_t end = end_of_string(text, size, i);

			memory += end - i;
			i = end;
		}
	}
	return memory;
}
