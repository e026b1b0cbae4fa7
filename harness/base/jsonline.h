/*
 * JSON values, one a line, over a socket or pipe: the form of the stack's protocol, of QMP, of the
 * guest agent and of a trial's readings. What arrives is hostile: lines are bounded and must parse.
 */
#pragma once

#include "harness/base/clock.h"
#include "harness/base/error.h"

#include <stdbool.h>

/* The reading side. Zero-initialise, set fd; the descriptor is not owned. */
struct jsonline {
	int fd;
	char *buffer;
	size_t used, room;
	size_t consumed; /* bytes at the front already handed out */
	size_t searched; /* bytes after these that are known to hold no end of a line */
};

void jsonline_deinit(struct jsonline *reader);

/* Longest line accepted: what the guest agent may return at most (16 MiB as base64), with room. */
#define JSONLINE_MAX ((size_t)48 << 20)

/* Next JSON object, owned by the caller. *value is NULL at the end of the stream. Reaching the
 * deadline is ERROR_TIMEOUT, whose message ends "… waiting for WHAT". */
struct error *jsonline_receive(
	struct jsonline *reader, const char *what, struct deadline deadline, json_t **value);

/* Writes one value and a newline; takes over a reference to `value` (also on failure). Never raises
 * SIGPIPE on a socket; a closed peer is an error. */
struct error *jsonline_send(int fd, json_t *value, const char *what);

/* An error as members of a line, and back: NULL when the line tells none. The other side's kind is
 * not believed. */
void jsonline_put_error(json_t *line, const struct error *err);
struct error *jsonline_error(const json_t *line, enum error_kind kind);

/* A UNIX stream socket connected to `path`, close-on-exec. Connecting, and sending later on, waits
 * 30 s at most for a peer that does not accept or does not read. */
struct error *unix_connect(const char *path, int *fd);
/* The same with a limit of the caller's, at least 1 ms; ERROR_TIMEOUT is only of who does not
 * accept. */
struct error *unix_connect_within(const char *path, unsigned int wait_ms, int *fd);
/* A listening UNIX stream socket at `path`, close-on-exec. */
struct error *unix_listen(const char *path, int *fd);
