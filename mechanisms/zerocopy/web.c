/* A web server in a guest that is moved (Figure 16): how much of its throughput is lost meanwhile.
 * No other client runs, since each takes its share of a guest's CPU. */
#include "mechanisms/zerocopy/zerocopy.h"
#include "workloads/host/web.h"

#include <math.h>

enum {
	/* httperf's runs. A guest that has just come up gets faster for some seconds: emulated code
	 * is translated, memory is touched for the first time. */
	RUNS_WARM = 6,
	RUNS_BEFORE = WEB_BASE_RUNS,
	RUNS_AFTER = 4,
	CALLS = 10, /* on each connection */
	/* A request outlives any move that its guest survives. */
	PATIENCE_MS = 10000,
};

static bool is_web(const struct trial *trial)
{
	return strcmp(trial_choice(trial, "workload"), "web") == 0;
}

struct error *web_prepare(struct trial *trial)
{
	struct fleet *guests = zerocopy_guests(trial);

	if (!is_web(trial))
		return NULL;
	return web_serve(
		fleet_agent(guests, 0), fleet_guest_name(guests, 0), 0, trial_deadline(trial));
}

struct web_accounts web_account(
	const struct web_segment *segments, size_t count, int64_t begin_ns, int64_t end_ns)
{
	struct web_accounts accounts = {0};
	size_t first = 0;

	while (first < count && segments[first].end_ns < begin_ns)
		first++;
	first = first > WEB_BASE_RUNS ? first - WEB_BASE_RUNS : 0;
	for (size_t i = first; i < count; i++) {
		const struct web_segment *segment = &segments[i];
		struct web_account *account = segment->end_ns < begin_ns   ? &accounts.before
					      : segment->start_ns > end_ns ? &accounts.after
									   : &accounts.during;

		account->segments++;
		account->replies += (double)segment->replies;
		account->seconds += segment->duration_s;
		account->errors += segment->errors + segment->refused;
	}
	return accounts;
}

static double rate_of(const struct web_account *account)
{
	return account->seconds > 0 ? account->replies / account->seconds : NAN;
}

/* Times are of the middle of a run, to the second: so trials have the same ones. */
static struct error *put_series(
	struct trial *trial, const struct web_series *series, int64_t begin_ns)
{
	for (size_t i = 0; i < series->count; i++) {
		const struct web_segment *segment = &series->segments[i];
		double middle_s = (clock_seconds(begin_ns, segment->start_ns) +
					  clock_seconds(begin_ns, segment->end_ns)) /
				  2;

		try_(trial_sample(trial, "web_throughput",
			json_pack("{s:I}", "t_s", (json_int_t)llround(middle_s)),
			segment->replies_per_s));
	}
	return NULL;
}

static struct error *put_accounts(struct trial *trial, const struct web_accounts *accounts)
{
	double base = rate_of(&accounts->before), during = rate_of(&accounts->during);

	try_(trial_evidence(trial, "served",
		accounts->before.replies > 0 && accounts->after.replies > 0 &&
			accounts->before.errors + accounts->after.errors == 0,
		accounts->after.replies, "replies",
		"after the move, and none of %zu runs of httperf before it and %zu after it had an "
		"error; %llu requests failed during the move",
		accounts->before.segments, accounts->after.segments,
		(unsigned long long)accounts->during.errors));
	if (!(base > 0) || !isfinite(during))
		return NULL;
	try_(trial_sample(trial, "base_throughput", NULL, base));
	try_(trial_sample(trial, "throughput_lost", NULL, 100 * (1 - during / base)));
	return trial_sample(trial, "web_errors", NULL, (double)accounts->during.errors);
}

/* `begin_ns`, `end_ns`: of the move. */
static struct error *move_under_load(
	struct trial *trial, struct web *web, int64_t *begin_ns, int64_t *end_ns)
{
	try_(web_await(web, RUNS_WARM + RUNS_BEFORE, trial_deadline(trial)));
	try_(observe_bare_move(trial, 0, begin_ns, end_ns));
	return web_await(web, RUNS_AFTER, trial_deadline(trial));
}

struct error *measure_web(struct trial *trial)
{
	struct fleet *guests = zerocopy_guests(trial);
	_cleanup_free_ char *address = fleet_guest_address(guests, 0, 0);
	const struct web_options options = {
		.guest = fleet_guest_name(guests, 0),
		.address = address,
		.calls = CALLS,
		.timeout_ms = PATIENCE_MS,
	};
	_cleanup_(web_series_deinit) struct web_series series = {0};
	_cleanup_(cleanup_web) struct web *web = NULL;
	struct web_accounts accounts;
	int64_t begin_ns, end_ns;

	try_(web_start(&options, &web));
	try_(move_under_load(trial, web, &begin_ns, &end_ns));
	try_(web_stop(take_ptr(web), &series));
	try_(put_series(trial, &series, begin_ns));
	accounts = web_account(series.segments, series.count, begin_ns, end_ns);
	return put_accounts(trial, &accounts);
}
