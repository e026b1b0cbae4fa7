/* Two runs side by side, for a terminal and as Markdown: see report.h. A row that is too wide for
 * the page has its name on a line of its own; no figure is cut for want of room. */
#include "harness/base/fs.h"
#include "harness/record/samples.h"
#include "harness/report/figures.h"
#include "harness/report/formats.h"
#include "harness/report/markdown.h"
#include "harness/report/series.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

/* Name, A, B, their ratio, the judgement. */
#define FIELDS 5

struct writer {
	const struct page *page; /* NULL: Markdown */
	FILE *out;
};

static const char *judgement(const json_t *row)
{
	if (!json_is_true(json_object_get(row, "bounded")))
		return "open";
	return json_is_true(json_object_get(row, "excludes_one")) ? "differs" : "same";
}

/* Of growths the difference, in percentage points. */
static void ratio_text(const json_t *row, char *out)
{
	static const double points = 100;

	if (json_object_get(row, "ratio"))
		figure_interval(json_number(row, "ratio", NAN), json_number(row, "ratio_low", NAN),
			json_number(row, "ratio_high", NAN), "x", out);
	else if (json_object_get(row, "difference"))
		figure_interval(points * json_number(row, "difference", NAN),
			points * json_number(row, "difference_low", NAN),
			points * json_number(row, "difference_high", NAN), "points", out);
	else
		snprintf(out, FIGURE_SIZE, "-");
}

static void side_text(const json_t *side, const char *unit, char *out)
{
	if (strcmp(unit, "bool") == 0)
		figure_of_unit(json_number(side, "median", NAN), unit, out);
	else
		figure_interval(json_number(side, "median", NAN), json_number(side, "low", NAN),
			json_number(side, "high", NAN), "", out);
}

static void say(const struct writer *writer, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void say(const struct writer *writer, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	if (!text)
		return;
	if (writer->page) {
		page_wrap(writer->page, 0, 4, "%s", text);
		return;
	}
	markdown_put(writer->out, text);
	fputs("\n\n", writer->out);
}

static void blank(const struct writer *writer)
{
	if (writer->page)
		page_blank(writer->page);
}

/* ---- tables ---- */

static const char *field(const json_t *row, size_t index)
{
	return json_string_value(json_array_get(row, index));
}

static void measure_fields(const json_t *table, int *widths)
{
	const json_t *row;
	size_t r;

	memset(widths, 0, FIELDS * sizeof(*widths));
	json_array_foreach (table, r, row) {
		for (size_t f = 0; f < FIELDS; f++) {
			int columns = text_columns(field(row, f));

			if (columns > widths[f])
				widths[f] = columns;
		}
	}
}

static const char *colour_of(bool head, const char *text)
{
	if (head)
		return "2";
	return strcmp(text, "differs") == 0 ? "33" : NULL;
}

/* A row whose figures alone are wider than the page. */
static void put_wrapped(const struct page *page, const json_t *row)
{
	page_wrap(page, 0, 2, "%s", field(row, 0));
	page_wrap(page, 2, 4, "%s | %s | %s%s%s", field(row, 1), field(row, 2), field(row, 3),
		*field(row, 4) ? " | " : "", field(row, 4));
}

static void put_text_table(const struct page *page, const json_t *table)
{
	int widths[FIELDS], figures = FIELDS;
	const json_t *row;
	size_t r;

	measure_fields(table, widths);
	for (size_t f = 1; f < FIELDS; f++)
		figures += widths[f];
	json_array_foreach (table, r, row) {
		struct cell cells[FIELDS];

		for (size_t f = 0; f < FIELDS; f++)
			cells[f] = (struct cell){
				widths[f], field(row, f), colour_of(r == 0, field(row, f))};
		if (widths[0] + figures <= page->width) {
			page_row(page, 0, cells, FIELDS);
			continue;
		}
		if (figures > page->width) {
			put_wrapped(page, row);
			continue;
		}
		if (*field(row, 0))
			page_row(page, 0, cells, 1);
		page_row(page, 2, cells + 1, FIELDS - 1);
	}
}

static void put_markdown_table(const struct writer *writer, const json_t *table)
{
	_cleanup_json_ json_t *escaped = json_array();
	const json_t *row;
	size_t r;

	json_array_foreach (table, r, row) {
		json_t *cells = json_array();

		for (size_t f = 0; f < FIELDS; f++) {
			_cleanup_free_ char *text =
				f ? markdown_figure(field(row, f)) : markdown_text(field(row, f));

			json_array_append_new(cells, json_string(text));
		}
		json_array_append_new(escaped, cells);
	}
	markdown_table(escaped, "lrrrl", writer->out);
}

static void put_table(const struct writer *writer, const json_t *table)
{
	if (json_array_size(table) < 2)
		return;
	if (writer->page)
		put_text_table(writer->page, table);
	else
		put_markdown_table(writer, table);
}

/* ---- parts ---- */

static void put_hosts(const struct writer *writer, const json_t *hosts)
{
	const json_t *one;
	size_t i;

	if (json_is_true(json_object_get(hosts, "comparable")))
		say(writer, "hosts: comparable%s",
			json_array_size(json_object_get(hosts, "differences"))
				? "; these fields differ:"
				: ", no field differs");
	else
		say(writer, "hosts: NOT comparable in absolute values: %s",
			json_text(hosts, "reason"));
	json_array_foreach (json_object_get(hosts, "differences"), i, one)
		say(writer, "  %s: %s | %s", json_text(one, "field"), json_text(one, "a"),
			json_text(one, "b"));
}

/* "null, base_us: 1000 | 4000 (effect, boot)" */
static void put_setting(const struct writer *writer, const json_t *one)
{
	const char *mechanism = json_text(one, "mechanism");
	_cleanup_free_ char *where = format_string("%s", "");
	const json_t *name;
	size_t i;

	json_array_foreach (json_object_get(one, "experiments"), i, name) {
		char *longer =
			format_string("%s%s%s", where, i ? ", " : "", json_string_value(name));

		free(where);
		where = longer;
	}
	say(writer, "  %s%s%s: %s | %s%s%s%s", mechanism, *mechanism ? ", " : "",
		json_text(one, "field"), json_text(one, "a"), json_text(one, "b"),
		*where ? " (" : "", where, *where ? ")" : "");
}

static void put_settings(const struct writer *writer, const json_t *settings)
{
	const json_t *one;
	size_t i;

	if (json_array_size(settings) == 0)
		say(writer, "settings: of what both have run none differs");
	else
		say(writer, "settings that differ: what follows compares them too");
	json_array_foreach (settings, i, one)
		put_setting(writer, one);
}

static void put_claims(const struct writer *writer, const json_t *rows)
{
	static const char *const head[FIELDS] = {"claim", "A", "B", "B over A", ""};
	_cleanup_json_ json_t *table = json_array();
	const json_t *row;
	size_t i;

	markdown_row(table, FIELDS, head);
	json_array_foreach (rows, i, row) {
		bool measured = json_object_get(row, "ratio") || json_object_get(row, "difference");
		char a[FIGURE_SIZE], b[FIGURE_SIZE], ratio[FIGURE_SIZE];
		_cleanup_free_ char *name = NULL;

		figure_measured(json_object_get(row, "test_a"), a);
		figure_measured(json_object_get(row, "test_b"), b);
		ratio_text(row, ratio);
		name = format_string("%s%s", json_text(row, "claim"),
			strcmp(json_text(row, "a"), json_text(row, "b")) ? " (!)" : "");
		markdown_row(table, FIELDS,
			(const char *const[FIELDS]){name, json_text(row, "a"), json_text(row, "b"),
				ratio, measured ? judgement(row) : ""});
		if (measured)
			markdown_row(table, FIELDS, (const char *const[FIELDS]){"", a, b, "", ""});
	}
	put_table(writer, table);
}

static bool same_group(const json_t *a, const json_t *b)
{
	static const char *const fields[] = {"mechanism", "experiment", "variant"};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (!json_equal(json_object_get(a, fields[i]), json_object_get(b, fields[i])))
			return false;
	}
	return true;
}

static void add_metric(json_t *table, const json_t *row)
{
	const char *unit = json_text(row, "unit");
	bool bare = !*unit || strcmp(unit, "bool") == 0;
	_cleanup_free_ char *series = series_name(row);
	_cleanup_free_ char *name =
		format_string("%s%s%s", series, bare ? "" : ", ", bare ? "" : unit);
	char a[FIGURE_SIZE], b[FIGURE_SIZE], ratio[FIGURE_SIZE];

	side_text(json_object_get(row, "a"), unit, a);
	side_text(json_object_get(row, "b"), unit, b);
	ratio_text(row, ratio);
	markdown_row(table, FIELDS, (const char *const[FIELDS]){name, a, b, ratio, judgement(row)});
}

/* One table for each variant of an experiment; the rows come in that order. */
static void put_metrics(const struct writer *writer, const json_t *rows)
{
	static const char *const head[FIELDS] = {"metric", "A", "B", "B over A", ""};
	_cleanup_json_ json_t *table = json_array();

	for (size_t i = 0; i < json_array_size(rows); i++) {
		const json_t *row = json_array_get(rows, i), *next = json_array_get(rows, i + 1);

		if (json_array_size(table) == 0)
			markdown_row(table, FIELDS, head);
		add_metric(table, row);
		if (next && same_group(row, next))
			continue;
		blank(writer);
		say(writer, "%s, %s", json_text(row, "experiment"), json_text(row, "variant"));
		put_table(writer, table);
		json_array_clear(table);
	}
}

void comparison_render(const json_t *comparison, const struct page *page, FILE *out)
{
	const struct writer writer = {page, out};
	const json_t *runs = json_object_get(comparison, "runs"), *run;
	size_t i;

	json_array_foreach (runs, i, run)
		say(&writer, "%s: %s, profile %s, accelerator %s%s", i ? "B" : "A",
			json_text(run, "id"), json_text(run, "profile"),
			json_text(run, "accelerator"),
			json_is_true(json_object_get(run, "altered")) ? ", ALTERED" : "");
	put_hosts(&writer, json_object_get(comparison, "hosts"));
	put_settings(&writer, json_object_get(comparison, "settings"));
	blank(&writer);
	put_claims(&writer, json_object_get(comparison, "claims"));
	put_metrics(&writer, json_object_get(comparison, "metrics"));
	blank(&writer);
	say(&writer, "(!) = another verdict; differs = the intervals at 95 %% do not meet; same = "
		     "they do; open = too few trials for an interval.");
}
