/* The server's life: see server.h. */
#include "dashboard/server/server_internal.h"

#include "harness/base/fs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* Each has at most so much of a request in memory. */
#define CONNECTIONS 2000
#define REQUEST_BYTES ((size_t)16 << 10)
#define SILENT_S 20
#define DAEMON_THREADS 2
#define BACKLOG 1024
#define KEPT_BYTES ((size_t)48 << 20)
/* Of other descriptors: the store's, workers', libraries'. */
#define OTHER_FDS 200

/* ---- the address ---- */

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static bool parse_address(const char *text, unsigned int port, union address *out, socklen_t *size)
{
	union address address = {0};

	if (inet_pton(AF_INET, text, &address.v4.sin_addr) == 1) {
		address.v4.sin_family = AF_INET;
		address.v4.sin_port = htons((uint16_t)port);
		*size = sizeof(address.v4);
	} else if (inet_pton(AF_INET6, text, &address.v6.sin6_addr) == 1) {
		address.v6.sin6_family = AF_INET6;
		address.v6.sin6_port = htons((uint16_t)port);
		*size = sizeof(address.v6);
	} else {
		return false;
	}
	*out = address;
	return true;
}

bool server_is_loopback(const char *text, bool *known)
{
	union address address;
	socklen_t size;

	*known = parse_address(text, 0, &address, &size);
	if (!*known)
		return false;
	if (address.any.sa_family == AF_INET)
		return ntohl(address.v4.sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&address.v6.sin6_addr);
}

static struct error *cannot_listen(int errnum, const struct server_options *options)
{
	struct error *err =
		error_errno(errnum, "cannot listen on %s port %u", options->address, options->port);

	if (errnum == EADDRINUSE)
		return error_hint(err,
			"another port: --listen %s:%u, or any that is free: "
			"--listen %s:0",
			options->address, options->port < 65535 ? options->port + 1 : 8080,
			options->address);
	if (errnum == EADDRNOTAVAIL)
		return error_hint(err, "an address of this host's; ip address shows them");
	if (errnum == EACCES)
		return error_hint(err, "a port above 1023: --listen %s:8080", options->address);
	return err;
}

static struct error *listen_on(struct server *server, const struct server_options *options)
{
	union address address;
	socklen_t size;
	int one = 1;

	if (!parse_address(options->address, options->port, &address, &size))
		return error_hint(error_new(ERROR_USAGE, "'%s' is no IP address", options->address),
			"--listen 127.0.0.1:8080, --listen [::1]:8080");
	_cleanup_close_ int fd =
		socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return error_errno(errno, "cannot make a socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, &address.any, size) < 0 || listen(fd, BACKLOG) < 0)
		return cannot_listen(errno, options);
	if (getsockname(fd, &address.any, &size) < 0)
		return error_errno(errno, "cannot tell the port that was taken");
	server->access.port = ntohs(
		address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
	snprintf(server->access.address, sizeof(server->access.address),
		address.any.sa_family == AF_INET6 ? "[%s]" : "%s", options->address);
	server->listen_fd = take_fd(&fd);
	return NULL;
}

/* ---- the daemon ---- */

struct error *server_random_hex(char *out)
{
	unsigned char bytes[32];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return error_errno(errno, "cannot make a secret");
	for (size_t i = 0; i < sizeof(bytes); i++)
		sprintf(out + 2 * i, "%02x", bytes[i]);
	return NULL;
}

static void note_complaint(void *context, const char *format, va_list args)
{
	struct server *server = context;

	/* only what it says before it runs is asked for */
	if (!server->daemon)
		vsnprintf(server->complaint, sizeof(server->complaint), format, args);
}

/* As many connections as the limit of open files allows, each with a file that it is sent. */
static unsigned int connections(void)
{
	const rlim_t wanted = 2 * CONNECTIONS + OTHER_FDS;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 256;
	if (limit.rlim_cur < wanted) {
		limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
		setrlimit(RLIMIT_NOFILE, &limit);
		getrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur >= wanted)
		return CONNECTIONS;
	return limit.rlim_cur > 2 * OTHER_FDS ? ((unsigned int)limit.rlim_cur - OTHER_FDS) / 2
					      : (unsigned int)limit.rlim_cur / 4;
}

/* The path is taken apart by us, from the target as it was sent. */
static size_t leave_as_it_is(void *context, struct MHD_Connection *connection, char *text)
{
	(void)context;
	(void)connection;
	return strlen(text);
}

static struct error *start_daemon(struct server *server)
{
	static const char priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
	unsigned int flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL |
			     MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
	struct MHD_OptionItem tls[] = {
		{MHD_OPTION_HTTPS_MEM_CERT, 0, server->cert},
		{MHD_OPTION_HTTPS_MEM_KEY, 0, server->key},
		{MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)priorities},
		{MHD_OPTION_END, 0, NULL},
	};
	struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};

	if (server->cert)
		flags |= MHD_USE_TLS;
	server->daemon = MHD_start_daemon(flags, 0, NULL, NULL, exchange_handle, server,
		MHD_OPTION_EXTERNAL_LOGGER, note_complaint, server, MHD_OPTION_LISTEN_SOCKET,
		server->listen_fd, MHD_OPTION_THREAD_POOL_SIZE, (unsigned int)DAEMON_THREADS,
		MHD_OPTION_CONNECTION_LIMIT, connections(), MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		REQUEST_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)SILENT_S,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_UNESCAPE_CALLBACK, leave_as_it_is, NULL,
		MHD_OPTION_URI_LOG_CALLBACK, exchange_begin, server, MHD_OPTION_NOTIFY_COMPLETED,
		exchange_end, server, MHD_OPTION_NOTIFY_CONNECTION, clients_notify, server,
		MHD_OPTION_ARRAY, server->cert ? tls : none, MHD_OPTION_END);
	if (server->daemon) {
		server->listen_fd = -1; /* the daemon's now */
		return NULL;
	}
	return error_hint(error_new(ERROR_SETUP, "cannot start the server%s%s",
				  *server->complaint ? ": " : "", server->complaint),
		server->cert ? "check that --cert and --key are PEM files that belong together"
			     : "fleetlab doctor");
}

/* ---- the server ---- */

static struct error *check(const struct server_options *options)
{
	bool known, loopback = server_is_loopback(options->address, &known);

	if (!loopback && known && (!options->token || !*options->token))
		return error_hint(error_new(ERROR_USAGE,
					  "%s can be reached from other hosts: that wants a token",
					  options->address),
			"--token-file FILE, or --listen 127.0.0.1:%u", options->port);
	if (!options->cert != !options->key)
		return error_hint(error_new(ERROR_USAGE, "TLS wants a certificate and its key"),
			"--cert CERT.pem --key KEY.pem");
	return NULL;
}

static char *copy_of(const char *text)
{
	return text ? format_string("%s", text) : NULL;
}

static struct error *start(struct server *server, const struct server_options *options)
{
	bool known;

	try_(listen_on(server, options));
	server->access.loopback = server_is_loopback(options->address, &known);
	server->access.tls = options->cert != NULL;
	server->access.token = server->token;
	try_(server_random_hex(server->access.cookie));
	server->url = format_string("http%s://%s:%u/", server->access.tls ? "s" : "",
		server->access.address, server->access.port);
	try_(store_create(options->results_dir, ready_make, server, &server->store));
	server->live = live_create(server->store);
	try_(events_create(server->store, server->live, &server->events));
	try_(workers_start(server));
	try_(clients_start(server));
	return start_daemon(server);
}

struct error *server_create(const struct server_options *options, struct server **server)
{
	_cleanup_server_ struct server *made = calloc(1, sizeof(*made));

	if (!made)
		abort();
	made->listen_fd = -1;
	made->request_ms = options->request_ms ? options->request_ms : REQUEST_MS;
	made->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&made->clients_lock, NULL);
	pthread_mutex_init(&made->jobs_lock, NULL);
	pthread_cond_init(&made->jobs_there, NULL);
	g_queue_init(&made->clients);
	g_queue_init(&made->jobs);
	made->workers = g_ptr_array_new();
	made->pages = pages_create();
	made->kept = kept_create(KEPT_BYTES);
	made->fleets = fleets_create();
	made->token = copy_of(options->token);
	made->cert = copy_of(options->cert);
	made->key = copy_of(options->key);
	try_(check(options));
	try_(start(made, options));
	*server = take_ptr(made);
	return NULL;
}

/* libmicrohttpd (0.9.75) follows a NULL pointer when it is stopped while it refuses a malformed
 * request: it is stopped when there is no request any more. */
static void stop_daemon(struct server *server)
{
	int listening = server->daemon ? MHD_quiesce_daemon(server->daemon) : -1;

	if (listening >= 0)
		close(listening);
	clients_drain(server);
	if (server->daemon)
		MHD_stop_daemon(server->daemon);
}

/* Connections that wait are let go first: the daemon ends when all its connections have. */
void server_destroy(struct server *server)
{
	if (!server)
		return;
	events_end(server->events);
	workers_stop(server);
	eventfd_write(server->stop_fd, 1);
	clients_stop(server);
	stop_daemon(server);
	events_destroy(server->events);
	live_destroy(server->live);
	store_destroy(server->store);
	pages_destroy(server->pages);
	kept_destroy(server->kept);
	fleets_destroy(server->fleets);
	g_ptr_array_free(server->workers, TRUE);
	if (server->listen_fd >= 0)
		close(server->listen_fd);
	if (server->stop_fd >= 0)
		close(server->stop_fd);
	pthread_mutex_destroy(&server->clients_lock);
	pthread_mutex_destroy(&server->jobs_lock);
	pthread_cond_destroy(&server->jobs_there);
	free(server->token);
	free(server->cert);
	free(server->key);
	free(server->url);
	free(server);
}

const char *server_url(const struct server *server)
{
	return server->url;
}
