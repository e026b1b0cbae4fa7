/* What "largest" and "smallest" are in a record: see coordinates.h. Must never settle on a value
 * that one side of a comparison has no counted reading for. */
#include "harness/record/coordinates.h"

#include <string.h>

static const char *const words[] = {"largest", "smallest"};

static bool is_word(const json_t *value, const char *word)
{
	return json_is_string(value) && strcmp(json_string_value(value), word) == 0;
}

/* The coordinates that are given as values. */
static json_t *fixed_part(const json_t *at)
{
	json_t *fixed = json_object(), *value;
	const char *key;

	json_object_foreach ((json_t *)at, key, value) {
		if (!is_word(value, words[0]) && !is_word(value, words[1]))
			json_object_set(fixed, key, value);
	}
	return fixed;
}

static bool holds_number(const json_t *numbers, double value)
{
	const json_t *number;
	size_t i;

	json_array_foreach (numbers, i, number) {
		if (json_number_value(number) == value)
			return true;
	}
	return false;
}

/* Appends the values of `key` at which the trial has a reading. */
static void add_values(
	const json_t *trial, const char *metric, const json_t *fixed, const char *key, json_t *into)
{
	const json_t *sample;
	double ignored;
	size_t i;

	json_array_foreach (json_object_get(trial, "samples"), i, sample) {
		const json_t *at = json_object_get(sample, "at");
		const json_t *value = json_object_get(at, key);

		if (strcmp(json_text(sample, "metric"), metric) == 0 && json_is_number(value) &&
			json_has_part(at, fixed) && sample_value(sample, &ignored) &&
			!holds_number(into, json_number_value(value)))
			json_array_append(into, (json_t *)value);
	}
}

static void add_values_of_variant(const struct source *source, const json_t *selector,
	const json_t *fixed, const char *key, json_t *into)
{
	const json_t *trial;
	size_t i;

	json_array_foreach (json_object_get(source->record, "trials"), i, trial) {
		if (trial_selected(trial, source, selector) && trial_counts(trial, NULL))
			add_values(trial, json_text(selector, "metric"), fixed, key, into);
	}
}

/* All values of `key` at which the selector, or one of its "best_of", has a counted reading. */
static json_t *values_of(const struct source *source, const json_t *selector, const char *key)
{
	_cleanup_json_ json_t *fixed = fixed_part(json_object_get(selector, "at"));
	_cleanup_json_ json_t *one = json_copy((json_t *)selector);
	json_t *values = json_array();
	const json_t *name;
	size_t i;

	json_array_foreach (json_object_get(selector, "best_of"), i, name) {
		json_object_set(one, "variant", (json_t *)name);
		add_values_of_variant(source, one, fixed, key, values);
	}
	if (!json_object_get(selector, "best_of"))
		add_values_of_variant(source, selector, fixed, key, values);
	return values;
}

static json_t *intersection(const json_t *a, const json_t *b)
{
	json_t *both = json_array();
	const json_t *value;
	size_t i;

	json_array_foreach (a, i, value) {
		if (holds_number(b, json_number_value(value)))
			json_array_append(both, (json_t *)value);
	}
	return both;
}

static const json_t *extreme(const json_t *values, bool largest)
{
	const json_t *best = json_array_get(values, 0), *value;
	size_t i;

	json_array_foreach (values, i, value) {
		if (largest ? json_number_value(value) > json_number_value(best)
			    : json_number_value(value) < json_number_value(best))
			best = value;
	}
	return best;
}

static bool asks(const json_t *selector, const char *key, const char *word)
{
	return is_word(json_object_get(json_object_get(selector, "at"), key), word);
}

static void settle_key(const struct source *source, json_t *const selectors[], size_t count,
	const char *key, const char *word)
{
	_cleanup_json_ json_t *common = NULL;
	const json_t *chosen;

	for (size_t i = 0; i < count; i++) {
		json_t *values, *both;

		if (!asks(selectors[i], key, word))
			continue;
		values = values_of(source, selectors[i], key);
		both = common ? intersection(common, values) : json_incref(values);
		json_decref(values);
		json_decref(common);
		common = both;
	}
	chosen = extreme(common, strcmp(word, words[0]) == 0);
	for (size_t i = 0; chosen && i < count; i++) {
		if (asks(selectors[i], key, word))
			json_object_set(json_object_get(selectors[i], "at"), key, (json_t *)chosen);
	}
}

void coordinates_settle(const struct source *source, json_t *const selectors[], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		/* The keys are of a copy: settling changes the original under the loop. */
		_cleanup_json_ json_t *at = json_copy(json_object_get(selectors[i], "at"));
		const char *key;
		json_t *value;

		json_object_foreach (at, key, value) {
			for (size_t w = 0; w < ARRAY_SIZE(words); w++) {
				if (is_word(value, words[w]))
					settle_key(source, selectors, count, key, words[w]);
			}
		}
	}
}

json_t *coordinates_settle_test(const struct source *source, const json_t *test)
{
	enum { MOST_SELECTORS = 32 };
	json_t *settled = json_deep_copy(test), *one;
	json_t *selectors[MOST_SELECTORS] = {
		json_object_get(settled, "of"), json_object_get(settled, "to")};
	size_t count = 2, i;

	json_array_foreach (json_object_get(settled, "ascending"), i, one) {
		if (count < MOST_SELECTORS)
			selectors[count++] = one;
	}
	coordinates_settle(source, selectors, count);
	return settled;
}
