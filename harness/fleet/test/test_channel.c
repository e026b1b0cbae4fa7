/* A channel between two processes: all bytes, in order, both ways; and a peer that lies. */
#include "harness/base/test/support.h"
#include "harness/fleet/channel.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { SIZE = 256 << 10, STREAM_BYTES = 5 << 20 };

static struct deadline soon(void)
{
	return deadline_after_ms(TEST_TIMEOUT_MS);
}

/* Stays mapped: ends of channels are closed after a test's last line. */
static void *shared_memory(void)
{
	void *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	assert_ok(channel_format(memory, SIZE));
	return memory;
}

/* The i-th byte of a stream: no period that fits a ring. */
static unsigned char byte_at(size_t i, unsigned int seed)
{
	return (unsigned char)((i * 2654435761U + seed) >> 13);
}

static struct error *send_stream(struct channel *channel, unsigned int seed)
{
	static unsigned char chunk[10007];
	size_t sent = 0;

	while (sent < STREAM_BYTES) {
		size_t n = sizeof(chunk);

		if (n > STREAM_BYTES - sent)
			n = STREAM_BYTES - sent;
		for (size_t i = 0; i < n; i++)
			chunk[i] = byte_at(sent + i, seed);
		try_(channel_send(channel, chunk, n, soon()));
		sent += n;
	}
	channel_end(channel);
	return NULL;
}

/* How many bytes came before the first wrong one, or the end. */
static struct error *receive_stream(struct channel *channel, unsigned int seed, size_t *right)
{
	static unsigned char chunk[7001];
	size_t n;

	for (*right = 0;;) {
		try_(channel_receive(channel, chunk, sizeof(chunk), soon(), &n));
		if (n == 0)
			return NULL;
		for (size_t i = 0; i < n; i++, (*right)++) {
			if (chunk[i] != byte_at(*right, seed))
				return NULL;
		}
	}
}

/* The other process: hands back on side 1 what it gets, then ends. */
static int echo(void *memory)
{
	_cleanup_(cleanup_channel) struct channel *channel = NULL;
	_cleanup_error_ struct error *err = NULL;
	size_t right;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	err = channel_open(memory, SIZE, 1, &channel);
	if (!err)
		err = receive_stream(channel, 1, &right);
	if (err || right != STREAM_BYTES)
		return 1;
	err = send_stream(channel, 2);
	return err ? 1 : 0;
}

static pid_t start(int (*body)(void *), void *context)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(body(context));
	assert_true(pid > 0);
	return pid;
}

static int end_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void test_two_processes(void **state)
{
	_cleanup_(cleanup_channel) struct channel *channel = NULL;
	void *memory = shared_memory();
	pid_t peer = start(echo, memory);
	size_t right = 0;

	(void)state;
	assert_ok(channel_open(memory, SIZE, 0, &channel));
	assert_ok(send_stream(channel, 1));
	assert_ok(receive_stream(channel, 2, &right));
	assert_int_equal(right, STREAM_BYTES);
	assert_int_equal(end_of(peer), 0);
}

/* Sets a word of the shared header. */
static void lie(void *memory, size_t offset, uint64_t value)
{
	memcpy((char *)memory + offset, &value, sizeof(value));
}

/* Whatever stands in the header, nothing is read or written outside the memory, and an end that
 * cannot go on says why. The pages around it are not there: leaving it would be a fault. */
static void test_lies(void **state)
{
	static const uint64_t lies[] = {1, SIZE / 2, SIZE, UINT32_MAX, (uint64_t)1 << 63,
		UINT64_MAX, UINT64_MAX - SIZE / 4};
	char *guarded = mmap(NULL, SIZE + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *memory = guarded + 4096;
	char buffer[SIZE];
	unsigned int refused = 0;

	(void)state;
	assert_int_equal(mprotect(memory, SIZE, PROT_READ | PROT_WRITE), 0);
	memset(buffer, 'x', sizeof(buffer));
	for (size_t offset = 0; offset < 384; offset += 8) {
		for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
			_cleanup_(cleanup_channel) struct channel *channel = NULL;
			struct deadline now = deadline_after_ms(0);
			struct error *err;
			size_t n;

			assert_ok(channel_format(memory, SIZE));
			assert_ok(channel_open(memory, SIZE, 0, &channel));
			lie(memory, offset, lies[i]);
			err = channel_send(channel, buffer, SIZE / 4, now);
			if (!err)
				err = channel_receive(channel, buffer, sizeof(buffer), now, &n);
			refused += err && strstr(error_message(err), "cannot have") ? 1 : 0;
			error_destroy(err);
		}
	}
	assert_true(refused >= 8); /* both positions of the peer, more than capacity off */
	munmap(guarded, SIZE + 8192);
}

static void test_deadlines_and_ends(void **state)
{
	void *memory = shared_memory();
	_cleanup_(cleanup_channel) struct channel *one = NULL;
	_cleanup_(cleanup_channel) struct channel *other = NULL;
	_cleanup_free_ char *big = calloc(1, SIZE);
	char byte;
	size_t n;

	(void)state;
	assert_ok(channel_open(memory, SIZE, 0, &one));
	assert_ok(channel_open(memory, SIZE, 1, &other));
	assert_fails(channel_receive(one, &byte, 1, deadline_after_ms(1), &n), ERROR_TIMEOUT,
		"waiting for the writer");
	assert_fails(channel_send(one, big, SIZE, deadline_after_ms(1)), ERROR_TIMEOUT,
		"waiting for the reader");
	channel_stop(other);
	assert_fails(channel_send(one, big, 1, soon()), ERROR_SETUP, "Broken pipe");
	channel_end(other);
	assert_ok(channel_receive(one, &byte, 1, soon(), &n));
	assert_int_equal(n, 0);
	assert_fails(channel_open(memory, SIZE, 0, &one), ERROR_SETUP, "used already");
	memset(memory, 0, SIZE);
	assert_fails(channel_open(memory, SIZE, 0, &one), ERROR_SETUP, "not a channel");
}

struct relayed {
	void *memory;
	int fd;
};

static int relay_side_1(void *context)
{
	struct relayed *relayed = context;
	_cleanup_(cleanup_channel) struct channel *channel = NULL;
	_cleanup_error_ struct error *err = NULL;

	err = channel_open(relayed->memory, SIZE, 1, &channel);
	if (!err)
		err = channel_relay(channel, relayed->fd, soon());
	return err ? 1 : 0;
}

static int relay_side_0(void *context)
{
	struct relayed *relayed = context;
	_cleanup_(cleanup_channel) struct channel *channel = NULL;
	_cleanup_error_ struct error *err = NULL;

	err = channel_open(relayed->memory, SIZE, 0, &channel);
	if (!err)
		err = channel_relay(channel, relayed->fd, soon());
	return err ? 1 : 0;
}

/* socket — channel — socket: what goes in at one end comes out at the other, and so do the ends. */
static void test_relay(void **state)
{
	void *memory = shared_memory();
	int near[2], far[2];
	char text[16] = {0};
	pid_t relays[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, near), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, far), 0);
	relays[0] = fork();
	if (relays[0] == 0) {
		close(near[0]);
		close(far[0]);
		close(far[1]);
		_exit(relay_side_0(&(struct relayed){memory, near[1]}));
	}
	relays[1] = fork();
	if (relays[1] == 0) {
		close(far[0]);
		close(near[0]);
		close(near[1]);
		_exit(relay_side_1(&(struct relayed){memory, far[1]}));
	}
	close(near[1]);
	close(far[1]);
	assert_int_equal(write(near[0], "there", 5), 5);
	assert_int_equal(recv(far[0], text, 5, MSG_WAITALL), 5);
	assert_string_equal(text, "there");
	assert_int_equal(write(far[0], "back", 4), 4);
	memset(text, 0, sizeof(text));
	assert_int_equal(recv(near[0], text, 4, MSG_WAITALL), 4);
	assert_string_equal(text, "back");
	shutdown(near[0], SHUT_WR);
	assert_int_equal(recv(far[0], text, 1, 0), 0); /* one direction has ended … */
	assert_int_equal(write(far[0], "late", 4), 4);
	assert_int_equal(recv(near[0], text, 4, MSG_WAITALL), 4); /* … and the other goes on */
	close(far[0]);
	assert_int_equal(recv(near[0], text, 1, 0), 0);
	close(near[0]);
	assert_int_equal(end_of(relays[0]), 0);
	assert_int_equal(end_of(relays[1]), 0);
	munmap(memory, SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_processes),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_deadlines_and_ends),
		cmocka_unit_test(test_relay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
