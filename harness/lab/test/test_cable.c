/* A cable's near end: frames of the link come out of its stream, frames of the stream on the link,
 * and what is no frame ends it. Needs root. */
#include "harness/lab/test/in_lab.h"
#include "harness/lab/cable.h"
#include "harness/lab/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

enum { FRAME_BYTES = 60, HEADER_BYTES = 2 };

static const struct link_spec links[] = {{"lan", "10.77.0.254/24", 0, 0}};

struct laid {
	int stream;
	pid_t carrier;
};

static int lay(struct laid *laid)
{
	int pair[2], tap;

	check_ok(network_create(links, 1, NULL, 0));
	check_ok(cable_plug("lan", &tap));
	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	laid->carrier = fork();
	if (laid->carrier == 0) {
		close(pair[0]);
		cable_carry(tap, pair[1]);
		_exit(0);
	}
	close(pair[1]);
	close(tap);
	laid->stream = pair[0];
	return 0;
}

static bool read_exactly(int fd, unsigned char *data, size_t size)
{
	for (size_t used = 0; used < size;) {
		struct pollfd pfd = {.fd = fd, .events = POLLIN};
		ssize_t n = poll(&pfd, 1, TEST_TIMEOUT_MS) > 0 ? read(fd, data + used, size - used)
							       : -1;

		if (n <= 0)
			return false;
		used += (size_t)n;
	}
	return true;
}

/* Whether frames come until one goes to everybody. */
static bool comes_broadcast(int stream)
{
	static const unsigned char everybody[6] = {255, 255, 255, 255, 255, 255};
	unsigned char header[HEADER_BYTES], frame[1 << 16];

	while (read_exactly(stream, header, HEADER_BYTES)) {
		size_t length = (size_t)header[0] << 8 | header[1];

		if (length < 14 || !read_exactly(stream, frame, length))
			return false;
		if (memcmp(frame, everybody, sizeof(everybody)) == 0)
			return true;
	}
	return false;
}

static bool say_to_everybody(void)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(7)};

	inet_pton(AF_INET, "10.77.0.255", &to.sin_addr);
	return setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &(int){1}, sizeof(int)) == 0 &&
	       sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)) == 1;
}

static bool has_received(uint64_t frames)
{
	struct deadline deadline = SOON;
	uint64_t count = 0;

	while (count < frames && !deadline_passed(deadline)) {
		error_destroy(network_counter("lan.p", "rx_packets", &count));
		poll(NULL, 0, 1); /* counters tell nobody */
	}
	return count >= frames;
}

static int carries(void *context)
{
	unsigned char frames[2 * (HEADER_BYTES + FRAME_BYTES)] = {0};
	size_t second = HEADER_BYTES + FRAME_BYTES;
	struct laid laid;

	(void)context;
	check(lay(&laid) == 0);
	check(say_to_everybody() && comes_broadcast(laid.stream));
	frames[1] = frames[second + 1] = FRAME_BYTES;
	memset(frames + HEADER_BYTES, 0x02, 12); /* addresses: local ones */
	memset(frames + second + HEADER_BYTES, 0x02, 12);
	/* Cut where a stream may cut: within a length, and within a frame. */
	check(write(laid.stream, frames, 1) == 1);
	check(write(laid.stream, frames + 1, second) == (ssize_t)second);
	check(has_received(1));
	check(write(laid.stream, frames + second + 1, sizeof(frames) - second - 1) ==
		(ssize_t)(sizeof(frames) - second - 1));
	check(has_received(2));
	close(laid.stream);
	check(waitpid(laid.carrier, NULL, 0) == laid.carrier);
	return 0;
}

static int ends(void *context)
{
	const unsigned char *length = context;
	unsigned char rest[1 << 12];
	int status;
	struct laid laid;

	check(lay(&laid) == 0);
	check(write(laid.stream, length, HEADER_BYTES) == HEADER_BYTES);
	while (read_exactly(laid.stream, rest, 1))
		;
	check(process_wait(laid.carrier, SOON, &status) && WIFEXITED(status));
	return 0;
}

static void frames_go_both_ways(void **state)
{
	skip_without_root();
	assert_int_equal(run_body(carries, NULL, false), 0);
}

static void what_is_no_frame_ends_it(void **state)
{
	static unsigned char lengths[][HEADER_BYTES] = {{0, 0}, {0, 13}, {255, 255}, {35, 59}};

	skip_without_root();
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++)
		assert_int_equal(run_body(ends, lengths[i], false), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		lab_test(frames_go_both_ways),
		lab_test(what_is_no_frame_ends_it),
	};

	return cmocka_run_group_tests(tests, enter_own_host, NULL);
}
