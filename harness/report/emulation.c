/* What of a table is emulated: see emulation.h. Must never tell it of a table that has no such
 * trial. */
#include "harness/report/emulation.h"

#include "harness/base/fs.h"
#include "harness/record/samples.h"
#include "harness/report/view.h"

#include <string.h>

static bool is_concerned(
	const json_t *record, const char *mechanism, const json_t *selectors, const json_t *trial)
{
	const json_t *one;
	size_t i;

	if (!selectors)
		return true;
	json_array_foreach (selectors, i, one) {
		const struct source source = {record, mechanism, json_text(one, "experiment"), 0};

		if (trial_selected(trial, &source, json_object_get(one, "selector")))
			return true;
	}
	return false;
}

/* "TEXT (variant, variant)"; caller frees. */
static char *with_variants(const char *text, const json_t *variants)
{
	char *made = format_string("%s", text);
	const char *name;
	const json_t *unused;
	bool first = true;

	json_object_foreach ((json_t *)variants, name, unused) {
		char *longer = format_string("%s%s%s", made, first ? " (" : ", ", name);

		free(made);
		made = longer;
		first = false;
	}
	char *closed = format_string("%s)", made);

	free(made);
	return closed;
}

/* Notes that a text holds for a variant: {text: {variant: true}}. */
static void note(json_t *texts, const char *text, const char *variant)
{
	json_t *variants = json_object_get(texts, text);

	if (!variants) {
		variants = json_object();
		json_object_set_new(texts, text, variants);
	}
	json_object_set_new(variants, variant, json_true());
}

static json_t *list_of(const char *cpu, const json_t *texts, size_t variants)
{
	json_t *list = json_array();
	const json_t *whose;
	const char *text;

	if (*cpu) {
		_cleanup_free_ char *first = format_string("CPU by %s", cpu);

		json_array_append_new(list, json_string(first));
	}
	json_object_foreach ((json_t *)texts, text, whose) {
		_cleanup_free_ char *full = json_object_size(whose) == variants
						    ? format_string("%s", text)
						    : with_variants(text, whose);

		json_array_append_new(list, json_string(full));
	}
	return list;
}

json_t *emulation_of(const json_t *record, const char *mechanism, const json_t *selectors)
{
	const char *accelerator = host_field(json_object_get(record, "host"), "accelerator");
	_cleanup_json_ json_t *texts = json_object();
	_cleanup_json_ json_t *variants = json_object();
	const json_t *trial;
	size_t i;

	json_array_foreach (json_object_get(record, "trials"), i, trial) {
		const char *text = json_text(json_object_get(trial, "parameters"), "emulated");

		if (!is_concerned(record, mechanism, selectors, trial))
			continue;
		json_object_set_new(variants, json_text(trial, "variant"), json_true());
		if (*text)
			note(texts, text, json_text(trial, "variant"));
	}
	return list_of(
		json_object_size(variants) && strcmp(accelerator, "kvm") != 0 ? accelerator : "",
		texts, json_object_size(variants));
}

char *emulation_text(const json_t *part)
{
	char *list = format_string("%s", "");
	const json_t *text;
	size_t i;

	json_array_foreach (json_object_get(part, "emulated"), i, text) {
		char *longer =
			format_string("%s%s%s", list, i ? "; " : "", json_string_value(text));

		free(list);
		list = longer;
	}
	return list;
}
