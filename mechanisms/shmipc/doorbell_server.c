/* The ivshmem server: see doorbell_server.h. A client only connects and disconnects; nothing that
 * it sends is read. */
#include "mechanisms/shmipc/doorbell_server.h"
#include "harness/base/fs.h"
#include "harness/base/jsonline.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

/* ivshmem-spec: version of the protocol. */
#define PROTOCOL_VERSION 0
/* What every member is told to be; see doorbell_server.h. */
#define OWN_NUMBER 0
/* A member's QEMU, and the one that it moves to. */
enum { SEATS = 2 };

struct member {
	int listen_fd;
	int seats[SEATS]; /* connections; -1: none */
	int eventfd;	  /* its one vector in use: written by others; -1: it never came */
};

struct doorbell_server {
	pthread_t thread;
	int stop_fd, region_fd;
	struct member members[DOORBELL_MEMBERS_MAX];
	size_t member_count;
	atomic_uint count;
};

static int64_t number_of(size_t member)
{
	return (int64_t)member + 1;
}

/* One message: a little-endian number, with a descriptor unless fd is -1. */
static bool send_message(int socket, int64_t value, int fd)
{
	int64_t wire = (int64_t)htole64((uint64_t)value);
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = &wire, .iov_len = sizeof(wire)};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message);

		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	}
	return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof(wire);
}

/* Tells all other members of one that has come. Who does not listen has missed something and must
 * go: it is hung up on, which the loop then sees, rather than waited for. */
static void announce(const struct doorbell_server *server, size_t member)
{
	for (size_t i = 0; i < server->member_count; i++) {
		for (int seat = 0; seat < SEATS && i != member; seat++) {
			int fd = server->members[i].seats[seat];

			if (fd >= 0 && !send_message(fd, number_of(member),
					       server->members[member].eventfd))
				shutdown(fd, SHUT_RDWR);
		}
	}
}

/* Version, own number, region; then one vector of every other member, and last its own. */
static bool introduce(const struct doorbell_server *server, size_t member, int fd)
{
	const int64_t greeting[] = {PROTOCOL_VERSION, OWN_NUMBER};
	bool sent = true;

	for (size_t i = 0; sent && i < ARRAY_SIZE(greeting); i++)
		sent = send_message(fd, greeting[i], -1);
	sent = sent && send_message(fd, -1, server->region_fd);
	for (size_t i = 0; sent && i < server->member_count; i++) {
		if (i != member && server->members[i].eventfd >= 0)
			sent = send_message(fd, number_of(i), server->members[i].eventfd);
	}
	return sent && send_message(fd, OWN_NUMBER, server->members[member].eventfd);
}

/* What the one that goes has taken of the rings may have been the other's. */
static void drop_seat(struct doorbell_server *server, struct member *member, int seat)
{
	const uint64_t one = 1;

	close(member->seats[seat]);
	member->seats[seat] = -1;
	atomic_fetch_sub(&server->count, 1);
	/* It fails only when there are 2^64 rings in it already. */
	(void)!write(member->eventfd, &one, sizeof(one));
}

static void accept_member(struct doorbell_server *server, size_t number)
{
	struct member *member = &server->members[number];
	int fd = accept4(member->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	bool is_new = member->eventfd < 0;
	int seat = 0;

	if (fd < 0)
		return;
	while (seat < SEATS && member->seats[seat] >= 0)
		seat++;
	if (is_new)
		member->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (seat == SEATS || member->eventfd < 0) {
		close(fd);
		return;
	}
	member->seats[seat] = fd;
	atomic_fetch_add(&server->count, 1);
	if (is_new)
		announce(server, number);
	if (!introduce(server, number, fd))
		drop_seat(server, member, seat);
}

/* Each member has its socket and seats, in this order, in the poll set. */
enum { FDS_EACH = 1 + SEATS };

static void serve_member(struct doorbell_server *server, size_t number, const struct pollfd *pfds)
{
	struct member *member = &server->members[number];

	for (int seat = 0; seat < SEATS; seat++) {
		if (pfds[1 + seat].fd >= 0 && pfds[1 + seat].revents)
			drop_seat(server, member, seat);
	}
	if (pfds[0].revents)
		accept_member(server, number);
}

static void *serve(void *context)
{
	struct doorbell_server *server = context;
	struct pollfd pfds[1 + DOORBELL_MEMBERS_MAX * FDS_EACH];
	size_t count = server->member_count;

	for (;;) {
		pfds[0] = (struct pollfd){.fd = server->stop_fd, .events = POLLIN};
		for (size_t i = 0; i < count; i++) {
			struct pollfd *its = &pfds[1 + i * FDS_EACH];

			its[0] = (struct pollfd){
				.fd = server->members[i].listen_fd, .events = POLLIN};
			for (int seat = 0; seat < SEATS; seat++)
				its[1 + seat] = (struct pollfd){
					.fd = server->members[i].seats[seat], .events = POLLRDHUP};
		}
		if (poll(pfds, 1 + count * FDS_EACH, -1) < 0 && errno != EINTR)
			return NULL;
		if (pfds[0].revents)
			return NULL;
		for (size_t i = 0; i < count; i++)
			serve_member(server, i, &pfds[1 + i * FDS_EACH]);
	}
}

static void server_free(struct doorbell_server *server)
{
	for (size_t i = 0; i < server->member_count; i++) {
		struct member *member = &server->members[i];

		for (int seat = 0; seat < SEATS; seat++)
			cleanup_close(&member->seats[seat]);
		cleanup_close(&member->eventfd);
		cleanup_close(&member->listen_fd);
	}
	cleanup_close(&server->stop_fd);
	free(server);
}

static struct error *listen_for(struct doorbell_server *server, const char *prefix, size_t members)
{
	for (size_t i = 0; i < members; i++) {
		_cleanup_free_ char *path = format_string("%s.%zu", prefix, i);

		try_(unix_listen(path, &server->members[i].listen_fd));
		server->members[i].eventfd = -1;
		for (int seat = 0; seat < SEATS; seat++)
			server->members[i].seats[seat] = -1;
		server->member_count++;
	}
	return NULL;
}

struct error *doorbell_server_create(
	const char *prefix, size_t members, int region_fd, struct doorbell_server **server)
{
	struct doorbell_server *made;
	struct error *err;

	if (members > DOORBELL_MEMBERS_MAX)
		return error_new(ERROR_USAGE, "a region with doorbells has at most %d members",
			DOORBELL_MEMBERS_MAX);
	made = calloc(1, sizeof(*made));
	if (!made)
		abort();
	made->region_fd = region_fd;
	made->stop_fd = eventfd(0, EFD_CLOEXEC);
	err = made->stop_fd < 0 ? error_errno(errno, "cannot create an eventfd")
				: listen_for(made, prefix, members);
	if (!err && pthread_create(&made->thread, NULL, serve, made) != 0)
		err = error_new(ERROR_SETUP, "cannot start the doorbell server's thread");
	if (err) {
		server_free(made);
		return err;
	}
	*server = made;
	return NULL;
}

void doorbell_server_destroy(struct doorbell_server *server)
{
	uint64_t one = 1;

	if (!server)
		return;
	if (write(server->stop_fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
		abort(); /* an eventfd takes eight bytes */
	pthread_join(server->thread, NULL);
	server_free(server);
}

unsigned int doorbell_server_peers(struct doorbell_server *server)
{
	return atomic_load(&server->count);
}
