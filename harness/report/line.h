/*
 * Lines of text for terminals: measured in columns, wrapped, and made harmless. What comes out of a
 * record may hold anything; no control character of it reaches the terminal.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct page {
	FILE *out;
	int width; /* columns; no line is longer */
	bool colour;
};

/* The width that a page gets for the one asked for: 60 to 200 columns, 100 for 0. */
int page_width(int wanted);

/* Columns that a text takes on a terminal (UTF-8; wide East Asian characters take two). */
int text_columns(const char *text);

/* A copy with every control character replaced by '?'; caller frees. */
char *text_harmless(const char *text);

/* Prints `text` wrapped, every line indented by `indent`, the first by `first` instead. */
void page_wrap(const struct page *page, int first, int indent, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* One cell of a row: left-aligned in `columns`, or right-aligned when `columns` is negative. A
 * longer text is shortened with "…". */
struct cell {
	int columns;
	const char *text;
	const char *colour; /* SGR code such as "32", or NULL */
};

/* Prints cells separated by a space, without trailing space; cut at the page's width. */
void page_row(const struct page *page, int indent, const struct cell *cells, size_t count);

void page_heading(const struct page *page, const char *text);
void page_blank(const struct page *page);
