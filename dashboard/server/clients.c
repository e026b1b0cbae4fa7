/* Connections and their time: see server_internal.h. The daemon ends those that are silent; those
 * that send or take a byte now and then are ended here. */
#include "dashboard/server/server_internal.h"

#include "harness/base/clock.h"

#include <poll.h>
#include <sys/socket.h>

#define SWEEP_MS 1000
#define DRAIN_MS 5000

void client_limit(struct client *client, int64_t ms)
{
	pthread_mutex_lock(&client->server->clients_lock);
	client->deadline_ns = ms ? clock_now_ns() + ms * NSEC_PER_MSEC : 0;
	pthread_mutex_unlock(&client->server->clients_lock);
}

struct client *client_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static void begin(struct server *server, struct MHD_Connection *connection, void **context)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct client *client = calloc(1, sizeof(*client));

	if (!client)
		abort();
	client->server = server;
	client->fd = info ? info->connect_fd : -1;
	client->deadline_ns = clock_now_ns() + server->request_ms * NSEC_PER_MSEC;
	*context = client;
	pthread_mutex_lock(&server->clients_lock);
	g_queue_push_tail(&server->clients, client);
	pthread_mutex_unlock(&server->clients_lock);
}

/* Told before the socket is closed: its number is still this connection's. */
static void end(struct server *server, void **context)
{
	pthread_mutex_lock(&server->clients_lock);
	g_queue_remove(&server->clients, *context);
	pthread_mutex_unlock(&server->clients_lock);
	free(*context);
	*context = NULL;
}

void clients_notify(void *server, struct MHD_Connection *connection, void **context,
	enum MHD_ConnectionNotificationCode what)
{
	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		begin(server, connection, context);
	else if (*context)
		end(server, context);
}

static void sweep(struct server *server)
{
	int64_t now = clock_now_ns();

	pthread_mutex_lock(&server->clients_lock);
	for (GList *item = server->clients.head; item; item = item->next) {
		struct client *client = item->data;

		if (client->deadline_ns && client->deadline_ns < now && client->fd >= 0) {
			shutdown(client->fd, SHUT_RDWR);
			client->deadline_ns = 0;
		}
	}
	pthread_mutex_unlock(&server->clients_lock);
}

static void *keep_sweeping(void *context)
{
	struct server *server = context;
	struct pollfd pfd = {.fd = server->stop_fd, .events = POLLIN};

	while (poll(&pfd, 1, SWEEP_MS) <= 0)
		sweep(server);
	return NULL;
}

struct error *clients_start(struct server *server)
{
	server->sweeping = pthread_create(&server->sweeper, NULL, keep_sweeping, server) == 0;
	return server->sweeping
		       ? NULL
		       : error_new(ERROR_SETUP, "cannot start the thread that watches clients");
}

void clients_stop(struct server *server)
{
	if (server->sweeping)
		pthread_join(server->sweeper, NULL);
	server->sweeping = false;
}

/* Cuts off whom it finds; the number of them. */
static guint cut_all(struct server *server)
{
	guint count;

	pthread_mutex_lock(&server->clients_lock);
	for (GList *item = server->clients.head; item; item = item->next) {
		struct client *client = item->data;

		if (client->fd >= 0)
			shutdown(client->fd, SHUT_RDWR);
	}
	count = server->clients.length;
	pthread_mutex_unlock(&server->clients_lock);
	return count;
}

void clients_drain(struct server *server)
{
	struct deadline deadline = deadline_after_ms(DRAIN_MS);

	while (cut_all(server) > 0 && !deadline_passed(deadline))
		poll(NULL, 0, 5);
}
