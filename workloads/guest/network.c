/* Sockets for the network benchmarks: see network.h. */
#include "workloads/guest/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

bool network_is_server(const struct network_options *options)
{
	if (strcmp(options->role, "server") == 0)
		return true;
	if (strcmp(options->role, "client") != 0)
		die("--role: '%s' is neither server nor client", options->role);
	return false;
}

const char *network_reason(void)
{
	return errno == EAGAIN ? "the deadline passed" : strerror(errno);
}

void network_set_timeout(int fd, uint64_t milliseconds)
{
	struct timeval timeout = {
		(time_t)(milliseconds / 1000), (suseconds_t)(milliseconds % 1000 * 1000)};

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0)
		die_errno("cannot give a socket a deadline");
}

static int serve(struct network_options *options, int fd, int type, struct sockaddr_in *address)
{
	socklen_t length = sizeof(*address);
	int one = 1;
	int connection;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)address, sizeof(*address)) < 0)
		die_errno("cannot listen at port %u", ntohs(address->sin_port));
	if (type == SOCK_STREAM && listen(fd, 1) < 0)
		die_errno("cannot listen at port %u", ntohs(address->sin_port));
	if (getsockname(fd, (struct sockaddr *)address, &length) < 0)
		die_errno("cannot find out the port");
	background_ready(&options->background, ntohs(address->sin_port));
	if (type != SOCK_STREAM)
		return fd;
	connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	if (connection < 0)
		die("no client has come: %s", network_reason());
	close(fd);
	network_set_timeout(connection, options->deadline_ms);
	return connection;
}

int network_open(struct network_options *options, int type)
{
	bool server = network_is_server(options);
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)options->port)};
	int fd;

	if (!options->host && !server)
		die("--host: which server?");
	if (options->host && inet_pton(AF_INET, options->host, &address.sin_addr) != 1)
		die("--host: '%s' is not an IPv4 address", options->host);
	if (server)
		background_start(&options->background);
	else if (options->background.wanted)
		die("--daemon is for servers");
	fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die_errno("cannot open a socket");
	network_set_timeout(fd, options->deadline_ms);
	if (server)
		return serve(options, fd, type, &address);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("cannot connect to %s port %u: %s", options->host, (unsigned int)options->port,
			errno == EINPROGRESS ? "the deadline passed" : strerror(errno));
	return fd;
}
