/* Every mechanism's descriptor fits itself and its paper: no name that leads nowhere. */
#include "harness/base/test/support.h"
#include "harness/record/paper.h"
#include "mechanisms/mechanism.h"

static void assert_presets(const struct mechanism *mechanism, const struct preset *presets)
{
	for (; presets && presets->param; presets++) {
		const struct param *param = mechanism_param(mechanism, presets->param);

		if (!param)
			fail_msg(
				"%s presets %s, which it has not", mechanism->name, presets->param);
		assert_ok(param_check(mechanism, param, presets->value));
	}
}

static void names_are_found_and_unique(void **state)
{
	(void)state;
	size_t count = 0;

	for (const struct mechanism *m; (m = mechanism_at(count)); count++) {
		assert_ptr_equal(mechanism_find(m->name), m);
		for (const struct param *p = m->params; p->name; p++)
			assert_ptr_equal(mechanism_param(m, p->name), p);
		for (const struct metric *p = m->metrics; p->name; p++)
			assert_ptr_equal(mechanism_metric(m, p->name), p);
		for (const struct variant *p = m->variants; p->name; p++)
			assert_ptr_equal(mechanism_variant(m, p->name), p);
		for (const struct experiment *p = m->experiments; p->name; p++)
			assert_ptr_equal(mechanism_experiment(m, p->name), p);
	}
	assert_true(count >= 2);
	assert_null(mechanism_find("no-such-mechanism"));
	assert_null(mechanism_param(mechanism_at(0), "no-such-parameter"));
}

static void presets_are_values_of_declared_parameters(void **state)
{
	(void)state;
	const struct mechanism *m;

	for (size_t i = 0; (m = mechanism_at(i)); i++) {
		for (const struct param *p = m->params; p->name; p++)
			assert_ok(param_check(m, p, p->initial));
		for (const struct variant *v = m->variants; v->name; v++)
			assert_presets(m, v->presets);
		for (const struct experiment *e = m->experiments; e->name; e++) {
			assert_presets(m, e->presets);
			for (int profile = 0; profile < PROFILE_COUNT; profile++)
				assert_presets(m, e->sizes[profile].presets);
		}
	}
}

static void experiments_can_run(void **state)
{
	(void)state;
	const struct mechanism *m;

	for (size_t i = 0; (m = mechanism_at(i)); i++) {
		assert_non_null(m->fleet);
		assert_non_null(m->measure);
		for (const struct experiment *e = m->experiments; e->name; e++) {
			int blocks = 0;

			assert_true(e->trial_s > 0 && e->deadline_s > e->trial_s);
			assert_non_null(e->variants[0]);
			for (size_t v = 0; e->variants[v]; v++)
				assert_non_null(mechanism_variant(m, e->variants[v]));
			for (int profile = 0; profile < PROFILE_COUNT; profile++)
				blocks += e->sizes[profile].blocks;
			assert_true(blocks > 0);
		}
	}
}

/* A selector of a claim: {"variant", "metric"} or {"best_of": […], "metric"}. */
static void check_selector(
	const struct mechanism *m, const struct experiment *e, const json_t *selector)
{
	const char *variant = json_string_value(json_object_get(selector, "variant"));
	const char *metric = json_string_value(json_object_get(selector, "metric"));
	_cleanup_json_ json_t *names = json_object_get(selector, "best_of")
					       ? json_copy(json_object_get(selector, "best_of"))
					       : json_array();
	json_t *name;
	size_t i;

	if (variant)
		json_array_append_new(names, json_string(variant));
	json_array_foreach (names, i, name) {
		bool listed = false;

		for (size_t v = 0; e->variants[v]; v++)
			listed |= strcmp(e->variants[v], json_string_value(name)) == 0;
		if (!listed)
			fail_msg("%s/%s has no variant %s", m->name, e->name,
				json_string_value(name));
	}
	if (metric && !mechanism_metric(m, metric))
		fail_msg("%s has no metric %s", m->name, metric);
}

static void claims_name_what_their_mechanism_has(void **state)
{
	(void)state;
	const struct mechanism *m;
	size_t i, j, k, checked = 0;
	json_t *claim, *test, *selector;

	for (size_t n = 0; (m = mechanism_at(n)); n++) {
		const json_t *paper = NULL;

		assert_string_equal(paper_id_of_mechanism(m->name), m->paper);
		assert_ok(paper_load(m->paper, &paper));
		json_array_foreach (json_object_get(paper, "claims"), i, claim) {
			json_array_foreach (json_object_get(claim, "tests"), j, test) {
				const char *name =
					json_string_value(json_object_get(test, "experiment"));
				const struct experiment *e =
					name ? mechanism_experiment(m, name) : NULL;

				if (!name)
					continue;
				if (!e)
					fail_msg("%s has no experiment %s", m->name, name);
				check_selector(m, e, json_object_get(test, "of"));
				check_selector(m, e, json_object_get(test, "to"));
				json_array_foreach (json_object_get(test, "ascending"), k, selector)
					check_selector(m, e, selector);
				checked++;
			}
		}
	}
	assert_true(checked > 3);
}

static void profiles_have_names(void **state)
{
	(void)state;
	enum profile profile = PROFILE_COUNT;

	for (int i = 0; i < PROFILE_COUNT; i++) {
		assert_true(profile_parse(profile_name((enum profile)i), &profile));
		assert_int_equal(profile, i);
	}
	assert_false(profile_parse("Quick", &profile));
	assert_false(profile_parse("", &profile));
	assert_int_equal(profile, PROFILE_COUNT - 1);
	assert_string_equal(role_name(ROLE_SUBJECT), "subject");
	assert_string_equal(role_name(ROLE_BASELINE), "baseline");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_found_and_unique),
		cmocka_unit_test(presets_are_values_of_declared_parameters),
		cmocka_unit_test(experiments_can_run),
		cmocka_unit_test(claims_name_what_their_mechanism_has),
		cmocka_unit_test(profiles_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
