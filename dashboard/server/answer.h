/*
 * What a client gets: bytes with a type and a tag, ready to be sent any number of times, to any
 * number of clients at once. Compressed once, for the first client that can take it, by whoever
 * makes answers: it can take seconds, and the threads that send must never wait for that.
 */
#pragma once

#include "harness/base/error.h"

#include <microhttpd.h>
#include <stdbool.h>
#include <sys/stat.h>

enum answer_keep {
	ANSWER_REVALIDATE, /* the client asks each time whether its copy is still right */
	ANSWER_FOREVER,	   /* the name changes with the content */
	ANSWER_NEVER,	   /* not kept: errors, logs that grow */
};

struct answer;

/* Takes the bytes over (free(3)); `type` is static. Counted: one reference is the caller's. */
struct answer *answer_new(
	unsigned int status, const char *type, char *data, size_t size, enum answer_keep keep);

/* As answer_new() for bytes that stay. */
struct answer *answer_static(
	const char *type, const void *data, size_t size, enum answer_keep keep);

/* A regular file as it is, `status` being its fstat(): it is read while it is sent, never
 * compressed, and takes no memory. Takes the descriptor over. */
struct answer *answer_file(
	const char *type, int fd, const struct stat *status, enum answer_keep keep);

/* Compact JSON; takes the value over. */
struct answer *answer_json(json_t *value, enum answer_keep keep);

/* {"error": {"status", "message", "remedy"}}; `remedy` may be NULL. */
struct answer *answer_error(unsigned int status, const char *message, const char *remedy);

/* Adds a header of its own ("Retry-After"); only before it is sent first. */
void answer_header(struct answer *answer, const char *name, const char *value);

struct answer *answer_ref(struct answer *answer);
void answer_unref(struct answer *answer);
DEFINE_CLEANUP(answer, struct answer *, answer_unref)
#define _cleanup_answer_ _cleanup_(cleanup_answer)

/* True of one that is no error. */
bool answer_is_ok(const struct answer *answer);

/* What a client's headers say of the form that it wants; NULL where they say nothing. Borrowed from
 * the connection, as long as its request lasts. */
struct answer_wishes {
	const char *tags, *encodings;
};
struct answer_wishes answer_wishes(struct MHD_Connection *connection);

/* Compresses it now, where it can be; may take long. */
void answer_pack(struct answer *answer);

/* False when the client wants it compressed and it has to be packed first. */
bool answer_is_ready(const struct answer *answer, const struct answer_wishes *wishes);

/* Its content, without an end mark; *size is set. Borrowed. */
const char *answer_content(const struct answer *answer, size_t *size);

/* Bytes that it holds in memory, for who keeps answers. */
size_t answer_size(const struct answer *answer);

/* Queues it for the connection, or that nothing has changed, by what its headers ask: compressed if
 * it has been packed. */
enum MHD_Result answer_send(struct answer *answer, struct MHD_Connection *connection);

/* The headers that every answer has: no other site may embed, read or script us. */
void answer_secure(struct MHD_Response *response);

/* Whether a list of tags ("W/\"a\", \"b\"" or "*") has this one. */
bool etag_matches(const char *list, const char *etag);

/* Whether "Accept-Encoding" takes gzip: "gzip;q=0" does not. */
bool accepts_gzip(const char *header);

/* A gzip stream of the bytes; NULL when it would not be smaller. *out_size is set; caller frees. */
char *gzip_bytes(const void *data, size_t size, size_t *out_size);
