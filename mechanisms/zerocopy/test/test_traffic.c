/* The estimate of memory traffic gives the paper's own figures for the paper's own case. */
#include "harness/base/test/support.h"
#include "mechanisms/zerocopy/traffic.h"

#include <math.h>

#define GIB ((uint64_t)1 << 30)

/* Section 5.8: every page of a 4 GB guest is sent once. */
static void the_papers_case_gives_the_papers_figures(void **state)
{
	(void)state;
	struct traffic phys = traffic_estimate(TRAFFIC_TWO_MACHINES, 4 * GIB, 0, 4 * GIB);
	struct traffic nest = traffic_estimate(TRAFFIC_NESTED, 4 * GIB, 0, 4 * GIB);
	struct traffic blanket = traffic_estimate(TRAFFIC_NESTED_PARAVIRTUAL, 4 * GIB, 0, 4 * GIB);

	assert_float_equal(phys.source, 6, 1e-9);
	assert_float_equal(phys.destination, 7, 1e-9);
	assert_float_equal(nest.total, 14, 1e-9);
	assert_float_equal(blanket.total, 10, 1e-9);
	assert_true(isnan(nest.source) && isnan(blanket.destination));
}

static void pages_sent_again_count_again(void **state)
{
	(void)state;
	struct traffic once = traffic_estimate(TRAFFIC_UNIX, GIB, 0, GIB);
	struct traffic twice = traffic_estimate(TRAFFIC_UNIX, 2 * GIB, 0, GIB);

	assert_float_equal(twice.total, 2 * once.total, 1e-9);
	assert_float_equal(once.source + once.destination, once.total, 1e-9);
}

/* What the proof costs is not left out: it is all there is when nothing is copied. */
static void comparing_pages_is_traffic(void **state)
{
	(void)state;
	struct traffic none = traffic_estimate(TRAFFIC_CHANNEL, 0, 0, GIB);
	struct traffic both = traffic_estimate(TRAFFIC_CHANNEL, 0, GIB, GIB);

	assert_float_equal(none.total, 0, 0);
	assert_float_equal(both.total, 1, 1e-9);
	assert_float_equal(both.source, 0.5, 1e-9);
	assert_float_equal(both.destination, 0.5, 1e-9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_papers_case_gives_the_papers_figures),
		cmocka_unit_test(pages_sent_again_count_again),
		cmocka_unit_test(comparing_pages_is_traffic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
