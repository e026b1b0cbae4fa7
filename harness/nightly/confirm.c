/* Fresh ABBA trials of what is suspected, in the same night: a suspect variant and its baseline,
 * and an A/A of the same experiment beside them. */
#include "harness/nightly/night_internal.h"
#include "harness/record/samples.h"

#include <string.h>

/* Eight pairs: two more than the least that decide anything at 95 % (stats/pairs.h). */
#define LEAST_BLOCKS 4
#define LEAST_AA_BLOCKS 3

enum { MOST_VARIANTS = 64 };

static void add_name(const char *names[MOST_VARIANTS + 1], size_t *count, const char *name)
{
	for (size_t i = 0; i < *count; i++) {
		if (strcmp(names[i], name) == 0)
			return;
	}
	if (*count < MOST_VARIANTS)
		names[(*count)++] = name;
}

/* The suspects' variants, and those that they are compared with. */
static void variants_of(const json_t *rows, const char *names[MOST_VARIANTS + 1])
{
	size_t count = 0, i;
	const json_t *row;

	json_array_foreach (rows, i, row) {
		add_name(names, &count, json_text(row, "variant"));
		if (*json_text(row, "baseline"))
			add_name(names, &count, json_text(row, "baseline"));
	}
	names[count] = NULL;
}

static json_t *by_name(const json_t *record, const json_t *aa_record)
{
	_cleanup_json_ json_t *rows = night_readings(record, aa_record);
	json_t *found = json_object(), *row;
	size_t i;

	json_array_foreach (rows, i, row) {
		json_object_set(row, "run", json_object_get(record, "id"));
		if (aa_record)
			json_object_set(row, "aa_run", json_object_get(aa_record, "id"));
		json_object_set(found, json_text(row, "name"), row);
	}
	return found;
}

struct error *night_confirm(void *context, const json_t *rows, json_t **fresh, char **why_not)
{
	const struct confirming *confirming = context;
	const json_t *first = json_array_get(rows, 0);
	const char *names[MOST_VARIANTS + 1], *baseline = json_text(first, "baseline");
	struct step step = {
		.purpose = confirming->drill ? "drill-confirm" : "confirm",
		.mechanism = mechanism_find(json_text(first, "mechanism")),
		.experiment = json_text(first, "experiment"),
		.only_variants = names,
		.least_blocks = LEAST_BLOCKS,
		.handicap = confirming->handicap,
		.share = 0.6,
	};
	struct step aa = {
		.purpose = confirming->drill ? "drill-confirm-aa" : "confirm-aa",
		.mechanism = step.mechanism,
		.experiment = step.experiment,
		.only_variant = *baseline ? baseline : json_text(first, "variant"),
		.least_blocks = LEAST_AA_BLOCKS,
		.aa = true,
		.share = 0.5,
	};
	_cleanup_json_ json_t *record = NULL;
	_cleanup_json_ json_t *aa_record = NULL;
	_cleanup_free_ char *no_aa = NULL;

	variants_of(rows, names);
	try_(night_step(confirming->night, &step, &record, why_not));
	if (!record)
		return NULL;
	try_(night_step(confirming->night, &aa, &aa_record, &no_aa));
	if (no_aa)
		night_note(confirming->night, "%sfresh trials of %s %s have no A/A beside them: %s",
			confirming->drill ? "DRILL: " : "", step.mechanism->name, step.experiment,
			no_aa);
	*fresh = by_name(record, aa_record);
	return NULL;
}
