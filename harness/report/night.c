/*
 * The morning summary: see night.h. night_page() decides what is said, once; Markdown and HTML only
 * write it down.
 */
#include "harness/report/night.h"

#include "harness/base/embedded.h"
#include "harness/base/fs.h"
#include "harness/record/samples.h"
#include "harness/report/figures.h"
#include "harness/report/markdown.h"
#include "harness/report/night_page.h"
#include "harness/report/xml.h"

#include <errno.h>
#include <string.h>

/* ---- Markdown ---- */

static void put_texts(const json_t *texts, FILE *out)
{
	const json_t *text;
	size_t i;

	json_array_foreach (texts, i, text) {
		fputs("- ", out);
		markdown_put(out, json_string_value(text));
		fputc('\n', out);
	}
	if (json_array_size(texts))
		fputc('\n', out);
}

static void put_markdown_table(const json_t *section, FILE *out)
{
	const json_t *rows = json_object_get(section, "rows"), *row, *cell;
	_cleanup_json_ json_t *table = json_array();
	size_t r, c;

	if (json_array_size(rows) == 0)
		return;
	json_array_append_new(table, json_deep_copy(json_object_get(section, "columns")));
	json_array_foreach (rows, r, row) {
		json_t *escaped = json_array();

		json_array_foreach (row, c, cell) {
			_cleanup_free_ char *text = markdown_figure(json_string_value(cell));

			json_array_append_new(escaped, json_string(text));
		}
		json_array_append_new(table, escaped);
	}
	markdown_table(table, json_text(section, "align"), out);
}

static void markdown(const json_t *page, FILE *out)
{
	const json_t *section;
	size_t i;

	fputs("# ", out);
	markdown_put(out, json_text(page, "title"));
	fputs("\n\n**", out);
	markdown_put(out, json_text(page, "headline"));
	fputs("**\n\n", out);
	put_texts(json_object_get(page, "lead"), out);
	json_array_foreach (json_object_get(page, "sections"), i, section) {
		fputs("## ", out);
		markdown_put(out, json_text(section, "heading"));
		fputs("\n\n", out);
		put_texts(json_object_get(section, "texts"), out);
		put_markdown_table(section, out);
	}
}

/* ---- HTML ---- */

static void put_list(const json_t *texts, FILE *out)
{
	const json_t *text;
	size_t i;

	if (json_array_size(texts) == 0)
		return;
	fputs("<ul>\n", out);
	json_array_foreach (texts, i, text) {
		xml_element(out, "li", json_string_value(text));
		fputc('\n', out);
	}
	fputs("</ul>\n", out);
}

static void put_cell(const char *text, bool number, FILE *out)
{
	fputs("<td", out);
	if (number)
		xml_attribute(out, "class", "number");
	fputc('>', out);
	xml_put(out, text);
	fputs("</td>", out);
}

static void put_html_table(const json_t *section, FILE *out)
{
	const char *align = json_text(section, "align");
	const json_t *rows = json_object_get(section, "rows"), *row, *cell;
	size_t r, c;

	if (json_array_size(rows) == 0)
		return;
	fputs("<table>\n<tr>", out);
	json_array_foreach (json_object_get(section, "columns"), c, cell)
		xml_element(out, "th", json_string_value(cell));
	fputs("</tr>\n", out);
	json_array_foreach (rows, r, row) {
		fputs("<tr>", out);
		json_array_foreach (row, c, cell)
			put_cell(
				json_string_value(cell), c < strlen(align) && align[c] == 'r', out);
		fputs("</tr>\n", out);
	}
	fputs("</table>\n", out);
}

static void html(const json_t *page, FILE *out)
{
	const struct embedded_file *head = embedded_find("report/night.html");
	const json_t *section;
	size_t i;

	if (head)
		fwrite(head->data, 1, head->size, out);
	xml_element(out, "h1", json_text(page, "title"));
	xml_element(out, "p", json_text(page, "headline"));
	fputc('\n', out);
	put_list(json_object_get(page, "lead"), out);
	json_array_foreach (json_object_get(page, "sections"), i, section) {
		xml_element(out, "h2", json_text(section, "heading"));
		fputc('\n', out);
		put_list(json_object_get(section, "texts"), out);
		put_html_table(section, out);
	}
	fputs("</body>\n</html>\n", out);
}

struct error *night_report(const json_t *night, enum night_format format, FILE *out)
{
	_cleanup_json_ json_t *page = night_page(night);

	switch (format) {
	case NIGHT_MARKDOWN:
		markdown(page, out);
		break;
	case NIGHT_HTML:
		html(page, out);
		break;
	case NIGHT_JUNIT:
		night_junit(night, out);
		break;
	}
	return ferror(out) ? error_errno(errno, "cannot write the summary") : NULL;
}
