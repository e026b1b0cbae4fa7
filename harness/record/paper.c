/* The papers' published values: see paper.h. Must never invent a number: what is not in the file is
 * computed from what is, or absent. */
#include "harness/record/paper.h"

#include "harness/base/embedded.h"
#include "harness/base/fs.h"
#include "harness/base/nearest.h"
#include "harness/record/schema.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

struct paper_name {
	const char *id;
	const char *mechanism;
};

static const struct paper_name papers[] = {
	{"A", "libdedup"},
	{"B", "balloon"},
	{"C", "shmipc"},
	{"D", "zerocopy"},
	{"E", "peacemaker"},
	{"null", "null"},
};

/* A published number or range; both ends are equal for a number. */
struct span {
	double low, high;
};

const char *paper_id_at(size_t index)
{
	return index < ARRAY_SIZE(papers) ? papers[index].id : NULL;
}

const char *paper_id_of_mechanism(const char *mechanism)
{
	for (size_t i = 0; i < ARRAY_SIZE(papers); i++) {
		if (strcmp(papers[i].mechanism, mechanism) == 0)
			return papers[i].id;
	}
	return NULL;
}

json_t *paper_claim(const json_t *paper, const char *claim_id)
{
	json_t *claim;
	size_t i;

	json_array_foreach (json_object_get(paper, "claims"), i, claim) {
		if (strcasecmp(json_string_value(json_object_get(claim, "id")), claim_id) == 0)
			return claim;
	}
	return NULL;
}

json_t *paper_cell(const json_t *paper, const char *cell_id)
{
	json_t *table, *row, *cell;
	size_t t, r, c;

	json_array_foreach (json_object_get(paper, "tables"), t, table) {
		json_array_foreach (json_object_get(table, "rows"), r, row) {
			json_array_foreach (json_object_get(row, "cells"), c, cell) {
				const char *id = json_string_value(json_object_get(cell, "id"));

				if (strcmp(id, cell_id) == 0)
					return cell;
			}
		}
	}
	return NULL;
}

static bool span_of(const json_t *object, struct span *span)
{
	const json_t *value = json_object_get(object, "value");
	const json_t *low = json_object_get(object, "low");
	const json_t *high = json_object_get(object, "high");

	if (json_is_number(value))
		*span = (struct span){json_number_value(value), json_number_value(value)};
	else if (json_is_number(low) && json_is_number(high))
		*span = (struct span){json_number_value(low), json_number_value(high)};
	else
		return false;
	return true;
}

static struct error *span_of_cell(
	const json_t *paper, const json_t *name, struct span *span, const char **unit)
{
	const char *id = json_string_value(name);
	const json_t *cell = paper_cell(paper, id);

	if (!cell)
		return error_new(ERROR_USAGE, "it refers to cell \"%s\", which no table has", id);
	if (!span_of(cell, span))
		return error_new(ERROR_USAGE, "cell \"%s\" has neither a value nor a range", id);
	*unit = json_string_value(json_object_get(cell, "unit"));
	return NULL;
}

/* Writes the numbers that `published` refers to into it. `as_ratio`: per cent become a share. */
static struct error *resolve(const json_t *paper, json_t *published, bool as_ratio)
{
	const json_t *cell = json_object_get(published, "cell");
	const json_t *less = json_object_get(published, "less");
	const json_t *over = json_object_get(published, "over");
	const char *unit = "", *other_unit;
	struct span span = {0}, other = {0};

	if (!cell)
		return NULL;
	try_(span_of_cell(paper, cell, &span, &unit));
	if (less) {
		try_(span_of_cell(paper, less, &other, &other_unit));
		span = (struct span){span.low - other.high, span.high - other.low};
	}
	if (over) {
		try_(span_of_cell(paper, over, &other, &other_unit));
		if (other.low <= 0)
			return error_new(ERROR_USAGE,
				"it divides by cell \"%s\", which is not positive",
				json_string_value(over));
		span = (struct span){span.low / other.high, span.high / other.low};
	} else if (as_ratio && strcmp(unit, "%") == 0) {
		span = (struct span){span.low / 100, span.high / 100};
	}
	if (span.low == span.high) {
		json_object_set_new(published, "value", json_real(span.low));
	} else {
		json_object_set_new(published, "low", json_real(span.low));
		json_object_set_new(published, "high", json_real(span.high));
	}
	if (!json_object_get(published, "unit"))
		json_object_set_new(published, "unit", json_string(over ? "x" : unit));
	return NULL;
}

static struct error *resolve_claim(const json_t *paper, json_t *claim)
{
	static const char *const places[] = {"published", "at_most", "at_least"};
	json_t *test;
	size_t i;

	try_(resolve(paper, json_object_get(claim, "published"), false));
	json_array_foreach (json_object_get(claim, "tests"), i, test) {
		for (size_t j = 0; j < ARRAY_SIZE(places); j++)
			try_(resolve(paper, json_object_get(test, places[j]),
				json_object_get(test, "to") != NULL));
	}
	return NULL;
}

static struct error *resolve_all(json_t *paper)
{
	json_t *claim;
	size_t i;

	json_array_foreach (json_object_get(paper, "claims"), i, claim) {
		struct error *err = resolve_claim(paper, claim);

		if (err)
			return error_prefix(
				err, "claim %s", json_string_value(json_object_get(claim, "id")));
	}
	return NULL;
}

struct error *paper_parse(const char *name, const char *text, size_t size, json_t **paper)
{
	_cleanup_json_ json_t *parsed = NULL;
	struct error *err;
	json_error_t why;

	parsed = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
	if (!parsed)
		return error_new(ERROR_USAGE, "paper %s: line %d: %s", name, why.line, why.text);
	err = schema_check("paper", parsed);
	if (!err)
		err = resolve_all(parsed);
	if (err)
		return error_prefix(err, "paper %s", name);
	*paper = take_ptr(parsed);
	return NULL;
}

static struct error *unknown_paper(const char *id)
{
	struct error *err = error_new(ERROR_USAGE, "there is no paper '%s'", id);

	return error_hint(err, "the papers are A, B, C, D, E and null (the harness itself)");
}

static struct error *load_embedded(const char *id, json_t **paper)
{
	_cleanup_free_ char *path = format_string("papers/%s.json", id);
	const struct embedded_file *file = embedded_find(path);

	if (!file)
		return error_new(ERROR_INTERNAL, "%s is not in the binary", path);
	return paper_parse(id, file->data, file->size, paper);
}

struct error *paper_load(const char *id, const json_t **paper)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static json_t *loaded[ARRAY_SIZE(papers)];
	struct error *err = NULL;
	size_t i = 0;

	while (i < ARRAY_SIZE(papers) && strcasecmp(papers[i].id, id) != 0)
		i++;
	if (i == ARRAY_SIZE(papers))
		return unknown_paper(id);
	pthread_mutex_lock(&lock);
	if (!loaded[i])
		err = load_embedded(papers[i].id, &loaded[i]);
	if (!err)
		*paper = loaded[i];
	pthread_mutex_unlock(&lock);
	return err;
}

struct error *paper_find_claim(const char *claim_id, const char **paper_id)
{
	const char *names[256];
	const char *near;
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(papers); i++) {
		const json_t *paper, *claim;
		size_t c;

		try_(paper_load(papers[i].id, &paper));
		if (paper_claim(paper, claim_id)) {
			*paper_id = papers[i].id;
			return NULL;
		}
		json_array_foreach (json_object_get(paper, "claims"), c, claim) {
			if (count < ARRAY_SIZE(names))
				names[count++] = json_string_value(json_object_get(claim, "id"));
		}
	}
	near = nearest_name(claim_id, names, count);
	struct error *err = error_new(ERROR_USAGE, "there is no claim '%s'", claim_id);

	return near ? error_hint(err, "did you mean %s?", near)
		    : error_hint(err, "fleetlab list shows the claims of every paper");
}
