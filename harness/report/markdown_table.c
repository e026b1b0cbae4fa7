/* Markdown tables: see markdown_table.h. */
#include "harness/report/markdown_table.h"

#include "harness/base/fs.h"
#include "harness/report/line.h"

#include <string.h>

/* A column is not padded beyond this: one long text shall not make every line long. */
#define MOST_PADDED 48

static char *escaped(const char *text, const char *special)
{
	_cleanup_free_ char *harmless = text_harmless(text);
	char *out = calloc(2 * strlen(harmless) + 1, 1), *to = out;

	for (const char *p = harmless; out && *p; p++) {
		if (strchr(special, *p))
			*to++ = '\\';
		*to++ = *p;
	}
	return out ? out : strdup("");
}

char *markdown_text(const char *text)
{
	return escaped(text, "|<>*`[]\\_&");
}

char *markdown_figure(const char *text)
{
	return escaped(text, "|<>*`()\\_&");
}

void markdown_row(json_t *table, size_t count, const char *const *cells)
{
	json_t *row = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(row, json_string(cells[i]));
	json_array_append_new(table, row);
}

static void measure_columns(const json_t *table, size_t columns, int *widths)
{
	const json_t *row, *cell;
	size_t r, c;

	for (c = 0; c < columns; c++)
		widths[c] = 3;
	json_array_foreach (table, r, row) {
		json_array_foreach (row, c, cell) {
			int width = text_columns(json_string_value(cell));

			if (c < columns && width > widths[c] && width <= MOST_PADDED)
				widths[c] = width;
		}
	}
}

static void put_row(
	const json_t *row, size_t columns, const int *widths, const char *right, FILE *out)
{
	for (size_t c = 0; c < columns; c++) {
		const char *cell = json_string_value(json_array_get(row, c));
		int pad = widths[c] - text_columns(cell ? cell : "");
		bool to_right = right[c] == 'r';

		pad = pad < 0 || (c + 1 == columns && !to_right) ? 0 : pad;
		fprintf(out, "| %*s%s%*s ", to_right ? pad : 0, "", cell ? cell : "",
			to_right ? 0 : pad, "");
	}
	fputs("|\n", out);
}

void markdown_table(const json_t *table, const char *right, FILE *out)
{
	size_t columns = json_array_size(json_array_get(table, 0));
	int widths[MARKDOWN_MOST_COLUMNS];

	if (columns > MARKDOWN_MOST_COLUMNS)
		columns = MARKDOWN_MOST_COLUMNS;
	measure_columns(table, columns, widths);
	put_row(json_array_get(table, 0), columns, widths, right, out);
	for (size_t c = 0; c < columns; c++) {
		fputs("|", out);
		for (int i = 0; i < widths[c] + 1; i++)
			fputc('-', out);
		fputs(right[c] == 'r' ? ":" : "-", out);
	}
	fputs("|\n", out);
	for (size_t r = 1; r < json_array_size(table); r++)
		put_row(json_array_get(table, r), columns, widths, right, out);
	fputc('\n', out);
}
