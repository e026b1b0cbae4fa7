/* Tonight against other nights: what may be compared with what. SYNTHETIC readings. */
#include "harness/base/test/support.h"

#include "harness/nightly/judge.h"
#include "harness/record/samples.h"

enum { NIGHTS = 14 };

static json_t *row(const char *baseline, double value)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s?, s:f, s:i, s:{}}", "name", "m",
		"mechanism", "null", "experiment", "effect", "variant", "delay", "metric", "time",
		"better", "less", "baseline", baseline, "value", value, "pairs", 6, "verdict");
}

static json_t *night(int number, json_t *its_row)
{
	char id[8];

	snprintf(id, sizeof(id), "N%02d", number);
	return json_pack("{s:s, s:i, s:[o]}", "id", id, "night", number, "metrics", its_row);
}

/* Nights that read about 1, in ratio to variant "a". */
static void fill(json_t *nights[NIGHTS], struct night_list *list)
{
	for (int i = 0; i < NIGHTS; i++)
		nights[i] = night(i, row("a", 1 + 0.01 * ((i * 7) % 5 - 2)));
	*list = (struct night_list){.nights = nights, .count = NIGHTS};
}

static void drop(struct night_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		json_decref(list->nights[i]);
}

/* The verdict on a night that reads `value` in ratio to `baseline`; new reference. */
static json_t *verdict(
	const struct night_list *before, const char *baseline, double value, json_t *memory)
{
	_cleanup_json_ json_t *tonight = night(NIGHTS, row(baseline, value));
	json_t *rows = json_object_get(tonight, "metrics");
	const struct judging judging = {
		.before = before, .night = tonight, .rows = rows, .memory = memory};

	assert_ok(judge(&judging));
	return json_incref(json_object_get(json_array_get(rows, 0), "verdict"));
}

/* It may be the first one of a change: beside it the next one would stand apart no more. */
static void a_night_that_was_not_judged_is_none_to_compare_with(void **state)
{
	_cleanup_json_ json_t *memory = json_object();
	json_t *nights[NIGHTS];
	struct night_list list;

	(void)state;
	fill(nights, &list);
	json_t *last = json_array_get(json_object_get(nights[NIGHTS - 1], "metrics"), 0);

	json_object_set_new(last, "value", json_real(2));
	json_object_del(last, "verdict");
	_cleanup_json_ json_t *made = verdict(&list, "a", 2, memory);

	assert_string_equal(json_text(made, "state"), "suspect");
	assert_int_equal(json_number(made, "nights", -1), NIGHTS - 1);
	assert_int_equal(judge_nights(&list, last), NIGHTS - 1);
	drop(&list);
}

static void another_baseline_is_another_figure(void **state)
{
	static const char *const others[] = {"b", NULL};
	_cleanup_json_ json_t *memory = json_object();
	json_t *nights[NIGHTS];
	struct night_list list;

	(void)state;
	fill(nights, &list);
	_cleanup_json_ json_t *same = verdict(&list, "a", 2, memory);

	assert_string_equal(json_text(same, "state"), "suspect");
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		_cleanup_json_ json_t *other = verdict(&list, others[i], 2, memory);
		_cleanup_json_ json_t *its_row = row(others[i], 2);

		assert_string_equal(json_text(other, "state"), "learning");
		assert_int_equal(json_number(other, "nights", -1), 0);
		assert_int_equal(judge_nights(&list, its_row), 0);
	}
	drop(&list);
}

/* A change that was told of the ratio to one variant stands for that ratio only, and is not
 * forgotten in a night that has another. */
static void memory_is_of_a_figure(void **state)
{
	_cleanup_json_ json_t *told = json_pack("{s:{s:i, s:f, s:f, s:f, s:f}}", "changed", "night",
		3, "before", 0.5, "after", 1.0, "usual_low", 0.49, "usual_high", 0.51);
	_cleanup_json_ json_t *its_row = row("a", 1);
	_cleanup_free_ char *key = judge_memory_key(its_row);
	_cleanup_json_ json_t *memory = json_pack("{s:O}", key, told);
	json_t *nights[NIGHTS];
	struct night_list list;

	(void)state;
	fill(nights, &list);
	_cleanup_json_ json_t *other = verdict(&list, "b", 1, memory);

	assert_string_equal(json_text(other, "state"), "learning");
	_cleanup_json_ json_t *same = verdict(&list, "a", 1, memory);

	assert_string_equal(json_text(same, "state"), "confirmed");
	assert_false(json_is_true(json_object_get(same, "alert")));
	drop(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_night_that_was_not_judged_is_none_to_compare_with),
		cmocka_unit_test(another_baseline_is_another_figure),
		cmocka_unit_test(memory_is_of_a_figure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
