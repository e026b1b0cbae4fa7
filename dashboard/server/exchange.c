/* One request and its answer: see server_internal.h. Runs in the daemon's threads: must never wait
 * for anything but short locks. */
#include "dashboard/server/server_internal.h"

#include "harness/base/fs.h"

#include <string.h>

/* ---- the daemon's calls ---- */

void *exchange_begin(void *context, const char *target, struct MHD_Connection *connection)
{
	struct exchange *exchange = calloc(1, sizeof(*exchange));

	if (!exchange)
		abort();
	exchange->server = context;
	exchange->connection = connection;
	exchange->client = client_of(connection);
	exchange->target = format_string("%s", target);
	request_parse(target, &exchange->request, &exchange->why);
	return exchange;
}

void exchange_end(void *context, struct MHD_Connection *connection, void **data,
	enum MHD_RequestTerminationCode why)
{
	struct exchange *exchange = *data;

	(void)context;
	(void)connection;
	(void)why;
	if (!exchange)
		return;
	if (exchange->client)
		client_limit(exchange->client, exchange->server->request_ms);
	answer_unref(exchange->answer);
	request_deinit(&exchange->request);
	free(exchange->target);
	free(exchange);
	*data = NULL;
}

/* ---- sending ---- */

/* Takes the answer over. */
static enum MHD_Result send_answer(struct exchange *exchange, struct answer *answer)
{
	answer_unref(exchange->answer);
	exchange->answer = answer;
	if (exchange->client)
		client_limit(exchange->client, ANSWER_MS);
	return answer_send(answer, exchange->connection);
}

static enum MHD_Result send_error(
	struct exchange *exchange, unsigned int status, const char *message, const char *remedy)
{
	return send_answer(exchange, answer_error(status, message, remedy));
}

static enum MHD_Result redirect(struct exchange *exchange, const char *where, const char *cookie)
{
	struct answer *answer = answer_error(MHD_HTTP_SEE_OTHER, "it is elsewhere", where);

	answer_header(answer, "Location", where);
	if (cookie)
		answer_header(answer, "Set-Cookie", cookie);
	return send_answer(exchange, answer);
}

/* ---- who asks ---- */

static enum MHD_Result count_hosts(
	void *context, enum MHD_ValueKind kind, const char *key, const char *value)
{
	(void)kind;
	(void)value;
	*(unsigned int *)context += strcasecmp(key, "Host") == 0;
	return MHD_YES;
}

static const char *header(const struct exchange *exchange, const char *name)
{
	return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

static struct access_headers headers_of(const struct exchange *exchange)
{
	unsigned int hosts = 0;

	MHD_get_connection_values(exchange->connection, MHD_HEADER_KIND, count_hosts, &hosts);
	return (struct access_headers){
		.host = header(exchange, "Host"),
		.several_hosts = hosts > 1,
		.origin = header(exchange, "Origin"),
		.fetch_site = header(exchange, "Sec-Fetch-Site"),
		.authorization = header(exchange, "Authorization"),
		.cookie = header(exchange, "Cookie"),
	};
}

static enum MHD_Result refuse(struct exchange *exchange, enum access_verdict verdict, bool is_api)
{
	struct answer *answer;

	if (verdict == ACCESS_BAD_HOST)
		return send_error(exchange, MHD_HTTP_FORBIDDEN, "this Host is not served here",
			exchange->server->url);
	if (verdict == ACCESS_OTHER_SITE)
		return send_error(
			exchange, MHD_HTTP_FORBIDDEN, "another site's page may not ask this", NULL);
	if (!is_api)
		return redirect(exchange, "/login", NULL);
	answer = answer_error(MHD_HTTP_UNAUTHORIZED, "a token is wanted",
		"Authorization: Bearer TOKEN, or /login in a browser");
	answer_header(answer, "WWW-Authenticate", "Bearer");
	return send_answer(exchange, answer);
}

/* The page that asks for the token, and what it sends. */
static enum MHD_Result login(struct exchange *exchange)
{
	const struct access *access = &exchange->server->access;
	const char *token = request_parameter(&exchange->request, "token");
	_cleanup_free_ char *cookie = NULL;

	if (!access->token)
		return redirect(exchange, "/", NULL);
	if (!token)
		return send_answer(exchange, answer_ref(pages_login(exchange->server->pages)));
	if (!access_equal(access->token, token))
		return send_error(exchange, MHD_HTTP_FORBIDDEN, "that is not the token", "/login");
	cookie = format_string("%s=%s; Path=/; HttpOnly; SameSite=Lax%s", ACCESS_COOKIE_NAME,
		access->cookie, access->tls ? "; Secure" : "");
	return redirect(exchange, "/", cookie);
}

/* ---- what is asked ---- */

static enum MHD_Result follow(struct exchange *exchange, const char *run)
{
	struct MHD_Response *response;
	enum MHD_Result result;
	struct answer *answer;

	if (run && !request_is_name(run))
		return send_error(exchange, MHD_HTTP_NOT_FOUND, "that is no id of a run", NULL);
	if (request_unknown(&exchange->request, ""))
		return send_error(exchange, MHD_HTTP_BAD_REQUEST, "events take no parameter", NULL);
	response = events_follow(exchange->server->events, exchange->connection, run,
		header(exchange, "Last-Event-ID"));
	if (!response) {
		answer = answer_error(
			MHD_HTTP_SERVICE_UNAVAILABLE, "too many follow events already", NULL);
		answer_header(answer, "Retry-After", "10");
		return send_answer(exchange, answer);
	}
	if (exchange->client)
		client_limit(exchange->client, 0);
	result = MHD_queue_response(exchange->connection, MHD_HTTP_OK, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result ask_api(struct exchange *exchange)
{
	const struct request *request = &exchange->request;
	struct server *server = exchange->server;
	struct answer *answer;
	const char *run[1];

	if (request->count < 2 || strcmp(request->segments[1], "v1") != 0)
		return send_error(exchange, MHD_HTTP_NOT_FOUND, "the API is below /api/v1", NULL);
	if (request_matches(request, 2, "events", NULL, 0))
		return follow(exchange, NULL);
	if (request_matches(request, 2, "runs/*/events", run, 1))
		return follow(exchange, run[0]);
	exchange->route = api_find(request, exchange->captured);
	if (!exchange->route)
		return send_error(
			exchange, MHD_HTTP_NOT_FOUND, "there is no such resource", "docs/api.md");
	answer = (exchange->route->flags & ROUTE_KEPT) ? kept_find(server->kept, exchange->target,
								 store_generation(server->store))
						       : NULL;
	exchange->wishes = answer_wishes(exchange->connection);
	if (answer && answer_is_ready(answer, &exchange->wishes))
		return send_answer(exchange, answer);
	answer_unref(answer); /* a worker will find it, and pack it */
	if (exchange->client)
		client_limit(exchange->client, 0);
	if (workers_take(exchange))
		return MHD_YES;
	return send_error(
		exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "the dashboard is being ended", NULL);
}

static enum MHD_Result ask_page(struct exchange *exchange)
{
	struct answer *answer = pages_find(exchange->server->pages, &exchange->request);

	if (!answer)
		return send_error(exchange, MHD_HTTP_NOT_FOUND, "there is no such file", NULL);
	return send_answer(exchange, answer);
}

static bool begins_with(const struct request *request, const char *segment)
{
	return request->count > 0 && strcmp(request->segments[0], segment) == 0;
}

static enum MHD_Result answer_request(struct exchange *exchange)
{
	const struct access *access = &exchange->server->access;
	const struct access_headers headers = headers_of(exchange);
	bool is_api = begins_with(&exchange->request, "api");
	bool is_login = begins_with(&exchange->request, "login") && exchange->request.count == 1;
	enum access_verdict verdict = is_login ? access_check_site(access, &headers, false)
					       : access_check(access, &headers, is_api);

	if (verdict != ACCESS_GRANTED)
		return refuse(exchange, verdict, is_api);
	if (is_login)
		return login(exchange);
	return is_api ? ask_api(exchange) : ask_page(exchange);
}

static bool has_body(const struct exchange *exchange)
{
	const char *length = header(exchange, "Content-Length");

	return header(exchange, "Transfer-Encoding") || (length && strcmp(length, "0") != 0);
}

/* When the headers are there: what is refused whatever it asks. */
static enum MHD_Result look_at_headers(struct exchange *exchange, const char *method)
{
	struct answer *answer;

	exchange->seen = true;
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
		answer = answer_error(
			MHD_HTTP_METHOD_NOT_ALLOWED, "everything here is only read", "GET or HEAD");
		answer_header(answer, "Allow", "GET, HEAD");
		answer_header(answer, "Connection", "close");
		return send_answer(exchange, answer);
	}
	if (has_body(exchange)) {
		answer = answer_error(
			MHD_HTTP_CONTENT_TOO_LARGE, "a request has no content here", NULL);
		answer_header(answer, "Connection", "close");
		return send_answer(exchange, answer);
	}
	return MHD_YES;
}

enum MHD_Result exchange_handle(void *context, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *data, size_t *size, void **cls)
{
	struct exchange *exchange = *cls;

	(void)context;
	(void)connection;
	(void)url;
	(void)version;
	(void)data;
	if (!exchange)
		return MHD_NO;
	if (!exchange->seen)
		return look_at_headers(exchange, method);
	if (*size) { /* not ours to read: cannot be, its headers said so */
		*size = 0;
		return MHD_NO;
	}
	if (exchange->answer) /* a worker has made it */
		return send_answer(exchange, answer_ref(exchange->answer));
	if (exchange->why)
		return send_error(exchange,
			strlen(exchange->target) > REQUEST_MAX ? MHD_HTTP_URI_TOO_LONG
							       : MHD_HTTP_BAD_REQUEST,
			exchange->why, NULL);
	return answer_request(exchange);
}
