/*
 * echo: what a client outside sees of this guest. Datagrams are answered at once with the guest's
 * own clocks; a connection gets a numbered record each interval. A record is made only when the one
 * before has been handed to the kernel whole, so a stream that was held up goes on where it
 * stopped.
 */
#include "workloads/guest/echo_format.h"
#include "workloads/guest/background.h"
#include "workloads/guest/json.h"
#include "workloads/shm/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS_MAX 64
#define DATAGRAMS_AT_ONCE 64
#define PORT_TRIES 16

struct client {
	int fd;
	uint64_t next; /* number of the next record */
	struct echo_record record;
	size_t unsent; /* bytes at the end of `record` */
};

struct echo {
	int datagrams, listener;
	uint16_t port;
	struct client clients[CLIENTS_MAX];
	size_t client_count;
	uint64_t replies, connections, refused, records;
};

static int open_socket(int type, uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1;

	if (fd < 0)
		die_errno("cannot open a socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		(type == SOCK_STREAM && listen(fd, CLIENTS_MAX) < 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* One number for both; where any will do, the datagrams' is chosen by the kernel and may be taken
 * for streams. */
static void open_sockets(struct echo *echo, uint16_t port)
{
	struct sockaddr_in address;
	socklen_t length = sizeof(address);

	for (int i = 0; i < PORT_TRIES; i++) {
		echo->datagrams = open_socket(SOCK_DGRAM, port);
		if (echo->datagrams < 0 ||
			getsockname(echo->datagrams, (struct sockaddr *)&address, &length) < 0)
			die_errno("cannot listen at port %u", port);
		echo->port = ntohs(address.sin_port);
		echo->listener = open_socket(SOCK_STREAM, echo->port);
		if (echo->listener >= 0)
			return;
		if (port)
			break;
		close(echo->datagrams);
	}
	die_errno("cannot listen at port %u", echo->port);
}

static void answer_datagrams(struct echo *echo)
{
	for (int i = 0; i < DATAGRAMS_AT_ONCE; i++) {
		struct echo_datagram datagram;
		struct sockaddr_in from;
		socklen_t length = sizeof(from);
		ssize_t got = recvfrom(echo->datagrams, &datagram, sizeof(datagram), MSG_TRUNC,
			(struct sockaddr *)&from, &length);

		if (got < 0)
			return;
		if (got != sizeof(datagram) || datagram.magic != ECHO_MAGIC || datagram.is_reply)
			continue;
		datagram.is_reply = 1;
		datagram.realtime_ns = clock_real();
		datagram.monotonic_ns = clock_now();
		if (sendto(echo->datagrams, &datagram, sizeof(datagram), 0,
			    (struct sockaddr *)&from, length) == sizeof(datagram))
			echo->replies++;
	}
}

static void accept_clients(struct echo *echo)
{
	for (;;) {
		int fd = accept4(echo->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		int one = 1;

		if (fd < 0)
			return;
		if (echo->client_count == CLIENTS_MAX) {
			echo->refused++;
			close(fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		echo->clients[echo->client_count++] = (struct client){.fd = fd};
		echo->connections++;
	}
}

static void make_record(struct client *client)
{
	client->record = (struct echo_record){.magic = ECHO_RECORD_MAGIC,
		.number = client->next,
		.monotonic_ns = clock_now(),
		.filler = echo_filler(client->next)};
	client->record.checksum = echo_checksum(&client->record);
	client->unsent = sizeof(client->record);
	client->next++;
}

/* False when the client has gone. */
static bool send_record(struct echo *echo, struct client *client)
{
	const char *end = (const char *)(&client->record + 1);
	ssize_t sent;

	if (!client->unsent)
		make_record(client);
	sent = send(client->fd, end - client->unsent, client->unsent, MSG_NOSIGNAL);
	if (sent < 0)
		return errno == EAGAIN;
	client->unsent -= (size_t)sent;
	if (!client->unsent)
		echo->records++;
	return true;
}

static void send_records(struct echo *echo)
{
	for (size_t i = 0; i < echo->client_count;) {
		if (send_record(echo, &echo->clients[i])) {
			i++;
			continue;
		}
		close(echo->clients[i].fd);
		echo->clients[i] = echo->clients[--echo->client_count];
	}
}

static void serve(struct echo *echo, uint64_t interval_ns, uint64_t end)
{
	uint64_t due = clock_now();

	while (!background_ended()) {
		struct pollfd pfds[] = {{.fd = echo->datagrams, .events = POLLIN},
			{.fd = echo->listener, .events = POLLIN}};
		uint64_t now = clock_now();
		uint64_t next = echo->client_count ? due : end;

		if (now >= end)
			return;
		background_poll(pfds, 2, next);
		answer_datagrams(echo);
		accept_clients(echo);
		now = clock_now();
		if (now < due)
			continue;
		send_records(echo);
		/* Late is late: what could not be sent in time is not made up for. */
		due += interval_ns;
		if (due <= now)
			due = now + interval_ns;
	}
}

void command_echo(int argc, char **argv)
{
	static struct echo echo;
	struct background background = {0};
	uint64_t port = ECHO_PORT, interval_us = 1000, seconds = 0;
	const struct option_row rows[] = {
		{"port", OPTION_NUMBER, &port, 0, 65535,
			"of datagrams and streams (7007); 0 chooses a free one"},
		{"interval-us", OPTION_NUMBER, &interval_us, 100, 1000000,
			"between two records of a stream (1000)"},
		{"seconds", OPTION_NUMBER, &seconds, 0, 86400, "how long; 0: until ended (0)"},
		BACKGROUND_ROWS(&background),
		{0},
	};

	options_parse(rows, argc, argv);
	background_start(&background);
	background_endable();
	open_sockets(&echo, (uint16_t)port);
	background_ready(&background, echo.port);
	serve(&echo, interval_us * 1000, seconds ? deadline_in_ms(seconds * 1000) : UINT64_MAX);
	json_number("port", echo.port);
	json_number("replies", echo.replies);
	json_number("connections", echo.connections);
	json_number("refused", echo.refused);
	json_number("records", echo.records);
	json_print();
}
