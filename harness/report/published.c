/* A paper's published tables: see published.h. */
#include "harness/report/published.h"

#include "harness/base/fs.h"
#include "harness/record/samples.h"

bool published_cell_has(const json_t *cell, const char *key)
{
	const json_t *ours;
	size_t i;

	json_array_foreach (json_object_get(cell, "ours"), i, ours) {
		if (!key || json_object_get(ours, key))
			return true;
	}
	return false;
}

bool published_has(const json_t *table, const char *key)
{
	const json_t *row, *cell;
	size_t r, c;

	json_array_foreach (json_object_get(table, "rows"), r, row) {
		json_array_foreach (json_object_get(row, "cells"), c, cell) {
			if (published_cell_has(cell, key))
				return true;
		}
	}
	return false;
}

char *published_unmeasured(const json_t *paper)
{
	char *list = format_string("%s", "");
	const json_t *table;
	size_t i;

	json_array_foreach (json_object_get(paper, "tables"), i, table) {
		if (!published_has(table, NULL) || published_has(table, "median"))
			continue;
		char *longer = format_string("%s%s%s (%s)", list, *list ? ", " : "",
			json_text(table, "id"), json_text(table, "title"));

		free(list);
		list = longer;
	}
	return list;
}
