/* Paired ratios by inversion of the signed-rank test: see pairs.h. */
#include "harness/stats/pairs.h"
#include "harness/stats/allocate.h"
#include "harness/stats/rank.h"
#include "harness/stats/summary.h"
#include "harness/base/cleanup.h"

#include <gsl/gsl_cdf.h>
#include <math.h>

/*
 * Under the hypothesis every rank carries a sign of its own, + or - with equal chance. Ranks are
 * given doubled, so that the mean rank of tied values is whole. Returns the distribution of S, the
 * sum of those that got a +: total + 1 probabilities.
 */
static double *sign_flip_distribution(const int *doubled_ranks, size_t n, size_t total)
{
	double *probability = allocate(total + 1, sizeof(*probability));
	size_t reached = 0;

	probability[0] = 1;
	for (size_t i = 0; i < n; i++) {
		size_t rank = (size_t)doubled_ranks[i];

		reached += rank;
		for (size_t s = reached + 1; s-- > 0;)
			probability[s] =
				(probability[s] + (s >= rank ? probability[s - rank] : 0)) / 2;
	}
	return probability;
}

/* The least t for which |T| >= t has a chance of at most alpha, where T is the sum of the ranks
 * 1..n with random signs; infinite if there is none. */
static double critical_value(size_t n, double alpha)
{
	_cleanup_free_ double *probability = NULL;
	_cleanup_free_ int *ranks = NULL;
	size_t total = n * (n + 1), s = total + 1;
	double tail = 0;

	if (n > PAIRS_EXACT)
		return gsl_cdf_ugaussian_Qinv(alpha / 2) *
		       sqrt((double)total * (double)(2 * n + 1) / 6);
	ranks = allocate(n, sizeof(*ranks));
	for (size_t i = 0; i < n; i++)
		ranks[i] = 2 * (int)(i + 1);
	probability = sign_flip_distribution(ranks, n, total);
	while (2 * s > total && tail + 2 * probability[s - 1] <= alpha)
		tail += 2 * probability[--s];
	return s > total ? INFINITY : (double)s - (double)total / 2;
}

struct interval pairs_interval(const double *differences, size_t n, double level)
{
	_cleanup_free_ struct rank_point *means = NULL;
	size_t count = 0;

	if (n == 0 || n > PAIRS_MAX || !(level > 0 && level < 1))
		return interval_unbounded(level);
	means = allocate(n * (n + 1) / 2, sizeof(*means));
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j <= i; j++)
			means[count++] = (struct rank_point){
				.value = (differences[i] + differences[j]) / 2, .weight = 1};
	}
	rank_sort(means, count);
	return rank_invert(means, count, critical_value(n, 1 - level), level);
}

/* Twice the mean rank of |differences[i]| among all of them, for those that are not 0, with their
 * sign; returns how many. Zeros take part in the ranking and are then left out (Pratt 1959). */
static size_t signed_ranks(const double *differences, size_t n, int *doubled_ranks)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		int smaller = 0, equal = 0;

		if (differences[i] == 0)
			continue;
		for (size_t j = 0; j < n; j++) {
			smaller += fabs(differences[j]) < fabs(differences[i]);
			equal += fabs(differences[j]) == fabs(differences[i]);
		}
		doubled_ranks[count++] =
			differences[i] > 0 ? 2 * smaller + equal + 1 : -(2 * smaller + equal + 1);
	}
	return count;
}

double pairs_p_value(const double *differences, size_t n)
{
	_cleanup_free_ double *probability = NULL;
	_cleanup_free_ int *ranks = allocate(n, sizeof(*ranks));
	size_t count = signed_ranks(differences, n, ranks), positive = 0, total = 0, extreme;
	double squares = 0, p = 0;

	for (size_t i = 0; i < count; i++) {
		positive += ranks[i] > 0 ? (size_t)ranks[i] : 0;
		ranks[i] = abs(ranks[i]);
		total += (size_t)ranks[i];
		squares += (double)ranks[i] * ranks[i];
	}
	if (count == 0)
		return 1;
	extreme = 2 * positive > total ? positive : total - positive;
	if (count > PAIRS_EXACT)
		return 2 *
		       gsl_cdf_ugaussian_Q((2.0 * (double)extreme - (double)total) / sqrt(squares));
	probability = sign_flip_distribution(ranks, count, total);
	for (size_t s = total + 1; s-- > extreme;)
		p += 2 * probability[s];
	return fmin(p, 1);
}

static struct interval ratio_interval(struct interval logarithms)
{
	return (struct interval){.low = exp(logarithms.low),
		.high = exp(logarithms.high),
		.level = logarithms.level};
}

bool pairs_ratio(
	const double *subject, const double *baseline, size_t n, struct ratio_estimate *out)
{
	return pairs_ratio_at(subject, baseline, n, INTERVAL_LEVEL, out);
}

bool pairs_ratio_at(const double *subject, const double *baseline, size_t n, double level,
	struct ratio_estimate *out)
{
	_cleanup_free_ double *logs = NULL;
	struct interval interval;
	double median;

	if (n == 0 || n > PAIRS_MAX)
		return false;
	logs = allocate(n, sizeof(*logs));
	for (size_t i = 0; i < n; i++) {
		if (!(isfinite(subject[i]) && subject[i] > 0 && isfinite(baseline[i]) &&
			    baseline[i] > 0))
			return false;
		/* A difference of logarithms, not the logarithm of a quotient: swapping subject
		 * and baseline changes its sign and not one bit more. */
		logs[i] = log(subject[i]) - log(baseline[i]);
	}
	median = stats_median(logs, n);
	interval = pairs_interval(logs, n, level);
	interval.low = fmin(interval.low, median);
	interval.high = fmax(interval.high, median);
	*out = (struct ratio_estimate){.n = n,
		.median = exp(median),
		.interval = ratio_interval(interval),
		.p_value = pairs_p_value(logs, n),
		.log_scatter = stats_scatter(logs, n)};
	return true;
}

/*
 * Enough pairs N have (t(0.975, N-1) + z(0.8)) scatter / sqrt(0.955 N) <= distance, at 95 %: the
 * power of the t test, with the efficiency of the signed-rank test relative to it, 3 / pi (Lehmann
 * 1975).
 */
static bool likely_enough(size_t n, double level, double scatter_to_distance)
{
	double reach =
		gsl_cdf_tdist_Qinv((1 - level) / 2, (double)(n - 1)) + gsl_cdf_ugaussian_Pinv(0.8);

	return reach * scatter_to_distance <= sqrt(0.955 * (double)n);
}

size_t pairs_forecast(const struct ratio_estimate *estimate, double excluded_ratio)
{
	size_t n = estimate->n, least = interval_least(estimate->interval.level);
	double distance = fabs(log(estimate->median) - log(excluded_ratio));

	if (interval_excludes(estimate->interval, excluded_ratio))
		return 0;
	if (n < 2)
		return least - n;
	if (!(distance > 0))
		return PAIRS_UNLIKELY;
	for (size_t more = n < least ? least - n : 1; more < PAIRS_UNLIKELY; more++) {
		if (likely_enough(
			    n + more, estimate->interval.level, estimate->log_scatter / distance))
			return more;
	}
	return PAIRS_UNLIKELY;
}
