/*
 * What a client asks for: its request target ("/api/v1/runs?limit=5"), taken apart. Pure, and
 * strict: whatever could be read in two ways is refused, so that no later check can be got round.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	REQUEST_MAX = 2048,	/* bytes of a target */
	REQUEST_SEGMENTS = 12,	/* of its path */
	REQUEST_PARAMETERS = 20 /* of its query */
};

struct request_parameter {
	const char *name, *value; /* decoded, UTF-8 */
};

/* Zeroed is empty. Everything points into `text`, so that one free() releases it. */
struct request {
	const char *segments[REQUEST_SEGMENTS]; /* of "/a/b": "a", "b"; of "/": none */
	size_t count;
	struct request_parameter parameters[REQUEST_PARAMETERS];
	size_t parameter_count;
	char *text;
};

/*
 * Parses a raw target. False, with a static reason (else *why is left alone), unless it is an
 * absolute path of plain segments: percent-encoding in order, UTF-8, no control character, no empty
 * segment (but a last one), no "." or "..", no separator that is encoded, no parameter twice.
 */
bool request_parse(const char *target, struct request *request, const char **why);
void request_deinit(struct request *request);

/* A parameter's value; NULL when it was not given. Borrowed. */
const char *request_parameter(const struct request *request, const char *name);

/* A parameter as a whole number within [0, most]; `otherwise` when it was not given. False when it
 * is none, or larger. */
bool request_number(const struct request *request, const char *name, int64_t most,
	int64_t otherwise, int64_t *value);

/* The first parameter whose name is not a word of `known` ("offset limit"); NULL when all are. */
const char *request_unknown(const struct request *request, const char *known);

/* True when the segments from `first` on are those of `pattern` ("runs/ * /trials"), in which "*"
 * is any segment and a last "**" any number of them, at least one. The first `room` that were met
 * by "*", and where "**" begins, are in `captured`, borrowed. */
bool request_matches(const struct request *request, size_t first, const char *pattern,
	const char **captured, size_t room);

/* True for the id of a run, or a name of a fleet: letters, digits and ._- that do not begin with
 * a dot, at most 64. */
bool request_is_name(const char *text);
