/*
 * tcp-pingpong: the baseline over the virtual network, in two honest forms: as who cares writes it
 * (TCP_NODELAY, header and body in one call) and as who does not (no options, two writes).
 */
#include "workloads/guest/background.h"
#include "workloads/guest/json.h"
#include "workloads/guest/network.h"
#include "workloads/guest/pingpong.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

struct tcp_transport {
	struct transport transport;
	int fd;
	bool naive;
	uint64_t chunk; /* largest write of a body; 0: all at once */
};

static void write_all(struct tcp_transport *tcp, struct iovec *parts, int count)
{
	while (count) {
		ssize_t written = count > 1 ? writev(tcp->fd, parts, count)
					    : write(tcp->fd, parts->iov_base, parts->iov_len);

		tcp->transport.sends++;
		if (written < 0)
			die("cannot send: %s", network_reason());
		while (count && (size_t)written >= parts->iov_len) {
			written -= (ssize_t)parts->iov_len;
			parts++;
			count--;
		}
		if (count) {
			parts->iov_base = (char *)parts->iov_base + written;
			parts->iov_len -= (size_t)written;
		}
	}
}

static void read_all(struct tcp_transport *tcp, void *to, size_t bytes)
{
	while (bytes) {
		ssize_t got = read(tcp->fd, to, bytes);

		tcp->transport.receives++;
		if (got == 0)
			die("the other side has closed the connection");
		if (got < 0)
			die("cannot receive: %s", network_reason());
		to = (char *)to + got;
		bytes -= (size_t)got;
	}
}

static void tcp_send(struct transport *transport, const void *from, size_t bytes)
{
	struct tcp_transport *tcp = (struct tcp_transport *)transport;
	uint32_t length = (uint32_t)bytes;
	struct iovec parts[2] = {{&length, sizeof(length)}, {(void *)from, bytes}};

	if (!tcp->naive && !tcp->chunk) {
		write_all(tcp, parts, 2);
		return;
	}
	write_all(tcp, parts, 1);
	for (size_t done = 0; done < bytes;) {
		size_t part = tcp->chunk && tcp->chunk < bytes - done ? tcp->chunk : bytes - done;

		parts[1] = (struct iovec){(char *)from + done, part};
		write_all(tcp, parts + 1, 1);
		done += part;
	}
}

static void tcp_receive(struct transport *transport, void *to, size_t bytes)
{
	struct tcp_transport *tcp = (struct tcp_transport *)transport;
	uint32_t length;

	read_all(tcp, &length, sizeof(length));
	if (length != bytes)
		die("the other side sends %u bytes where %zu belong", length, bytes);
	read_all(tcp, to, bytes);
}

static void set_nodelay(int fd)
{
	int one = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		die_errno("cannot set TCP_NODELAY");
}

void command_tcp_pingpong(int argc, char **argv)
{
	struct network_options network = NETWORK_DEFAULTS;
	struct pingpong_options pingpong = PINGPONG_DEFAULTS;
	bool nodelay = false;
	struct tcp_transport tcp = {.transport = {tcp_send, tcp_receive, 0, 0}};
	const struct option_row rows[] = {
		NETWORK_ROWS(&network),
		PINGPONG_ROWS(&pingpong),
		{"nodelay", OPTION_FLAG, &nodelay, 0, 0,
			"TCP_NODELAY, header and body in one call; without: naive"},
		{"chunk", OPTION_NUMBER, &tcp.chunk, 1, UINT32_MAX,
			"bytes of a body written at once (all)"},
		{0},
	};

	options_parse(rows, argc, argv);
	tcp.naive = !nodelay;
	tcp.fd = network_open(&network, SOCK_STREAM);
	if (nodelay)
		set_nodelay(tcp.fd);
	json_bool("nodelay", nodelay);
	if (network_is_server(&network))
		pingpong_answer(&tcp.transport);
	else
		pingpong_ask(&tcp.transport, &pingpong);
	json_print();
}
