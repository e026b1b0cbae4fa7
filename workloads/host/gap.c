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

static int64_t length(const struct gap *gap)
{
	return gap->to_ns - gap->from_ns;
}

size_t gap_longest(
	struct moments moments, int64_t from_ns, int64_t to_ns, struct gap *gaps, size_t room)
{
	size_t count = 0;
	struct gap gap;

	for (size_t i = 1; i < moments.count; i++) {
		size_t at;

		if (!gap_at(moments, i, from_ns, to_ns, &gap) ||
			(count == room && length(&gap) <= length(&gaps[count - 1])))
			continue;
		at = count < room ? count++ : count - 1;
		for (; at > 0 && length(&gaps[at - 1]) < length(&gap); at--)
			gaps[at] = gaps[at - 1];
		gaps[at] = gap;
	}
	return count;
}

struct gap gap_largest(struct moments moments, int64_t from_ns, int64_t to_ns)
{
	struct gap largest = {0};

	gap_longest(moments, from_ns, to_ns, &largest, 1);
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
