/*
 * The collecting JSON writer. Must never print a half-finished object.
 */
#include "workloads/guest/json.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static FILE *stream;
static char *buffer;
static size_t size;
static bool first;

static FILE *out(void)
{
	if (!stream) {
		stream = open_memstream(&buffer, &size);
		if (!stream)
			abort();
		fputc('{', stream);
		first = true;
	}
	return stream;
}

static void put_string(const char *text)
{
	fputc('"', out());
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		if (*c == '"' || *c == '\\')
			fprintf(stream, "\\%c", *c);
		else if (*c < 0x20)
			fprintf(stream, "\\u%04x", *c);
		else
			fputc(*c, stream);
	}
	fputc('"', stream);
}

static void put_name(const char *name)
{
	if (out() && !first)
		fputc(',', stream);
	first = false;
	if (name) {
		put_string(name);
		fputc(':', stream);
	}
}

void json_text(const char *name, const char *value)
{
	put_name(name);
	put_string(value);
}

void json_number(const char *name, uint64_t value)
{
	put_name(name);
	fprintf(stream, "%" PRIu64, value);
}

void json_signed(const char *name, int64_t value)
{
	put_name(name);
	fprintf(stream, "%" PRId64, value);
}

void json_bool(const char *name, bool value)
{
	put_name(name);
	fputs(value ? "true" : "false", stream);
}

void json_hex(const char *name, uint64_t value)
{
	put_name(name);
	fprintf(stream, "\"0x%" PRIx64 "\"", value);
}

void json_open(const char *name, char bracket)
{
	put_name(name);
	fputc(bracket, stream);
	first = true;
}

void json_close(char bracket)
{
	fputc(bracket, out());
	first = false;
}

void json_numbers(const char *name, const uint64_t *values, size_t count)
{
	json_open(name, '[');
	for (size_t i = 0; i < count; i++)
		json_number(NULL, values[i]);
	json_close(']');
}

void json_discard(void)
{
	if (!stream)
		return;
	fclose(stream);
	free(buffer);
	stream = NULL;
	buffer = NULL;
}

void json_print(void)
{
	fputs("}\n", out());
	fflush(stream);
	fwrite(buffer, 1, size, stdout);
	fflush(stdout);
	json_discard();
}
