/* Relays: bytes come through, and one that is closed leaves nothing behind. */
#include "harness/base/test/support.h"
#include "harness/base/clock.h"
#include "harness/base/fs.h"
#include "harness/base/jsonline.h"
#include "harness/fleet/relay.h"

#include <dirent.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What the relay's other end is: the first of a pair, whose second is the test's. */
struct end {
	int fds[2];
	int machine; /* taken by the connection; -1 for ever */
	bool released;
};

static struct error *open_end(void *context, int *fd, int *machine)
{
	struct end *end = context;

	*fd = take_fd(&end->fds[0]);
	*machine = end->machine;
	return NULL;
}

static void release_end(void *context)
{
	struct end *end = context;

	__atomic_store_n(&end->released, true, __ATOMIC_SEQ_CST);
}

static void await_release(struct end *end)
{
	struct deadline deadline = deadline_after_ms(10000);

	while (!__atomic_load_n(&end->released, __ATOMIC_SEQ_CST)) {
		if (deadline_passed(deadline))
			fail_msg("deadline passed while waiting for a closed relay's end");
		poll(NULL, 0, 1);
	}
}

static unsigned int count_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static void a_closed_relay_carries_on_what_it_has(void **state)
{
	(void)state;
	_cleanup_free_ char *path = format_string("/tmp/test_relay.%d", (int)getpid());
	struct end end = {.machine = -1};
	struct relay *relay;
	unsigned int before;
	char byte = 0;
	int fd, other;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, end.fds), 0);
	before = count_open();
	assert_ok(relay_listen(path, open_end, release_end, &end, &relay));
	assert_ok(unix_connect(path, &fd));
	assert_int_equal(write(fd, "a", 1), 1);
	assert_int_equal(read(end.fds[1], &byte, 1), 1);
	assert_int_equal(byte, 'a');
	relay_close(relay);
	await_release(&end);
	assert_fails(unix_connect(path, &other), ERROR_SETUP, "");
	assert_int_equal(write(end.fds[1], "b", 1), 1);
	assert_int_equal(read(fd, &byte, 1), 1);
	assert_int_equal(byte, 'b');
	close(fd);
	/* The other end's end says that the relay has let go of both. */
	assert_int_equal(read(end.fds[1], &byte, 1), 0);
	shutdown(end.fds[1], SHUT_WR);
	close(end.fds[1]);
	unlink(path);
	/* The pair's ends were there before the relay. */
	for (struct deadline deadline = deadline_after_ms(10000); count_open() > before - 2;) {
		if (deadline_passed(deadline))
			fail_msg("%u descriptors are open, not %u", count_open(), before - 2);
		poll(NULL, 0, 1);
	}
}

/* As when an L1 guest's QEMU is killed: nobody is left who would close the connection. */
static void a_machines_end_is_the_end_of_its_connections(void **state)
{
	(void)state;
	_cleanup_free_ char *path = format_string("/tmp/test_relay.%d", (int)getpid());
	struct end end = {.machine = -1};
	struct relay *relay;
	char byte = 0;
	int fd, life[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, end.fds), 0);
	assert_int_equal(pipe(life), 0);
	end.machine = life[0];
	assert_ok(relay_listen(path, open_end, release_end, &end, &relay));
	assert_ok(unix_connect(path, &fd));
	assert_int_equal(write(fd, "a", 1), 1);
	assert_int_equal(read(end.fds[1], &byte, 1), 1);
	assert_int_equal(write(life[1], "x", 1), 1);
	assert_int_equal(read(fd, &byte, 1), 0);
	assert_int_equal(read(end.fds[1], &byte, 1), 0);
	close(fd);
	close(end.fds[1]);
	close(life[1]);
	relay_close(relay);
	await_release(&end);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_closed_relay_carries_on_what_it_has),
		cmocka_unit_test(a_machines_end_is_the_end_of_its_connections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
