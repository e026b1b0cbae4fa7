/* What a paper's tables and tests read: see selectors.h. */
#include "harness/report/selectors.h"

#include "harness/base/cleanup.h"
#include "harness/record/samples.h"

#include <strings.h>

static void add_selector(
	json_t *list, const json_t *experiment, const json_t *selector, bool direct)
{
	const json_t *name;
	size_t i;

	if (!json_is_object(selector))
		return;
	json_array_foreach (json_object_get(selector, "best_of"), i, name) {
		json_t *one = json_copy((json_t *)selector);

		json_object_set(one, "variant", (json_t *)name);
		json_object_del(one, "best_of");
		add_selector(list, experiment, one, direct);
		json_decref(one);
	}
	if (!json_object_get(selector, "best_of"))
		json_array_append_new(list, json_pack("{s:O, s:O, s:b}", "experiment", experiment,
						    "selector", selector, "direct", (int)direct));
}

static void add_selectors_of(json_t *list, const json_t *reading)
{
	const json_t *experiment = json_object_get(reading, "experiment"), *one;
	size_t i;

	if (!experiment)
		return;
	if (json_object_get(reading, "metric"))
		add_selector(list, experiment, reading, true);
	add_selector(
		list, experiment, json_object_get(reading, "of"), !json_object_get(reading, "to"));
	add_selector(list, experiment, json_object_get(reading, "to"), false);
	json_array_foreach (json_object_get(reading, "ascending"), i, one)
		add_selector(list, experiment, one, false);
}

json_t *table_selectors(const json_t *table)
{
	json_t *list = json_array();
	const json_t *row, *cell, *one;
	size_t r, c, i;

	json_array_foreach (json_object_get(table, "rows"), r, row) {
		json_array_foreach (json_object_get(row, "cells"), c, cell) {
			json_array_foreach (json_object_get(cell, "ours"), i, one)
				add_selectors_of(list, one);
		}
	}
	return list;
}

json_t *claims_selectors(const json_t *paper, const char *id)
{
	json_t *list = json_array();
	const json_t *claim, *one;
	size_t c, i;

	json_array_foreach (json_object_get(paper, "claims"), c, claim) {
		if (id && strcasecmp(json_text(claim, "id"), id) != 0)
			continue;
		json_array_foreach (json_object_get(claim, "tests"), i, one)
			add_selectors_of(list, one);
	}
	return list;
}

json_t *paper_selectors(const json_t *paper)
{
	_cleanup_json_ json_t *claims = claims_selectors(paper, NULL);
	json_t *list = json_array();
	const json_t *table;
	size_t i;

	json_array_foreach (json_object_get(paper, "tables"), i, table) {
		_cleanup_json_ json_t *of_table = table_selectors(table);

		json_array_extend(list, of_table);
	}
	json_array_extend(list, claims);
	return list;
}

bool selectors_show(const json_t *selectors, const json_t *series)
{
	const json_t *one;
	size_t i;

	json_array_foreach (selectors, i, one) {
		const json_t *selector = json_object_get(one, "selector");
		const json_t *variant = json_object_get(selector, "variant");

		if (json_is_true(json_object_get(one, "direct")) &&
			json_equal(json_object_get(one, "experiment"),
				json_object_get(series, "experiment")) &&
			json_equal(json_object_get(selector, "metric"),
				json_object_get(series, "metric")) &&
			(!variant || json_equal(variant, json_object_get(series, "variant"))) &&
			json_has_part(
				json_object_get(series, "at"), json_object_get(selector, "at")))
			return true;
	}
	return false;
}
