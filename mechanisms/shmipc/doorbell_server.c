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
enum { MAX_PEERS = 64 };

struct peer {
	int fd;	     /* -1: free */
	int64_t id;  /* never used again after the peer has gone */
	int eventfd; /* its one vector: written by others */
};

struct doorbell_server {
	pthread_t thread;
	int listen_fd, stop_fd, region_fd;
	struct peer peers[MAX_PEERS];
	int64_t next_id;
	atomic_uint count;
};

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

/* Tells one peer of another. One that does not listen has missed something and must go: it is hung
 * up on, which the loop then sees, rather than waited for. */
static void tell_peer(const struct peer *peer, int64_t value, int fd)
{
	if (!send_message(peer->fd, value, fd))
		shutdown(peer->fd, SHUT_RDWR);
}

static void drop_peer(struct doorbell_server *server, struct peer *peer)
{
	close(peer->fd);
	close(peer->eventfd);
	peer->fd = -1;
	atomic_fetch_sub(&server->count, 1);
	for (size_t i = 0; i < MAX_PEERS; i++) {
		if (server->peers[i].fd >= 0)
			tell_peer(&server->peers[i], peer->id, -1);
	}
}

/* Version, own id, region; then one vector of every other peer, and last its own. */
static bool introduce(struct doorbell_server *server, struct peer *peer)
{
	bool sent = send_message(peer->fd, PROTOCOL_VERSION, -1) &&
		    send_message(peer->fd, peer->id, -1) &&
		    send_message(peer->fd, -1, server->region_fd);

	for (size_t i = 0; sent && i < MAX_PEERS; i++) {
		struct peer *other = &server->peers[i];

		if (other == peer || other->fd < 0)
			continue;
		tell_peer(other, peer->id, peer->eventfd);
		sent = send_message(peer->fd, other->id, other->eventfd);
	}
	return sent && send_message(peer->fd, peer->id, peer->eventfd);
}

static void accept_peer(struct doorbell_server *server)
{
	int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	struct peer *peer = server->peers;

	if (fd < 0)
		return;
	while (peer < server->peers + MAX_PEERS && peer->fd >= 0)
		peer++;
	if (peer == server->peers + MAX_PEERS) {
		close(fd);
		return;
	}
	peer->fd = fd;
	peer->id = server->next_id++;
	peer->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	atomic_fetch_add(&server->count, 1);
	if (peer->eventfd < 0 || !introduce(server, peer))
		drop_peer(server, peer);
}

static void *serve(void *context)
{
	struct doorbell_server *server = context;

	for (;;) {
		struct pollfd pfds[MAX_PEERS + 2] = {
			{.fd = server->stop_fd, .events = POLLIN},
			{.fd = server->listen_fd, .events = POLLIN},
		};

		for (size_t i = 0; i < MAX_PEERS; i++)
			pfds[i + 2] =
				(struct pollfd){.fd = server->peers[i].fd, .events = POLLRDHUP};
		if (poll(pfds, MAX_PEERS + 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (pfds[0].revents)
			return NULL;
		for (size_t i = 0; i < MAX_PEERS; i++) {
			if (pfds[i + 2].fd >= 0 && pfds[i + 2].revents)
				drop_peer(server, &server->peers[i]);
		}
		if (pfds[1].revents)
			accept_peer(server);
	}
}

struct error *doorbell_server_create(
	const char *socket_path, int region_fd, struct doorbell_server **server)
{
	struct doorbell_server *made = calloc(1, sizeof(*made));
	struct error *err;

	if (!made)
		abort();
	for (size_t i = 0; i < MAX_PEERS; i++)
		made->peers[i].fd = -1;
	made->region_fd = region_fd;
	made->stop_fd = eventfd(0, EFD_CLOEXEC);
	err = made->stop_fd < 0 ? error_errno(errno, "cannot create an eventfd")
				: unix_listen(socket_path, &made->listen_fd);
	if (!err && pthread_create(&made->thread, NULL, serve, made) != 0) {
		close(made->listen_fd);
		err = error_new(ERROR_SETUP, "cannot start the doorbell server's thread");
	}
	if (err) {
		cleanup_close(&made->stop_fd);
		free(made);
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
	for (size_t i = 0; i < MAX_PEERS; i++) {
		if (server->peers[i].fd >= 0) {
			close(server->peers[i].fd);
			close(server->peers[i].eventfd);
		}
	}
	close(server->listen_fd);
	close(server->stop_fd);
	free(server);
}

unsigned int doorbell_server_peers(struct doorbell_server *server)
{
	return atomic_load(&server->count);
}
