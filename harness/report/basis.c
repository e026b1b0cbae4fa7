/* What a claim was decided by: see basis.h. Must never show a reading that was not counted. */
#include "harness/report/basis.h"

#include "harness/base/cleanup.h"
#include "harness/record/coordinates.h"
#include "harness/record/samples.h"
#include "harness/report/view.h"

#include <string.h>
#include <strings.h>

static struct source source_of(const json_t *record, const json_t *paper, const char *experiment)
{
	return (struct source){
		record, json_text(paper, "mechanism"), experiment, record_seed(record)};
}

static json_t *readings_json(const struct readings *readings)
{
	json_t *list = json_array();

	for (size_t i = 0; i < readings->count; i++)
		json_array_append_new(
			list, json_pack("{s:O, s:I, s:f}", "trial",
				      json_object_get(readings->items[i].trial, "index"), "pair",
				      readings->items[i].pair, "value", readings->items[i].value));
	return list;
}

static void add_selector(
	const struct source *source, const char *role, const json_t *selector, json_t *selectors)
{
	static const char *const fields[] = {"variant", "metric", "at", "parameters"};
	_cleanup_json_ json_t *settled = NULL;
	_cleanup_readings_ struct readings readings = {0};
	json_t *shown;

	if (!json_is_object(selector))
		return;
	settled = selector_settle(source, selector);
	readings_collect(source, settled, true, &readings);
	shown = json_pack("{s:s, s:o, s:s*}", "role", role, "readings", readings_json(&readings),
		"unit", readings.unit);
	for (size_t f = 0; f < ARRAY_SIZE(fields); f++)
		json_object_set(shown, fields[f], json_object_get(settled, fields[f]));
	json_array_append_new(selectors, shown);
}

static json_t *half_of(const json_t *reading)
{
	return json_pack("{s:O, s:O}", "trial", json_object_get(reading, "trial"), "value",
		json_object_get(reading, "value"));
}

/* Both lists ascend by pair. */
static json_t *ratios_of(const json_t *of, const json_t *to)
{
	const json_t *a = json_object_get(of, "readings"), *b = json_object_get(to, "readings");
	json_t *ratios = json_array();
	size_t i = 0, j = 0;

	while (i < json_array_size(a) && j < json_array_size(b)) {
		const json_t *one = json_array_get(a, i), *two = json_array_get(b, j);
		json_int_t left = json_integer_value(json_object_get(one, "pair"));
		json_int_t right = json_integer_value(json_object_get(two, "pair"));
		double divisor = json_number(two, "value", 0);

		if (left == right && divisor > 0)
			json_array_append_new(
				ratios, json_pack("{s:I, s:f, s:o, s:o}", "pair", left, "ratio",
						json_number(one, "value", 0) / divisor, "of",
						half_of(one), "to", half_of(two)));
		i += left <= right;
		j += right <= left;
	}
	return ratios;
}

static json_t *basis_of_test(const json_t *record, const json_t *paper, const json_t *test)
{
	struct source source = source_of(record, paper, json_text(test, "experiment"));
	_cleanup_json_ json_t *settled = coordinates_settle_test(&source, test);
	json_t *selectors = json_array();
	json_t *basis = json_pack(
		"{s:s, s:o}", "experiment", json_text(test, "experiment"), "selectors", selectors);
	const json_t *of = json_object_get(settled, "of"), *to = json_object_get(settled, "to"),
		     *one;
	size_t i;

	add_selector(&source, "of", of, selectors);
	add_selector(&source, "to", to, selectors);
	json_array_foreach (json_object_get(settled, "ascending"), i, one)
		add_selector(&source, "ascending", one, selectors);
	if (json_is_object(of) && json_is_object(to))
		json_object_set_new(basis, "ratios",
			ratios_of(json_array_get(selectors, 0), json_array_get(selectors, 1)));
	return basis;
}

json_t *claim_basis(const json_t *record, const json_t *paper, const json_t *claim)
{
	json_t *list = json_array();
	const json_t *test;
	size_t i;

	json_array_foreach (json_object_get(claim, "tests"), i, test)
		json_array_append_new(list, basis_of_test(record, paper, test));
	return list;
}

static bool basis_selects(
	const json_t *record, const json_t *paper, const json_t *basis, const json_t *trial)
{
	const json_t *test, *selector;
	size_t t, s;

	json_array_foreach (basis, t, test) {
		struct source source = source_of(record, paper, json_text(test, "experiment"));

		json_array_foreach (json_object_get(test, "selectors"), s, selector) {
			if (trial_selected(trial, &source, selector))
				return true;
		}
	}
	return false;
}

json_t *basis_trials(const json_t *record, const json_t *paper, const json_t *basis)
{
	json_t *trials = json_array();
	json_t *trial;
	size_t i;

	json_array_foreach (json_object_get(record, "trials"), i, trial) {
		if (basis_selects(record, paper, basis, trial))
			json_array_append(trials, trial);
	}
	return trials;
}

json_t *basis_comparability(const json_t *record, const json_t *paper)
{
	const json_t *host = json_object_get(record, "host"),
		     *wanted = json_object_get(paper, "host");
	const char *accelerator = json_text(json_object_get(host, "accelerator"), "name");
	json_t *fields = json_array();

	if (json_object_get(wanted, "accelerator"))
		json_array_append_new(
			fields, json_pack("{s:s, s:s, s:s, s:b}", "field", "accelerator", "paper",
					"hardware", "here", *accelerator ? accelerator : "unknown",
					"ok", strcmp(accelerator, "kvm") == 0));
	if (json_object_get(wanted, "cpu"))
		json_array_append_new(fields,
			json_pack("{s:s, s:s, s:s, s:b}", "field", "cpu", "paper",
				json_text(wanted, "cpu"), "here", host_field(host, "cpu"), "ok",
				strcasestr(host_field(host, "cpu"), json_text(wanted, "cpu")) !=
					NULL));
	return fields;
}
