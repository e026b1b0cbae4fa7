/* A cable whose frames go through a stream: see cable.h. One thread: neither direction may wait for
 * the other, or both ends could wait for each other. */
#include "harness/lab/cable.h"
#include "harness/base/fs.h"
#include "harness/lab/network.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum {
	HEADER_BYTES = 2,
	FRAME_LEAST = 14, /* of an Ethernet frame, without its checksum */
	FRAME_MOST = 9018,
	ROOM = HEADER_BYTES + FRAME_MOST,
	STREAM_ROOM = 64 << 10,
};

struct cable {
	int tap, stream;
	unsigned char out[ROOM]; /* the frame that is being sent */
	size_t out_used, out_sent;
	unsigned char in[STREAM_ROOM]; /* begins with a frame's length */
	size_t in_used;
};

struct error *cable_plug(const char *link, int *tap)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	_cleanup_close_ int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	snprintf(request.ifr_name, IFNAMSIZ, "%.11s.p", link);
	const struct port_spec port = {.tap = request.ifr_name, .link = link};
	const struct link_spec there = {.name = link};

	try_(network_add_ports(&there, 1, &port, 1));
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
		return error_errno(errno, "cannot plug a cable into the link %s", link);
	*tap = take_fd(&fd);
	return NULL;
}

static bool has_to_send(const struct cable *cable)
{
	return cable->out_sent < cable->out_used;
}

static void take_frame(struct cable *cable)
{
	ssize_t n = read(cable->tap, cable->out + HEADER_BYTES, FRAME_MOST);

	if (n < FRAME_LEAST)
		return;
	cable->out[0] = (unsigned char)(n >> 8);
	cable->out[1] = (unsigned char)n;
	cable->out_used = HEADER_BYTES + (size_t)n;
	cable->out_sent = 0;
}

static bool is_passing(int number)
{
	return number == EINTR || number == EAGAIN;
}

/* False at the end of the stream. */
static bool send_frame(struct cable *cable)
{
	ssize_t n = send(cable->stream, cable->out + cable->out_sent,
		cable->out_used - cable->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0)
		return is_passing(errno);
	cable->out_sent += (size_t)n;
	return true;
}

/* Gives the link all whole frames that have come. One that it does not take is lost. False: what
 * comes is no frame. */
static bool deliver(struct cable *cable)
{
	size_t at = 0;

	while (cable->in_used - at >= HEADER_BYTES) {
		size_t length = (size_t)cable->in[at] << 8 | cable->in[at + 1];

		if (length < FRAME_LEAST || length > FRAME_MOST)
			return false;
		if (cable->in_used - at < HEADER_BYTES + length)
			break;
		if (write(cable->tap, cable->in + at + HEADER_BYTES, length) < 0 && errno == EBADFD)
			return false;
		at += HEADER_BYTES + length;
	}
	cable->in_used -= at;
	memmove(cable->in, cable->in + at, cable->in_used);
	return true;
}

static bool receive_frames(struct cable *cable)
{
	ssize_t n = recv(cable->stream, cable->in + cable->in_used, STREAM_ROOM - cable->in_used,
		MSG_DONTWAIT);

	if (n <= 0)
		return n < 0 && is_passing(errno);
	cable->in_used += (size_t)n;
	return deliver(cable);
}

void cable_carry(int tap, int stream)
{
	struct cable *cable = calloc(1, sizeof(*cable));
	bool whole = true;

	if (!cable)
		abort();
	cable->tap = tap;
	cable->stream = stream;
	while (whole) {
		bool full = has_to_send(cable);
		struct pollfd pfds[] = {
			{.fd = stream, .events = (short)(full ? POLLIN | POLLOUT : POLLIN)},
			{.fd = full ? -1 : tap, .events = POLLIN},
		};

		/* Without a deadline: a cable lies there as long as its ends. */
		if (poll(pfds, 2, -1) < 0) {
			whole = errno == EINTR;
			continue;
		}
		if (pfds[0].revents & (POLLIN | POLLHUP | POLLERR))
			whole = receive_frames(cable);
		if (pfds[1].revents)
			take_frame(cable);
		if (whole && has_to_send(cable))
			whole = send_frame(cable);
	}
	close(tap);
	close(stream);
	free(cable);
}
