/* A request target, taken apart: see request.h. */
#include "dashboard/server/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes [from, end) to *to, which moves on past a NUL. */
static bool decode(const char *from, const char *end, bool plus_is_space, char **to)
{
	char *start = *to, *out = *to;

	while (from < end) {
		char c = *from++;

		if (c == '%') {
			int high = from < end ? hex_digit(from[0]) : -1;
			int low = high >= 0 && from + 1 < end ? hex_digit(from[1]) : -1;

			if (low < 0)
				return false;
			c = (char)(high << 4 | low);
			from += 2;
		} else if (c == '+' && plus_is_space) {
			c = ' ';
		}
		if ((unsigned char)c < 0x20 || c == 0x7f)
			return false;
		*out++ = c;
	}
	*out = '\0';
	*to = out + 1;
	return g_utf8_validate(start, out - start, NULL);
}

static const char *end_of(const char *from, const char *stops)
{
	return from + strcspn(from, stops);
}

static bool is_plain_segment(const char *segment)
{
	return *segment && strcmp(segment, ".") != 0 && strcmp(segment, "..") != 0 &&
	       !strpbrk(segment, "/\\");
}

static bool parse_path(const char **at, struct request *request, char **out, const char **why)
{
	while (**at == '/') {
		const char *end = end_of(*at + 1, "/?");
		char *segment = *out;

		if (end == *at + 1 && *end != '/') { /* "/" at the end */
			*at = end;
			break;
		}
		if (request->count == REQUEST_SEGMENTS) {
			*why = "the path has too many parts";
			return false;
		}
		if (!decode(*at + 1, end, false, out) || !is_plain_segment(segment)) {
			*why = "the path is not plain";
			return false;
		}
		request->segments[request->count++] = segment;
		*at = end;
	}
	return true;
}

static bool add_parameter(struct request *request, const char *name, const char *value)
{
	if (!*name || request_parameter(request, name))
		return false;
	request->parameters[request->parameter_count++] = (struct request_parameter){name, value};
	return true;
}

static bool parse_query(const char *at, struct request *request, char **out, const char **why)
{
	while (*at) {
		const char *end = end_of(at, "&"), *equals = memchr(at, '=', (size_t)(end - at));
		char *name = *out, *value;

		if (request->parameter_count == REQUEST_PARAMETERS) {
			*why = "the query has too many parameters";
			return false;
		}
		if (!decode(at, equals ? equals : end, true, out) ||
			(value = *out, !decode(equals ? equals + 1 : end, end, true, out))) {
			*why = "the query is not plain";
			return false;
		}
		if (!add_parameter(request, name, value)) {
			*why = "a parameter is given twice, or has no name";
			return false;
		}
		at = *end ? end + 1 : end;
	}
	return true;
}

bool request_parse(const char *target, struct request *request, const char **why)
{
	size_t size = strlen(target);
	struct request parsed = {0};
	char *out;

	if (*target != '/') {
		*why = "the target is no path";
		return false;
	}
	if (size > REQUEST_MAX) {
		*why = "the target is too long";
		return false;
	}
	/* a name without "=" has an empty value with a NUL of its own */
	parsed.text = out = calloc(2, size + REQUEST_SEGMENTS + 2);
	if (!out)
		abort();
	if (!parse_path(&target, &parsed, &out, why) ||
		(*target == '?' && !parse_query(target + 1, &parsed, &out, why))) {
		request_deinit(&parsed);
		return false;
	}
	*request = parsed;
	return true;
}

void request_deinit(struct request *request)
{
	free(request->text);
	*request = (struct request){0};
}

const char *request_parameter(const struct request *request, const char *name)
{
	for (size_t i = 0; i < request->parameter_count; i++) {
		if (strcmp(request->parameters[i].name, name) == 0)
			return request->parameters[i].value;
	}
	return NULL;
}

bool request_number(const struct request *request, const char *name, int64_t most,
	int64_t otherwise, int64_t *value)
{
	const char *text = request_parameter(request, name);
	char *end;
	long long number;

	if (!text) {
		*value = otherwise;
		return true;
	}
	if (*text < '0' || *text > '9') /* strtoll takes blanks and signs */
		return false;
	errno = 0;
	number = strtoll(text, &end, 10);
	if (errno || *end || number > most)
		return false;
	*value = number;
	return true;
}

static bool is_word_of(const char *words, const char *name)
{
	size_t length = strlen(name);

	while (*words) {
		size_t word = strcspn(words, " ");

		if (word == length && strncmp(words, name, length) == 0)
			return true;
		words += word;
		words += strspn(words, " ");
	}
	return false;
}

const char *request_unknown(const struct request *request, const char *known)
{
	for (size_t i = 0; i < request->parameter_count; i++) {
		if (!is_word_of(known, request->parameters[i].name))
			return request->parameters[i].name;
	}
	return NULL;
}

bool request_matches(const struct request *request, size_t first, const char *pattern,
	const char **captured, size_t room)
{
	size_t at = first, captures = 0;

	while (*pattern) {
		size_t length = strcspn(pattern, "/");
		bool any = length == 1 && *pattern == '*', rest = strcmp(pattern, "**") == 0;

		if (at >= request->count)
			return false;
		if (!any && !rest &&
			(strlen(request->segments[at]) != length ||
				strncmp(request->segments[at], pattern, length) != 0))
			return false;
		if ((any || rest) && captures < room)
			captured[captures++] = request->segments[at];
		at = rest ? request->count : at + 1;
		pattern += length;
		pattern += *pattern == '/';
	}
	return at == request->count;
}

bool request_is_name(const char *text)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t length = strlen(text);

	return length > 0 && length <= 64 && *text != '.' && strspn(text, plain) == length;
}
