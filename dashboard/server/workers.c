/* Threads that make and pack answers, so that no connection waits for another's: see
 * server_internal.h. At most one job waits for each connection, and those are limited. */
#include "dashboard/server/server_internal.h"

#include <sys/sysinfo.h>

enum { WORKERS_LEAST = 2, WORKERS_MOST = 4 };

static struct exchange *next_job(struct server *server)
{
	struct exchange *exchange;

	pthread_mutex_lock(&server->jobs_lock);
	while (g_queue_is_empty(&server->jobs) && !server->closing)
		pthread_cond_wait(&server->jobs_there, &server->jobs_lock);
	exchange = g_queue_pop_head(&server->jobs);
	pthread_mutex_unlock(&server->jobs_lock);
	return exchange;
}

static struct answer *make_answer(struct exchange *exchange, struct reader *reader)
{
	struct server *server = exchange->server;
	const struct route *route = exchange->route;
	int64_t generation = store_generation(server->store);
	struct ask ask = {
		.store = server->store,
		.live = server->live,
		.fleets = server->fleets,
		.generation = generation,
		.reader = reader,
		.request = &exchange->request,
		.captured = {exchange->captured[0], exchange->captured[1], exchange->captured[2]},
	};
	struct answer *answer = (route->flags & ROUTE_KEPT)
					? kept_find(server->kept, exchange->target, generation)
					: NULL;

	if (answer) /* somebody else has asked the same meanwhile */
		return answer;
	answer = api_answer(route, &ask);
	reader_settle(reader);
	if ((route->flags & ROUTE_KEPT) && !ask.passing && answer_is_ok(answer))
		kept_put(server->kept, exchange->target, generation, answer);
	return answer;
}

static struct answer *closing_answer(void)
{
	return answer_error(MHD_HTTP_SERVICE_UNAVAILABLE, "the dashboard is being ended", NULL);
}

static void *work(void *context)
{
	struct server *server = context;
	_cleanup_(reader_deinit) struct reader reader = {.store = server->store};
	struct exchange *exchange;

	while ((exchange = next_job(server))) {
		pthread_mutex_lock(&server->jobs_lock);
		bool closing = server->closing;

		pthread_mutex_unlock(&server->jobs_lock);
		exchange->answer = closing ? closing_answer() : make_answer(exchange, &reader);
		if (!answer_is_ready(exchange->answer, &exchange->wishes))
			answer_pack(exchange->answer);
		MHD_resume_connection(exchange->connection);
	}
	return NULL;
}

bool workers_take(struct exchange *exchange)
{
	struct server *server = exchange->server;
	bool taken;

	pthread_mutex_lock(&server->jobs_lock);
	taken = !server->closing;
	if (taken) {
		MHD_suspend_connection(exchange->connection);
		g_queue_push_tail(&server->jobs, exchange);
		pthread_cond_signal(&server->jobs_there);
	}
	pthread_mutex_unlock(&server->jobs_lock);
	return taken;
}

struct error *workers_start(struct server *server)
{
	int count = get_nprocs();

	if (count < WORKERS_LEAST)
		count = WORKERS_LEAST;
	if (count > WORKERS_MOST)
		count = WORKERS_MOST;
	for (int i = 0; i < count; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, work, server) != 0)
			return error_new(ERROR_SETUP, "cannot start a thread of the dashboard's");
		g_ptr_array_add(server->workers, (void *)thread);
	}
	return NULL;
}

void workers_stop(struct server *server)
{
	pthread_mutex_lock(&server->jobs_lock);
	server->closing = true;
	pthread_cond_broadcast(&server->jobs_there);
	pthread_mutex_unlock(&server->jobs_lock);
	for (guint i = 0; i < server->workers->len; i++)
		pthread_join((pthread_t)server->workers->pdata[i], NULL);
	g_ptr_array_set_size(server->workers, 0);
}
