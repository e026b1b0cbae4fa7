/* What the parts of the server share. */
#pragma once

#include "dashboard/server/access.h"
#include "dashboard/server/api.h"
#include "dashboard/server/events.h"
#include "dashboard/server/kept.h"
#include "dashboard/server/server.h"
#include "dashboard/server/pages.h"

#include <glib.h>
#include <pthread.h>

/* A connection, as long as it lasts. */
struct client {
	struct server *server;
	int fd;		     /* of the daemon's; shut down, never closed, by us */
	int64_t deadline_ns; /* when it is cut off; 0: never */
};

/* One request, from its first line until its answer has been sent. */
struct exchange {
	struct server *server;
	struct MHD_Connection *connection;
	struct client *client;
	struct request request;
	char *target;	 /* as it was sent */
	const char *why; /* why it is no request of ours; static */
	bool seen;	 /* its headers have been looked at */
	struct answer_wishes wishes;
	struct answer *answer; /* that is being sent */
	const struct route *route;
	const char *captured[3];
};

struct server {
	char *results_dir;
	char *token, *cert, *key; /* copies */
	char *url;
	struct access access;
	int listen_fd;
	struct MHD_Daemon *daemon;
	char complaint[512]; /* the daemon's last */

	struct store *store;
	struct live *live;
	struct fleets *fleets;
	struct events *events;
	struct pages *pages;
	struct kept *kept;

	int64_t request_ms; /* for a whole request to arrive */
	pthread_mutex_t clients_lock;
	GQueue clients;
	pthread_t sweeper;
	bool sweeping;

	/* exchanges that wait for a worker; their connections are suspended */
	pthread_mutex_t jobs_lock;
	pthread_cond_t jobs_there;
	GQueue jobs;
	bool closing;
	GPtrArray *workers; /* pthread_t */
	int stop_fd;
};

/* ---- exchange.c: what the daemon calls ---- */

void *exchange_begin(void *server, const char *target, struct MHD_Connection *connection);
enum MHD_Result exchange_handle(void *server, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *data, size_t *size, void **exchange);
void exchange_end(void *server, struct MHD_Connection *connection, void **exchange,
	enum MHD_RequestTerminationCode why);

/* ---- clients.c ---- */

/* Time for a whole request to arrive, and for a whole answer to be taken. */
#define REQUEST_MS 20000
#define ANSWER_MS 120000

void clients_notify(void *server, struct MHD_Connection *connection, void **context,
	enum MHD_ConnectionNotificationCode what);
struct client *client_of(struct MHD_Connection *connection);
/* From now on; 0 ms: no limit. */
void client_limit(struct client *client, int64_t ms);
/* Begins to cut off clients that are beyond their time. */
struct error *clients_start(struct server *server);
void clients_stop(struct server *server);
/* Cuts all clients off and waits, for a while, until the daemon has let go of them. */
void clients_drain(struct server *server);

/* ---- ready.c ---- */

/* A store_changed: keeps the answers that the first view needs, and gives them to the pages. */
void ready_make(struct store *store, int64_t generation, void *server);

/* ---- workers.c ---- */

struct error *workers_start(struct server *server);
/* What waits is answered with 503; no new job is taken. */
void workers_stop(struct server *server);
/* Suspends the connection until a worker has set exchange->answer. False when the server closes. */
bool workers_take(struct exchange *exchange);
