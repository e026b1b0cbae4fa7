/*
 * udp-pingpong: the baseline without a stream's machinery. Datagrams that fit an Ethernet frame, in
 * order, a window of them under way, go-back-N when one is lost. An answer acknowledges its
 * question.
 */
#include "workloads/guest/background.h"
#include "workloads/guest/json.h"
#include "workloads/guest/network.h"
#include "workloads/guest/pingpong.h"
#include "workloads/shm/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define MAGIC UINT32_C(0x75647030)
#define ALL UINT32_MAX /* as the index of an acknowledgement: every datagram */
#define DATAGRAM 1472  /* 1500 of an Ethernet frame less IP's 20 and UDP's 8 */

struct header {
	uint32_t magic;
	uint32_t kind; /* enum kind */
	uint32_t transfer;
	uint32_t index; /* of a datagram in its transfer; for ACK: the next one wanted */
};

enum kind { DATA, ACK };

#define BODY (DATAGRAM - sizeof(struct header))

struct udp_transport {
	struct transport transport;
	int fd;
	bool server, connected;
	uint64_t window, deadline_ms, retransmissions;
	/* The transfer sent last, until it is known to have arrived. */
	const uint8_t *from;
	size_t bytes;
	uint32_t out, sent, acknowledged, total;
	uint32_t in;
};

static void put(struct udp_transport *udp, const struct header *header, const void *body, size_t n)
{
	struct iovec parts[2] = {{(void *)header, sizeof(*header)}, {(void *)body, n}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = n ? 2 : 1};

	udp->transport.sends++;
	/* Refused: the other side may have gone after its last word; the deadline will tell. */
	if (sendmsg(udp->fd, &message, 0) < 0 && errno != ECONNREFUSED && errno != ENOBUFS)
		die("cannot send: %s", network_reason());
}

static void put_window(struct udp_transport *udp)
{
	while (udp->sent < udp->total && udp->sent < udp->acknowledged + udp->window) {
		struct header header = {MAGIC, DATA, udp->out, udp->sent};
		size_t start = udp->sent * BODY;

		put(udp, &header, udp->from + start,
			udp->bytes - start < BODY ? udp->bytes - start : BODY);
		udp->sent++;
	}
}

static void put_ack(struct udp_transport *udp, uint32_t transfer, uint32_t next)
{
	struct header header = {MAGIC, ACK, transfer, next};

	put(udp, &header, NULL, 0);
}

/* One datagram; false when it is time to send again. */
static bool get(struct udp_transport *udp, struct header *header, uint8_t *body, size_t *bytes)
{
	struct sockaddr_in from;
	struct iovec parts[2] = {{header, sizeof(*header)}, {body, BODY}};
	struct msghdr message = {
		.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = parts, .msg_iovlen = 2};
	ssize_t got = recvmsg(udp->fd, &message, 0);

	udp->transport.receives++;
	if (got < 0 && (errno == EAGAIN || errno == ECONNREFUSED))
		return false;
	if (got < 0)
		die_errno("cannot receive");
	if ((size_t)got < sizeof(*header) || header->magic != MAGIC) {
		header->kind = ACK; /* not ours: one that acknowledges nothing */
		header->transfer = 0;
		return true;
	}
	if (!udp->connected) {
		if (connect(udp->fd, (struct sockaddr *)&from, sizeof(from)) < 0)
			die_errno("cannot connect to the client");
		udp->connected = true;
	}
	*bytes = (size_t)got - sizeof(*header);
	return true;
}

static void take_ack(struct udp_transport *udp, const struct header *header)
{
	uint32_t index = header->index == ALL ? udp->total : header->index;

	if (header->transfer == udp->out && index > udp->acknowledged && index <= udp->total)
		udp->acknowledged = index;
	if (udp->sent < udp->acknowledged)
		udp->sent = udp->acknowledged;
}

/* Silence: what is not known to have arrived goes out again. */
static void go_back(struct udp_transport *udp)
{
	if (udp->acknowledged == udp->total)
		return;
	udp->retransmissions++;
	udp->sent = udp->acknowledged;
	put_window(udp);
}

/* Puts a datagram of the awaited transfer into place; acknowledges now and then. */
static void take_data(struct udp_transport *udp, const struct header *header, const uint8_t *body,
	size_t got, uint8_t *to, size_t bytes, uint32_t *next)
{
	uint32_t total = (uint32_t)((bytes + BODY - 1) / BODY);
	size_t start = header->index * BODY;
	size_t wanted = bytes - start < BODY ? bytes - start : BODY;

	if (header->transfer != udp->in || header->index != *next) {
		/* Behind or out of order: say where we are. Of the transfer before, all. */
		if ((int32_t)(header->transfer - udp->in) < 0)
			put_ack(udp, header->transfer, ALL);
		else if (header->transfer == udp->in)
			put_ack(udp, udp->in, *next);
		return;
	}
	if (got != wanted)
		die("the other side sends a datagram of %zu bytes where %zu belong", got, wanted);
	memcpy(to + start, body, got);
	++*next;
	if (*next % (udp->window / 2) == 0 && *next < total)
		put_ack(udp, udp->in, *next);
}

static void udp_send(struct transport *transport, const void *from, size_t bytes)
{
	struct udp_transport *udp = (struct udp_transport *)transport;
	uint64_t deadline = deadline_in_ms(udp->deadline_ms);

	udp->out++;
	udp->from = from;
	udp->bytes = bytes;
	udp->total = (uint32_t)((bytes + BODY - 1) / BODY);
	udp->sent = udp->acknowledged = 0;
	put_window(udp);
	/* The last window is the answer's to acknowledge. */
	while (udp->sent < udp->total) {
		struct header header;
		uint8_t body[BODY];
		size_t got = 0;

		if (!get(udp, &header, body, &got))
			go_back(udp);
		else if (header.kind == ACK)
			take_ack(udp, &header);
		else
			put_ack(udp, header.transfer, ALL);
		put_window(udp);
		if (clock_now() >= deadline)
			die("the deadline passed while sending");
	}
}

static void udp_receive(struct transport *transport, void *to, size_t bytes)
{
	struct udp_transport *udp = (struct udp_transport *)transport;
	uint64_t deadline = deadline_in_ms(udp->deadline_ms);
	uint32_t total = (uint32_t)((bytes + BODY - 1) / BODY);
	uint32_t next = 0;

	udp->in++;
	while (next < total) {
		struct header header;
		uint8_t body[BODY];
		size_t got = 0;

		if (!get(udp, &header, body, &got)) {
			go_back(udp);
			if (clock_now() >= deadline)
				die("the deadline passed while receiving");
		} else if (header.kind == ACK) {
			take_ack(udp, &header);
		} else {
			take_data(udp, &header, body, got, to, bytes, &next);
		}
	}
	udp->acknowledged = udp->total; /* as this is the answer */
}

/* The last word has no answer, so it needs an acknowledgement, and its sender some patience. */
static void finish(struct udp_transport *udp)
{
	for (int tries = 0; udp->server && tries < 5 && udp->acknowledged < udp->total;) {
		struct header header;
		uint8_t body[BODY];
		size_t got = 0;

		if (!get(udp, &header, body, &got)) {
			go_back(udp);
			tries++;
		} else if (header.kind == ACK) {
			take_ack(udp, &header);
		}
	}
	if (!udp->server)
		put_ack(udp, udp->in, ALL);
}

void command_udp_pingpong(int argc, char **argv)
{
	struct network_options network = NETWORK_DEFAULTS;
	struct pingpong_options pingpong = PINGPONG_DEFAULTS;
	struct udp_transport udp = {.transport = {udp_send, udp_receive, 0, 0}, .window = 32};
	uint64_t retransmit_ms = 50;
	const struct option_row rows[] = {
		NETWORK_ROWS(&network),
		PINGPONG_ROWS(&pingpong),
		{"window", OPTION_NUMBER, &udp.window, 2, 1024, "datagrams under way (32)"},
		{"retransmit-ms", OPTION_NUMBER, &retransmit_ms, 1, 60000,
			"silence before sending again (50)"},
		{0},
	};

	options_parse(rows, argc, argv);
	udp.fd = network_open(&network, SOCK_DGRAM);
	network_set_timeout(udp.fd, retransmit_ms);
	udp.deadline_ms = network.deadline_ms;
	udp.server = network_is_server(&network);
	udp.connected = !udp.server;
	if (udp.server)
		pingpong_answer(&udp.transport);
	else
		pingpong_ask(&udp.transport, &pingpong);
	finish(&udp);
	json_number("window", udp.window);
	json_number("retransmissions", udp.retransmissions);
	json_print();
}
