/* Carrying bytes between sockets: see relay.h. Must never hold up one direction for the other. */
#include "harness/fleet/relay.h"
#include "harness/base/fs.h"
#include "harness/base/jsonline.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

/* One direction: read from `from` until its end, written to `to`. */
struct flow {
	int from, to;
	char *data;
	size_t begin, end;
	bool ended;
};

enum { FLOW_ROOM = 256 << 10 };

static void flow_end(struct flow *flow)
{
	flow->ended = true;
	shutdown(flow->to, SHUT_WR);
	/* A writer that is not heard any more must notice. */
	shutdown(flow->from, SHUT_RD);
}

static void flow_read(struct flow *flow)
{
	ssize_t n = read(flow->from, flow->data, FLOW_ROOM);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		flow_end(flow);
		return;
	}
	flow->begin = 0;
	flow->end = (size_t)n;
}

static void flow_write(struct flow *flow)
{
	ssize_t n = send(flow->to, flow->data + flow->begin, flow->end - flow->begin, MSG_NOSIGNAL);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n < 0)
		flow_end(flow);
	else
		flow->begin += (size_t)n;
}

static bool has_data(const struct flow *flow)
{
	return flow->begin < flow->end;
}

void relay_streams(int a, int b, int machine)
{
	struct flow flows[2] = {{.from = a, .to = b}, {.from = b, .to = a}};

	fcntl(a, F_SETFL, O_NONBLOCK);
	fcntl(b, F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 2; i++) {
		flows[i].data = malloc(FLOW_ROOM);
		if (!flows[i].data)
			abort();
	}
	while (!flows[0].ended || !flows[1].ended) {
		struct pollfd pfds[3] = {[2] = {.fd = machine, .events = POLLIN}};

		for (int i = 0; i < 2; i++) {
			struct flow *flow = &flows[i];

			pfds[i] = (struct pollfd){.fd = -1};
			if (!flow->ended)
				pfds[i] = has_data(flow) ? (struct pollfd){.fd = flow->to,
								   .events = POLLOUT}
							 : (struct pollfd){.fd = flow->from,
								   .events = POLLIN};
		}
		/* The only wait without a deadline of its own: streams live as long as their ends.
		 */
		if ((poll(pfds, 3, -1) < 0 && errno != EINTR) || pfds[2].revents)
			break;
		for (int i = 0; i < 2; i++) {
			if (!pfds[i].revents)
				continue;
			if (has_data(&flows[i]))
				flow_write(&flows[i]);
			else
				flow_read(&flows[i]);
		}
	}
	for (int i = 0; i < 2; i++)
		free(flows[i].data);
	close(a);
	close(b);
	cleanup_close(&machine);
}

struct relay {
	int fd;
	relay_open *open;
	void (*release)(void *context);
	void *context;
	atomic_uint users; /* its owner, its thread, and connections that are being opened */
};

struct connection {
	struct relay *relay;
	int fd;
};

static void relay_leave(struct relay *relay)
{
	if (atomic_fetch_sub(&relay->users, 1) > 1)
		return;
	cleanup_close(&relay->fd);
	relay->release(relay->context);
	free(relay);
}

static void *carry(void *context)
{
	struct connection connection = *(struct connection *)context;
	_cleanup_error_ struct error *err = NULL;
	int other, machine = -1;

	free(context);
	err = connection.relay->open(connection.relay->context, &other, &machine);
	relay_leave(connection.relay);
	if (err)
		close(connection.fd); /* whoever connected sees the end, and tells */
	else
		relay_streams(connection.fd, other, machine);
	return NULL;
}

static void start_carrying(struct relay *relay, int fd)
{
	struct connection *connection = malloc(sizeof(*connection));
	pthread_t thread;

	if (!connection)
		abort();
	*connection = (struct connection){.relay = relay, .fd = fd};
	atomic_fetch_add(&relay->users, 1);
	if (pthread_create(&thread, NULL, carry, connection) != 0) {
		close(fd);
		free(connection);
		relay_leave(relay);
		return;
	}
	pthread_detach(thread);
}

static bool is_passing(int number)
{
	return number == EMFILE || number == ENFILE || number == ENOMEM || number == ENOBUFS;
}

static void *accept_all(void *context)
{
	struct relay *relay = context;

	for (;;) {
		int fd = accept4(relay->fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0)
			start_carrying(relay, fd);
		else if (is_passing(errno))
			poll(NULL, 0, 10); /* nothing tells that there is room again */
		else if (errno != EINTR && errno != ECONNABORTED)
			break;
	}
	relay_leave(relay);
	return NULL;
}

struct error *relay_listen(const char *path, relay_open *open, void (*release)(void *context),
	void *context, struct relay **relay)
{
	struct relay *made = calloc(1, sizeof(*made));
	struct error *err;
	pthread_t thread;

	if (!made)
		abort();
	*made = (struct relay){
		.fd = -1, .open = open, .release = release, .context = context, .users = 1};
	err = unix_listen(path, &made->fd);
	if (!err) {
		atomic_fetch_add(&made->users, 1);
		if (pthread_create(&thread, NULL, accept_all, made) == 0) {
			pthread_detach(thread);
			*relay = made;
			return NULL;
		}
		relay_leave(made);
		err = error_new(ERROR_SETUP, "cannot start a thread to serve %s", path);
	}
	relay_leave(made);
	return err;
}

void relay_close(struct relay *relay)
{
	if (!relay)
		return;
	shutdown(relay->fd, SHUT_RDWR); /* wakes its thread */
	relay_leave(relay);
}

struct error *tcp_connect(const char *address, unsigned int port, int *fd)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	_cleanup_close_ int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
		return error_new(ERROR_INTERNAL, "'%s' is no IPv4 address", address);
	/* A peer that does not answer, or stops reading, must not block us for ever. */
	setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &(struct timeval){.tv_sec = 30},
		sizeof(struct timeval));
	setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	if (s < 0 || connect(s, (struct sockaddr *)&to, sizeof(to)) < 0)
		return error_errno(errno, "cannot connect to %s:%u", address, port);
	*fd = take_fd(&s);
	return NULL;
}

struct error *tcp_listen(const char *interface, unsigned int port, int *fd)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	_cleanup_close_ int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)); /* inherited */
	if (s < 0 ||
		setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, interface,
			(socklen_t)strlen(interface)) < 0 ||
		bind(s, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(s, 128) < 0)
		return error_errno(errno, "cannot listen on port %u of %s", port, interface);
	*fd = take_fd(&s);
	return NULL;
}
