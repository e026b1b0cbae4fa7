/* Which resources there are, and what their handlers share: see api.h. */
#include "dashboard/server/api.h"

#include "harness/base/fs.h"
#include "harness/base/version.h"
#include "harness/record/claims.h"
#include "harness/record/samples.h"

#include <glib.h>
#include <string.h>

#define PAGE "offset limit "
#define FILTER "host mechanism profile commit since_s until_s "

static const struct route routes[] = {
	{"overview", "host", api_overview_get, ROUTE_KEPT},
	{"papers", "", api_papers_get, ROUTE_KEPT | ROUTE_WITHOUT_INDEX},
	{"papers/*", "run", api_paper_get, ROUTE_KEPT},
	{"claims", "host", api_claims_get, ROUTE_KEPT},
	{"claims/*", "run", api_claim_get, ROUTE_KEPT},
	{"claims/*/history", PAGE FILTER, api_history_get, ROUTE_KEPT},
	{"runs", PAGE FILTER, api_runs_get, ROUTE_KEPT}, {"runs/*", "", api_run_get, 0},
	{"runs/*/trials", PAGE "mechanism experiment variant outcome", api_trials_get, 0},
	{"runs/*/trials/*", "", api_trial_get, 0},
	{"runs/*/trials/*/samples", PAGE, api_trial_samples_get, 0},
	{"runs/*/series", "", api_run_series_get, 0},
	{"runs/*/samples", "mechanism experiment variant metric at parameters arm", api_samples_get,
		0},
	{"runs/*/topology", "", api_topology_get, ROUTE_KEPT}, {"runs/*/logs", "", api_logs_get, 0},
	{"runs/*/logs/**", "offset", api_log_get, 0},
	{"series", "mechanism", api_series_get, ROUTE_KEPT},
	{"trends", PAGE FILTER "experiment variant metric at unit", api_trends_get, ROUTE_KEPT},
	{"compare", "a b paper claim", api_compare_get, ROUTE_KEPT},
	{"hosts", "", api_hosts_get, ROUTE_KEPT}, {"refused", PAGE, api_refused_get, ROUTE_KEPT},
	{"live", "", api_live_get, ROUTE_WITHOUT_INDEX},
	{"fleets", "", api_fleets_get, ROUTE_WITHOUT_INDEX},
	{"fleets/*", "", api_fleet_get, ROUTE_WITHOUT_INDEX},
	{"nights", PAGE, api_nights_get, ROUTE_WITHOUT_INDEX},
	{"nights/*", "", api_night_get, ROUTE_WITHOUT_INDEX},
	{"", "", api_root_get, ROUTE_KEPT | ROUTE_WITHOUT_INDEX},
	{"runs/*/*", "", api_report_get, ROUTE_KEPT}, /* report.FORMAT, record.json */
};

const struct route *api_find(const struct request *request, const char *captured[3])
{
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		if (request_matches(request, 2, routes[i].pattern, captured, 3))
			return &routes[i];
	}
	return NULL;
}

static unsigned int status_of(const struct ask *ask, const struct error *err)
{
	if (ask->status)
		return ask->status;
	switch (error_kind(err)) {
	case ERROR_USAGE:
		return MHD_HTTP_BAD_REQUEST;
	case ERROR_TIMEOUT:
		return MHD_HTTP_SERVICE_UNAVAILABLE;
	default:
		return MHD_HTTP_INTERNAL_SERVER_ERROR;
	}
}

static struct error *handle(const struct route *route, struct ask *ask, struct answer **answer)
{
	const char *unknown = request_unknown(ask->request, route->parameters);

	if (unknown)
		return error_hint(
			error_new(ERROR_USAGE, "there is no parameter '%s' here", unknown), "%s",
			*route->parameters ? route->parameters : "it takes none");
	struct error *err = reader_open(ask->reader);

	if (err && !(route->flags & ROUTE_WITHOUT_INDEX)) {
		_cleanup_free_ char *trouble = store_trouble(ask->store);

		/* the first update has not got to it yet, or cannot */
		if (error_kind(err) == ERROR_USAGE)
			ask->status = MHD_HTTP_SERVICE_UNAVAILABLE;
		return trouble ? error_prefix(err, "%s", trouble) : err;
	}
	error_destroy(err);
	return route->handle(ask, answer);
}

struct answer *api_answer(const struct route *route, struct ask *ask)
{
	struct answer *answer = NULL;
	struct error *err = handle(route, ask, &answer);

	if (err) {
		unsigned int status = status_of(ask, err);

		answer = answer_error(status, error_message(err), error_remedy(err));
		if (status == MHD_HTTP_SERVICE_UNAVAILABLE)
			answer_header(answer, "Retry-After", "1");
		error_destroy(err);
	}
	return answer;
}

/* ---- for handlers ---- */

struct error *api_not_found(struct ask *ask, struct error *err)
{
	ask->status = MHD_HTTP_NOT_FOUND;
	return err;
}

static struct error *number(
	struct ask *ask, const char *name, int64_t most, int64_t otherwise, int64_t *value)
{
	if (request_number(ask->request, name, most, otherwise, value))
		return NULL;
	return error_new(
		ERROR_USAGE, "%s is no whole number from 0 to %lld", name, (long long)most);
}

struct error *api_page(struct ask *ask, int64_t most, struct index_page *page)
{
	int64_t offset, limit;

	try_(number(ask, "offset", INT32_MAX, 0, &offset));
	try_(number(ask, "limit", most, API_PAGE, &limit));
	if (limit == 0)
		return error_new(
			ERROR_USAGE, "limit is no whole number from 1 to %lld", (long long)most);
	*page = (struct index_page){(size_t)offset, (size_t)limit};
	return NULL;
}

struct error *api_filter(struct ask *ask, struct index_filter *filter)
{
	*filter = (struct index_filter){
		.host = request_parameter(ask->request, "host"),
		.mechanism = request_parameter(ask->request, "mechanism"),
		.profile = request_parameter(ask->request, "profile"),
		.commit = request_parameter(ask->request, "commit"),
	};
	try_(number(ask, "since_s", INT64_MAX, 0, &filter->since_s));
	return number(ask, "until_s", INT64_MAX, 0, &filter->until_s);
}

struct error *api_required(struct ask *ask, const char *name, const char **value)
{
	*value = request_parameter(ask->request, name);
	return *value ? NULL : error_new(ERROR_USAGE, "the parameter '%s' is missing", name);
}

struct error *api_json_parameter(struct ask *ask, const char *name, json_t **value)
{
	const char *text = request_parameter(ask->request, name);

	*value = NULL;
	if (!text || !*text)
		return NULL;
	*value = json_loads(text, 0, NULL);
	if (json_is_object(*value))
		return NULL;
	json_decref(*value);
	*value = NULL;
	return error_new(ERROR_USAGE, "%s is no JSON object", name);
}

struct error *api_run_id(struct ask *ask, const char *what, char **id)
{
	_cleanup_json_ json_t *runs = NULL;
	const json_t *run;

	if (!request_is_name(what))
		return api_not_found(ask, error_new(ERROR_USAGE, "that is no id of a run"));
	if (strcmp(what, "latest") != 0) {
		*id = format_string("%s", what);
		return NULL;
	}
	try_(index_runs(ask->reader->index, NULL, (struct index_page){.limit = 1}, &runs));
	run = json_array_get(json_object_get(runs, "runs"), 0);
	if (!run)
		return api_not_found(ask,
			error_hint(error_new(ERROR_USAGE, "there is no run yet"), "fleetlab run"));
	*id = format_string("%s", json_text(run, "id"));
	return NULL;
}

struct error *api_hold(struct ask *ask, const char *what, struct held_record **held)
{
	_cleanup_free_ char *id = NULL;
	bool too_large = false;
	struct error *err;

	try_(api_run_id(ask, what, &id));
	err = store_hold(ask->reader, id, held, &too_large);
	if (too_large)
		ask->status = MHD_HTTP_CONTENT_TOO_LARGE;
	else if (err)
		ask->status = MHD_HTTP_INTERNAL_SERVER_ERROR;
	if (!err && *held && !held_row(*held)) /* from its journal, which grows */
		ask->passing = true;
	if (err || *held)
		return err;
	return api_not_found(ask, error_new(ERROR_USAGE, "there is no run '%s'", id));
}

json_t *api_paged(const json_t *rows, struct index_page page, const char *name)
{
	size_t total = json_array_size(rows);
	json_t *shown = json_array();

	for (size_t i = page.offset; i < total && i - page.offset < page.limit; i++)
		json_array_append(shown, json_array_get(rows, i));
	return json_pack("{s:I, s:I, s:o}", "total", (json_int_t)total, "offset",
		(json_int_t)page.offset, name, shown);
}

static void add_escaped(GString *url, const char *name, const char *value)
{
	if (!*value)
		return;
	g_string_append_printf(url, "%c%s=", strchr(url->str, '?') ? '&' : '?', name);
	g_string_append_uri_escaped(url, value, NULL, FALSE);
}

static void add_object(GString *url, const char *name, const json_t *object)
{
	_cleanup_free_ char *text = json_object_size(object) > 0
					    ? json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS)
					    : NULL;

	if (text)
		add_escaped(url, name, text);
}

char *api_samples_url(
	const json_t *record, const char *mechanism, const char *experiment, const json_t *selector)
{
	GString *url = g_string_new("/api/v1/runs/");

	g_string_append_uri_escaped(url, json_text(record, "id"), NULL, FALSE);
	g_string_append(url, "/samples");
	add_escaped(url, "mechanism", mechanism);
	add_escaped(url, "experiment", experiment);
	add_escaped(url, "variant", json_text(selector, "variant"));
	add_escaped(url, "metric", json_text(selector, "metric"));
	add_object(url, "at", json_object_get(selector, "at"));
	add_object(url, "parameters", json_object_get(selector, "parameters"));
	add_escaped(url, "arm", json_text(selector, "arm"));
	return g_string_free(url, FALSE);
}

json_t *api_trial(const json_t *trial)
{
	json_t *shown = json_copy((json_t *)trial);
	const char *why_not = NULL;
	bool counts = trial_counts(trial, &why_not);

	json_object_set_new(shown, "samples",
		json_integer((json_int_t)json_array_size(json_object_get(trial, "samples"))));
	json_object_set_new(shown, "counts", json_boolean(counts));
	if (why_not)
		json_object_set_new(shown, "why_not", json_string(why_not));
	return shown;
}

struct error *api_root_get(struct ask *ask, struct answer **answer)
{
	(void)ask;
	*answer = answer_json(json_pack("{s:s, s:s, s:s}", "api", "fleetlab.api/1", "version",
				      fleetlab_version, "commit", fleetlab_commit),
		ANSWER_REVALIDATE);
	return NULL;
}
