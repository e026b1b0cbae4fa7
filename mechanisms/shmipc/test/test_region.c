/* The region service: who gets a region, of what size, and how members are introduced. */
#include "harness/base/test/support.h"
#include "harness/base/jsonline.h"
#include "harness/lab/lab.h"
#include "mechanisms/shmipc/doorbell_server.h"
#include "mechanisms/shmipc/region_service.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const struct region_spec ring = {"ring", "members", REGION_PAPER_PAGES};

/* ---- the doorbell protocol, from the side of a QEMU ---- */

struct message {
	int64_t value;
	int fd; /* -1: none came along */
};

/* The next message; value INT64_MIN when the server hung up. */
static struct message next_message(int socket)
{
	struct message got = {.value = INT64_MIN, .fd = -1};
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	int64_t wire;
	struct iovec iov = {&wire, sizeof(wire)};
	struct msghdr message = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	struct pollfd pfd = {.fd = socket, .events = POLLIN};

	assert_int_equal(poll(&pfd, 1, TEST_TIMEOUT_MS), 1);
	ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_WAITALL);

	if (n <= 0)
		return got;
	assert_int_equal(n, sizeof(wire));
	got.value = (int64_t)le64toh((uint64_t)wire);
	if (CMSG_FIRSTHDR(&message))
		memcpy(&got.fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	return got;
}

enum { MAX_KNOWN = 8 };

struct client {
	int socket, region;
	int64_t id;
	struct message known[MAX_KNOWN]; /* others, then itself */
	size_t count;
};

static void client_close(struct client *client)
{
	cleanup_close(&client->socket);
	cleanup_close(&client->region);
	for (size_t i = 0; i < client->count; i++)
		cleanup_close(&client->known[i].fd);
	*client = (struct client){-1, -1, 0, {{0}}, 0};
}

static char *prefix; /* of the members' sockets */
enum { MEMBERS = 3 };

/* Connects and takes the introduction, which ends with the client's own vector. */
static struct client client_open(unsigned int member)
{
	_cleanup_free_ char *path = format_string("%s.%u", prefix, member);
	struct client client = {.socket = -1};
	struct message message;

	assert_ok(unix_connect(path, &client.socket));
	message = next_message(client.socket);
	assert_int_equal(message.value, 0); /* the protocol's version */
	assert_int_equal(message.fd, -1);
	message = next_message(client.socket);
	client.id = message.value;
	assert_int_equal(message.fd, -1);
	message = next_message(client.socket);
	assert_int_equal(message.value, -1);
	assert_true(message.fd >= 0);
	client.region = message.fd;
	do {
		assert_true(client.count < MAX_KNOWN);
		message = client.known[client.count++] = next_message(client.socket);
		assert_true(message.fd >= 0);
	} while (message.value != client.id);
	return client;
}

#define _client_ _cleanup_(client_close) struct client

static struct doorbell_server *server;
static int region_fd;

static int serve(void **state)
{
	if (scratch_make(state) < 0)
		return -1;
	prefix = scratch_path("bell.sock");
	region_fd = memfd_create("region", MFD_CLOEXEC);
	return region_fd >= 0 && !doorbell_server_create(prefix, MEMBERS, region_fd, &server) ? 0
											      : -1;
}

static int stop(void **state)
{
	doorbell_server_destroy(take_ptr(server));
	close(region_fd);
	free(take_ptr(prefix));
	return scratch_remove(state);
}

static void ring_bell(int fd, uint64_t times)
{
	assert_int_equal(write(fd, &times, sizeof(times)), sizeof(times));
}

static uint64_t rung(int fd)
{
	uint64_t times = 0;

	if (read(fd, &times, sizeof(times)) < 0)
		assert_int_equal(errno, EAGAIN);
	return times;
}

static void a_member_gets_the_region_and_is_peer_0(void **state)
{
	(void)state;
	_client_ a = client_open(1);
	struct stat ours, its;

	assert_int_equal(fstat(region_fd, &ours), 0);
	assert_int_equal(fstat(a.region, &its), 0);
	assert_int_equal(ours.st_ino, its.st_ino);
	assert_int_equal(a.id, 0);
	assert_int_equal(a.count, 1);
	assert_int_equal(doorbell_server_peers(server), 1);
}

static void members_ring_each_other(void **state)
{
	(void)state;
	_client_ a = client_open(0);
	_client_ b = client_open(2);
	_cleanup_close_ int from_a = -1;

	assert_int_equal(b.id, 0);
	assert_int_equal(b.count, 2); /* a, then itself */
	assert_int_equal(b.known[0].value, 1);
	struct message joined = next_message(a.socket);

	assert_int_equal(joined.value, 3);
	from_a = joined.fd;
	ring_bell(from_a, 3);
	assert_int_equal(rung(b.known[1].fd), 3);
	assert_int_equal(rung(a.known[0].fd), 0); /* only b heard it */
	ring_bell(b.known[0].fd, 1);
	assert_int_equal(rung(a.known[0].fd), 1);
	assert_int_equal(rung(b.known[1].fd), 0);
	assert_int_equal(doorbell_server_peers(server), 2);
}

/* Its second QEMU is rung as the first was, the others hear nothing of it, and no ring is lost. */
static void a_member_moves(void **state)
{
	(void)state;
	_client_ a = client_open(0);
	_client_ b = client_open(1);
	_client_ moved = client_open(1);
	struct pollfd pfd = {.events = POLLIN};

	close(next_message(a.socket).fd);
	assert_int_equal(moved.count, 2);
	assert_int_equal(moved.known[0].value, 1);
	ring_bell(b.known[0].fd, 1);
	assert_int_equal(rung(a.known[0].fd), 1);
	ring_bell(moved.known[0].fd, 1);
	assert_int_equal(rung(a.known[0].fd), 1);
	assert_int_equal(rung(moved.known[1].fd), 0);
	client_close(&b);
	pfd.fd = moved.known[1].fd; /* one that b may have taken is made up for */
	assert_int_equal(poll(&pfd, 1, TEST_TIMEOUT_MS), 1);
	assert_int_equal(rung(pfd.fd), 1);
	_client_ next = client_open(1); /* and the next move's */

	assert_int_equal(next.count, 2);
	pfd.fd = a.socket;
	assert_int_equal(poll(&pfd, 1, 0), 0);
	assert_int_equal(doorbell_server_peers(server), 3);
}

static void a_member_has_two_seats(void **state)
{
	(void)state;
	_cleanup_free_ char *path = format_string("%s.0", prefix);
	_client_ a = client_open(0);
	_client_ b = client_open(0);
	_cleanup_close_ int late = -1;

	assert_ok(unix_connect(path, &late));
	assert_int_equal(next_message(late).value, INT64_MIN);
	assert_int_equal(doorbell_server_peers(server), 2);
}

static void there_is_room_for_64(void **state)
{
	(void)state;
	_cleanup_free_ char *many = scratch_path("many");
	struct doorbell_server *full = NULL;

	assert_fails(doorbell_server_create(many, 65, region_fd, &full), ERROR_USAGE, "at most 64");
	assert_ok(doorbell_server_create(many, 64, region_fd, &full));
	doorbell_server_destroy(full);
}

/* A client that does not listen must not keep the others from being served. */
static void a_deaf_member_does_not_hold_the_others_up(void **state)
{
	(void)state;
	_cleanup_free_ char *path = format_string("%s.0", prefix);
	_cleanup_close_ int deaf = -1;

	assert_ok(unix_connect(path, &deaf));
	for (int i = 0; i < 600; i++) {
		_client_ member = client_open(1 + i % 2);

		assert_in_range(member.count, 1, 3);
	}
}

/* What a client says is not read, and is no reason to fail. */
static void a_talking_member_is_not_heard(void **state)
{
	(void)state;
	_client_ a = client_open(0);

	assert_int_equal(send(a.socket, "hello", 5, MSG_NOSIGNAL), 5);
	_client_ b = client_open(1);

	assert_int_equal(b.count, 2);
}

/* ---- regions ---- */

static void a_device_has_a_power_of_two(void **state)
{
	(void)state;
	static const struct {
		uint32_t pages;
		size_t bytes;
	} rows[] = {{2, 1 << 20}, {256, 1 << 20}, {257, 2 << 20}, {1024, 4 << 20},
		{REGION_PAPER_PAGES, 8 << 20}, {65536, 256 << 20}, {UINT32_MAX, (size_t)1 << 44}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(region_device_bytes(rows[i].pages), rows[i].bytes);
}

static void another_group_gets_no_region(void **state)
{
	(void)state;
	struct plug_spec plugs[2] = {{"untouched", NULL, 0}};

	assert_fails(region_plugs(&ring, "strangers", REGION_READ_WRITE, 1, plugs), ERROR_USAGE,
		"a guest of group 'strangers' cannot have it");
	assert_fails(region_doorbell_plugs(&ring, "strangers", 1, plugs), ERROR_USAGE,
		"of group 'members'");
	assert_fails(region_plugs(&ring, "", REGION_READ_ONLY, 1, plugs), ERROR_USAGE, "ring");
	assert_string_equal(plugs[0].command, "untouched");
}

static json_t *arguments_of(struct plug_spec *plug)
{
	json_t *arguments = json_loads(plug->arguments, 0, NULL);

	assert_non_null(arguments);
	free((char *)plug->arguments);
	return arguments;
}

static void a_reader_gets_a_mapping_that_cannot_be_written(void **state)
{
	(void)state;
	for (int access = REGION_READ_WRITE; access <= REGION_READ_ONLY; access++) {
		struct plug_spec plugs[2];

		assert_ok(region_plugs(&ring, "members", (enum region_access)access, 5, plugs));
		_cleanup_json_ json_t *backend = arguments_of(&plugs[0]);
		_cleanup_json_ json_t *device = arguments_of(&plugs[1]);

		assert_string_equal(plugs[0].command, "object-add");
		assert_string_equal(plugs[1].command, "device_add");
		assert_int_equal(plugs[0].guests, 5);
		assert_int_equal(plugs[1].guests, 5);
		assert_int_equal(json_is_true(json_object_get(backend, "readonly")),
			access == REGION_READ_ONLY);
		assert_true(json_is_true(json_object_get(backend, "share")));
		assert_int_equal(json_integer_value(json_object_get(backend, "size")), 8 << 20);
		assert_true(json_equal(
			json_object_get(backend, "id"), json_object_get(device, "memdev")));
	}
}

/* Runs in a lab; each failure has its line. */
#define check(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			return __LINE__ % 256 ? __LINE__ % 256 : 255;                              \
	} while (0)

static bool refused(const char *name, uint32_t pages)
{
	struct region_spec spec = {name, "members", pages};
	struct region *region = NULL;
	_cleanup_error_ struct error *err = region_create(&spec, &region);

	return err && !region && error_kind(err) == ERROR_USAGE;
}

static int makes_regions(void *context)
{
	struct region *region = NULL, *second = NULL;
	_cleanup_free_ char *file = format_string("%s/regions/ring", lab_dir());
	_cleanup_free_ char *bell = format_string("%s/regions/ring.sock.1", lab_dir());
	_cleanup_close_ int client = -1;
	const unsigned char *memory;
	struct stat st;
	size_t size;

	(void)context;
	check(refused("", 2) && refused("../x", 2) && refused("a/b", 2) && refused("a b", 2));
	check(refused("a,b", 2) && refused("12345678901234567", 2) && refused("ok", 1));
	check(!region_create(&ring, &region));
	memory = region_memory(region, &size);
	check(size == (size_t)REGION_PAPER_PAGES * REGION_PAGE_BYTES);
	check(stat(file, &st) == 0 && st.st_size == 8 << 20 && (st.st_mode & 0777) == 0600);
	int fd = open(file, O_RDWR | O_CLOEXEC);

	check(fd >= 0 && pwrite(fd, "x", 1, (off_t)size - 1) == 1);
	close(fd);
	check(memory[size - 1] == 'x' && memory[0] == 0);
	_cleanup_error_ struct error *taken = region_create(&ring, &second);

	check(taken && !second);
	check(region_peers(region) == 0 && !region_serve_doorbells(region, 2));
	check(!unix_connect(bell, &client));
	region_destroy(region);
	region_destroy(NULL);
	return 0;
}

static void regions_are_files_of_the_lab(void **state)
{
	(void)state;
	struct lab_options options = {.name = "test", .body = makes_regions};
	_cleanup_(lab_kill) struct lab lab = {.alive_fd = -1};
	int status;

	if (geteuid() != 0) {
		print_message("skipped: a lab needs root\n");
		skip();
	}
	assert_ok(lab_open(&options, &lab));
	assert_true(lab_wait(&lab, deadline_after_ms(TEST_TIMEOUT_MS), &status));
	assert_int_equal(status, 0);
}

#define served_test(f) cmocka_unit_test_setup_teardown(f, serve, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		served_test(a_member_gets_the_region_and_is_peer_0),
		served_test(members_ring_each_other),
		served_test(a_member_moves),
		served_test(a_member_has_two_seats),
		served_test(there_is_room_for_64),
		served_test(a_deaf_member_does_not_hold_the_others_up),
		served_test(a_talking_member_is_not_heard),
		cmocka_unit_test(a_device_has_a_power_of_two),
		cmocka_unit_test(another_group_gets_no_region),
		cmocka_unit_test(a_reader_gets_a_mapping_that_cannot_be_written),
		cmocka_unit_test(regions_are_files_of_the_lab),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
