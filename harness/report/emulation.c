/* What of a table is emulated: see emulation.h. Must never tell it of a table that has no such
 * trial. */
#include "harness/report/emulation.h"

#include "harness/base/fs.h"
#include "harness/record/samples.h"
#include "harness/report/view.h"

#include <glib.h>
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
	GString *made = g_string_new(text);
	const char *name, *between = " (";
	const json_t *unused;

	json_object_foreach ((json_t *)variants, name, unused) {
		g_string_append(made, between);
		g_string_append(made, name);
		between = ", ";
	}
	g_string_append(made, ")");
	return g_string_free(made, FALSE);
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

/* What emulates the CPU of so many variants; "" for nothing. */
static const char *cpu_of(const json_t *record, size_t variants)
{
	const char *accelerator = host_field(json_object_get(record, "host"), "accelerator");

	return variants && strcmp(accelerator, "kvm") != 0 ? accelerator : "";
}

json_t *emulation_of(const json_t *record, const char *mechanism, const json_t *selectors)
{
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
		cpu_of(record, json_object_size(variants)), texts, json_object_size(variants));
}

static char *key_of(const char *experiment, const char *variant)
{
	return format_string("%s\n%s", experiment, variant);
}

json_t *emulation_by_variant(const json_t *record, const char *mechanism)
{
	json_t *by_variant = json_object();
	const json_t *trial;
	size_t i;

	json_array_foreach (json_object_get(record, "trials"), i, trial) {
		const char *text = json_text(json_object_get(trial, "parameters"), "emulated");
		_cleanup_free_ char *key =
			key_of(json_text(trial, "experiment"), json_text(trial, "variant"));
		json_t *texts = json_object_get(by_variant, key);

		if (*json_text(trial, "arm") ||
			strcmp(json_text(trial, "mechanism"), mechanism) != 0)
			continue;
		if (!texts) {
			texts = json_object();
			json_object_set_new(by_variant, key, texts);
		}
		if (*text)
			json_object_set_new(texts, text, json_true());
	}
	return by_variant;
}

json_t *emulation_of_variants(
	const json_t *record, const json_t *by_variant, const char *experiment, const json_t *names)
{
	_cleanup_json_ json_t *texts = json_object();
	const json_t *name;
	size_t i, count = 0;

	json_array_foreach (names, i, name) {
		_cleanup_free_ char *key = key_of(experiment, json_string_value(name));
		json_t *its = json_object_get(by_variant, key), *unused;
		const char *text;

		count += its != NULL;
		json_object_foreach (its, text, unused)
			note(texts, text, json_string_value(name));
	}
	return list_of(cpu_of(record, count), texts, count);
}

char *emulation_text(const json_t *part)
{
	GString *list = g_string_new("");
	const json_t *text;
	size_t i;

	json_array_foreach (json_object_get(part, "emulated"), i, text) {
		g_string_append(list, i ? "; " : "");
		g_string_append(list, json_string_value(text));
	}
	return g_string_free(list, FALSE);
}
