/* Lines of text for terminals: see line.h. */
#include "harness/report/line.h"

#include "harness/base/cleanup.h"

#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#define DEFAULT_WIDTH 100
#define LEAST_WIDTH 60
#define MOST_WIDTH 200

int page_width(int wanted)
{
	if (wanted == 0)
		return DEFAULT_WIDTH;
	return wanted < LEAST_WIDTH ? LEAST_WIDTH : wanted > MOST_WIDTH ? MOST_WIDTH : wanted;
}

/* Decodes one character; *length is at least 1, also for bytes that are no UTF-8. */
static uint32_t decode(const char *text, size_t *length)
{
	const unsigned char *p = (const unsigned char *)text;
	uint32_t point;
	size_t more;

	*length = 1;
	if (p[0] < 0x80)
		return p[0];
	if (p[0] >= 0xF0 && p[0] < 0xF8)
		point = p[0] & 7, more = 3;
	else if (p[0] >= 0xE0)
		point = p[0] & 15, more = 2;
	else if (p[0] >= 0xC0)
		point = p[0] & 31, more = 1;
	else
		return 0xFFFD;
	for (size_t i = 1; i <= more; i++) {
		if ((p[i] & 0xC0) != 0x80)
			return 0xFFFD;
		point = point << 6 | (p[i] & 0x3F);
	}
	*length = more + 1;
	return point;
}

/* The blocks of wide characters (Unicode, East Asian Width W and F), coarsely. */
static int columns_of(uint32_t point)
{
	if ((point >= 0x300 && point <= 0x36F) || (point >= 0x200B && point <= 0x200F))
		return 0;
	if ((point >= 0x1100 && point <= 0x115F) || (point >= 0x2E80 && point <= 0xA4CF) ||
		(point >= 0xAC00 && point <= 0xD7A3) || (point >= 0xF900 && point <= 0xFAFF) ||
		(point >= 0xFE30 && point <= 0xFE6F) || (point >= 0xFF00 && point <= 0xFF60) ||
		(point >= 0xFFE0 && point <= 0xFFE6) || (point >= 0x1F300 && point <= 0x1FAFF) ||
		(point >= 0x20000 && point <= 0x3FFFD))
		return 2;
	return 1;
}

int text_columns(const char *text)
{
	int columns = 0;
	size_t length;

	for (; *text; text += length)
		columns += columns_of(decode(text, &length));
	return columns;
}

char *text_harmless(const char *text)
{
	char *copy = calloc(strlen(text) + 1, 1);
	char *to = copy;
	size_t length;

	for (; copy && *text; text += length) {
		uint32_t point = decode(text, &length);

		/* C0, DEL, C1, and the characters that reorder text. */
		if (point < 0x20 || (point >= 0x7F && point < 0xA0) || point == 0xFFFD ||
			(point >= 0x202A && point <= 0x202E) ||
			(point >= 0x2066 && point <= 0x2069)) {
			*to++ = point == '\n' || point == '\t' ? ' ' : '?';
			continue;
		}
		memcpy(to, text, length);
		to += length;
	}
	return copy ? copy : strdup("");
}

/* The longest beginning of `text` that takes at most `room` columns, in bytes. */
static size_t fitting(const char *text, int room)
{
	size_t bytes = 0, length;

	while (text[bytes]) {
		room -= columns_of(decode(text + bytes, &length));
		if (room < 0)
			break;
		bytes += length;
	}
	return bytes;
}

/* Where to break: after the last space that fits, or in the middle of a word that is too long. */
static size_t break_at(const char *text, int room)
{
	size_t bytes = fitting(text, room), space;

	if (bytes == 0) /* wrapping goes on, however narrow the page */
		decode(text, &bytes);
	space = bytes;
	if (!text[bytes] || text[bytes] == ' ')
		return bytes;
	while (space && text[space] != ' ')
		space--;
	return space ? space : bytes;
}

void page_wrap(const struct page *page, int first, int indent, const char *format, ...)
{
	_cleanup_free_ char *raw = NULL;
	_cleanup_free_ char *text = NULL;
	const char *rest;
	va_list args;

	va_start(args, format);
	if (vasprintf(&raw, format, args) < 0)
		raw = NULL;
	va_end(args);
	text = text_harmless(raw ? raw : "");
	for (rest = text; *rest;) {
		int margin = rest == text ? first : indent;
		size_t bytes = break_at(rest, page->width - margin);

		fprintf(page->out, "%*s%.*s\n", margin, "", (int)bytes, rest);
		rest += bytes;
		while (*rest == ' ')
			rest++;
	}
}

/* Prints one cell in exactly |columns|, or as it is when it is the last one. */
static int put_cell(const struct page *page, const struct cell *cell, int room, bool last)
{
	_cleanup_free_ char *text = text_harmless(cell->text ? cell->text : "");
	int wanted = cell->columns < 0 ? -cell->columns : cell->columns;
	int limit = last || wanted > room ? room : wanted;
	int columns = text_columns(text), pad;
	bool cut = columns > limit;
	size_t bytes = cut ? fitting(text, limit - 1) : strlen(text);

	if (limit <= 0)
		return 0;
	columns = cut ? limit : columns;
	pad = wanted > columns && wanted <= room ? wanted - columns : 0;
	if (cell->columns < 0)
		fprintf(page->out, "%*s", pad, "");
	if (page->colour && cell->colour)
		fprintf(page->out, "\033[%sm", cell->colour);
	fprintf(page->out, "%.*s%s", (int)bytes, text, cut ? "…" : "");
	if (page->colour && cell->colour)
		fputs("\033[0m", page->out);
	if (cell->columns >= 0 && !last)
		fprintf(page->out, "%*s", pad, "");
	return columns + (last && cell->columns >= 0 ? 0 : pad);
}

void page_row(const struct page *page, int indent, const struct cell *cells, size_t count)
{
	int used = indent;

	while (count && (!cells[count - 1].text || !*cells[count - 1].text))
		count--;
	fprintf(page->out, "%*s", indent, "");
	for (size_t i = 0; i < count && used < page->width; i++) {
		used += put_cell(page, &cells[i], page->width - used, i + 1 == count);
		if (i + 1 < count && used < page->width) {
			fputc(' ', page->out);
			used++;
		}
	}
	fputc('\n', page->out);
}

void page_heading(const struct page *page, const char *text)
{
	const struct cell cell = {1, text, "1"};

	page_row(page, 0, &cell, 1);
}

void page_blank(const struct page *page)
{
	fputc('\n', page->out);
}
