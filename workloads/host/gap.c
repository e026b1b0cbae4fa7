/* The longest silence: see gap.h. Pure. */
#include "workloads/host/gap.h"
#include "harness/stats/summary.h"

#include <stdbool.h>
#include <stdlib.h>

static int64_t moment(struct moments moments, size_t index)
{
	return *(const int64_t *)((const char *)moments.first + index * moments.stride);
}

/* The gap that ends at a moment; false when it does not touch the part looked at. */
static bool gap_at(
	struct moments moments, size_t index, int64_t from_ns, int64_t to_ns, struct gap *gap)
{
	*gap = (struct gap){moment(moments, index - 1), moment(moments, index), index};
	return gap->to_ns >= from_ns && gap->from_ns <= to_ns;
}

struct gap gap_largest(struct moments moments, int64_t from_ns, int64_t to_ns)
{
	struct gap largest = {0}, gap;

	for (size_t i = 1; i < moments.count; i++) {
		if (!gap_at(moments, i, from_ns, to_ns, &gap))
			continue;
		if (!largest.index || gap.to_ns - gap.from_ns > largest.to_ns - largest.from_ns)
			largest = gap;
	}
	return largest;
}

double gap_median_ms(struct moments moments, int64_t from_ns, int64_t to_ns)
{
	double *lengths = calloc(moments.count + 1, sizeof(*lengths));
	size_t count = 0;
	struct gap gap;
	double median;

	if (!lengths)
		abort();
	for (size_t i = 1; i < moments.count; i++) {
		if (gap_at(moments, i, from_ns, to_ns, &gap))
			lengths[count++] = gap_ms(gap);
	}
	median = stats_median(lengths, count);
	free(lengths);
	return median;
}
