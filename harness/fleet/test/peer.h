/*
 * The other end of a JSON-lines conversation, played from a script in a thread: for each line that
 * arrives the next reply is sent as it stands, whatever bytes it has.
 */
#pragma once

#include "harness/base/test/support.h"
#include "harness/base/jsonline.h"

#include <pthread.h>
#include <sys/socket.h>

/* Replies that mean something: the first awaits no line; the second waits for our hang-up. */
#define PEER_GREETS "!"
#define PEER_WAITS "wait"
/* Stands for the "id" of the line that was received last, or of its arguments. */
#define PEER_ID "@ID@"

enum { PEER_MAX_LINES = 64 };

struct peer {
	const char *script[PEER_MAX_LINES + 1]; /* NULL-terminated; then the connection is closed */
	int listen_fd;				/* or -1 */
	int fd;
	json_t *received[PEER_MAX_LINES]; /* to be read after peer_end() */
	size_t count;
	pthread_t thread;
	bool running;
};

static inline void peer_say(const struct peer *peer, const char *reply)
{
	_cleanup_free_ char *bytes = NULL;
	const char *place = strstr(reply, PEER_ID);
	json_int_t id = 0;

	if (place && peer->count > 0 &&
		json_unpack(peer->received[peer->count - 1], "{s:I}", "id", &id) < 0)
		json_unpack(peer->received[peer->count - 1], "{s:{s:I}}", "arguments", "id", &id);
	bytes = place ? format_string("%.*s%lld%s", (int)(place - reply), reply, (long long)id,
				place + strlen(PEER_ID))
		      : format_string("%s", reply);
	/* Whoever does not want to hear it has hung up, which the test asks for itself. */
	(void)!send(peer->fd, bytes, strlen(bytes), MSG_NOSIGNAL);
}

static inline void *peer_play(void *context)
{
	struct peer *peer = context;
	_cleanup_(jsonline_deinit) struct jsonline reader = {.fd = -1};

	if (peer->listen_fd >= 0)
		peer->fd = accept(peer->listen_fd, NULL, NULL);
	reader.fd = peer->fd;
	for (const char *const *reply = peer->script; *reply; reply++) {
		bool waits = strcmp(*reply, PEER_WAITS) == 0;
		json_t *line = NULL;

		if (**reply == *PEER_GREETS) {
			peer_say(peer, *reply + 1);
			continue;
		}
		do {
			struct error *err = jsonline_receive(
				&reader, "the test", deadline_after_ms(TEST_TIMEOUT_MS), &line);

			error_destroy(err);
			if (!err && line && peer->count < PEER_MAX_LINES)
				peer->received[peer->count++] = line;
			if (err)
				line = NULL;
		} while (waits && line);
		if (!waits && line)
			peer_say(peer, *reply);
	}
	close(take_fd(&peer->fd));
	return NULL;
}

static inline void peer_learn(struct peer *peer, const char *const *script)
{
	for (size_t i = 0; script[i] && i < PEER_MAX_LINES; i++)
		peer->script[i] = script[i];
}

static inline void peer_run(struct peer *peer)
{
	assert_int_equal(pthread_create(&peer->thread, NULL, peer_play, peer), 0);
	peer->running = true;
}

/* A peer on one end of a socket pair; the other end is returned. */
static inline int peer_start(struct peer *peer, const char *const *script)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	*peer = (struct peer){.listen_fd = -1, .fd = pair[1]};
	peer_learn(peer, script);
	peer_run(peer);
	return pair[0];
}

/* A peer that accepts one connection to `path`. */
static inline void peer_listen(struct peer *peer, const char *path, const char *const *script)
{
	*peer = (struct peer){.fd = -1};
	peer_learn(peer, script);
	assert_ok(unix_listen(path, &peer->listen_fd));
	peer_run(peer);
}

/* Waits until the peer has played its script; call after hanging up. Harmless when it has ended. */
static inline void peer_end(struct peer *peer)
{
	if (!peer->running)
		return;
	pthread_join(peer->thread, NULL);
	peer->running = false;
	cleanup_close(&peer->listen_fd);
	peer->listen_fd = -1;
}

static inline void peer_deinit(struct peer *peer)
{
	for (size_t i = 0; i < peer->count; i++)
		json_decref(peer->received[i]);
	peer->count = 0;
}
