/* The false discovery rate: the procedure by hand, and the rate that it promises. */
#include "harness/stats/test/simulate.h"
#include "harness/stats/multiple.h"

/* The example of Benjamini and Hochberg (1995), section 4: four of fifteen at 5 %. */
static void the_published_example(void **state)
{
	static const double p[] = {0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
		0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000};
	bool discovered[15];

	(void)state;
	assert_int_equal(multiple_discoveries(p, 15, 0.05, discovered), 4);
	assert_true(discovered[3]);
	assert_false(discovered[4]);
}

/* One that fails its own share passes when a larger one passes; the order does not matter. */
static void the_largest_that_passes_takes_all_below(void **state)
{
	static const double p[] = {0.04, 0.9, 0.03, 0.031};
	bool discovered[4];

	(void)state;
	assert_int_equal(multiple_discoveries(p, 4, 0.06, discovered), 3);
	assert_true(discovered[0] && discovered[2] && discovered[3]);
	assert_int_equal(multiple_discoveries(p, 4, 0.03, discovered), 0);
}

static void what_was_not_tested_takes_no_part(void **state)
{
	static const double p[] = {NAN, 0.04, NAN};
	bool discovered[3] = {true, false, true};

	(void)state;
	assert_int_equal(multiple_discoveries(p, 3, 0.05, discovered), 1);
	assert_false(discovered[0] || discovered[2]);
	assert_true(discovered[1]);
	assert_int_equal(multiple_discoveries(p, 1, 0.05, discovered), 0);
	assert_int_equal(multiple_discoveries(NULL, 0, 0.05, discovered), 0);
}

/* 30 metrics of which 10 have changed: the mean share of false discoveries is rate x 20 / 30. */
static void the_rate_is_kept(void **state)
{
	gsl_rng *rng = noise_source(21);
	double share = 0;
	size_t runs = 2000, true_ones = 0;

	(void)state;
	for (size_t r = 0; r < runs; r++) {
		bool discovered[30];
		double p[30];
		size_t wrong = 0, all;

		for (size_t i = 0; i < 30; i++)
			p[i] = gsl_rng_uniform_pos(rng) * (i < 10 ? 0.002 : 1);
		all = multiple_discoveries(p, 30, 0.15, discovered);
		for (size_t i = 10; i < 30; i++)
			wrong += discovered[i];
		share += all ? (double)wrong / (double)all : 0;
		true_ones += all - wrong;
	}
	share /= (double)runs;
	assert_true(share > 0.08 && share < 0.12);
	assert_int_equal(true_ones, runs * 10);
	gsl_rng_free(rng);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_published_example),
		cmocka_unit_test(the_largest_that_passes_takes_all_below),
		cmocka_unit_test(what_was_not_tested_takes_no_part),
		cmocka_unit_test(the_rate_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
