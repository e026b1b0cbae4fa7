/*
 * A web server in a guest and httperf against it, as in the paper's section 5.9: how many requests
 * are answered before, during and after a migration, as a time series of short runs of httperf one
 * after the other.
 */
#pragma once

#include "harness/base/clock.h"
#include "harness/base/error.h"
#include "harness/fleet/agent.h"

#include <stdint.h>

/* Debian packages that an image of this kind needs for web_serve(): the tiny one only the program,
 * whose configuration is ours; the debian one likewise. NULL-terminated. */
extern const char *const web_packages[];

/* The least memory of a tiny guest with these packages: what it boots is unpacked into memory, of
 * which its kernel gives files no more than half (with 256 MiB it does not come up). */
#define WEB_MEMORY_BYTES (UINT64_C(320) << 20)

/* The document that web_serve() offers, unless told otherwise. The paper does not say how large its
 * was; this is the size of a small static page. */
#define WEB_DOCUMENT_BYTES 10240
#define WEB_DOCUMENT "/index.html"

/* Configures and starts Apache in a guest that has web_packages, at port 80, with a document of so
 * many bytes (0: WEB_DOCUMENT_BYTES). It listens when this returns. */
struct error *web_serve(
	struct agent *agent, const char *guest, size_t document_bytes, struct deadline deadline);

struct web_options {
	const char *guest;   /* for messages; strings are borrowed until web_start() returns */
	const char *address; /* dotted */
	uint16_t port;	     /* 0: 80 */
	const char *uri;     /* NULL: WEB_DOCUMENT */
	unsigned int rate;  /* connections a second; 0: the next when the one before is answered, so
			       many as it can */
	unsigned int calls; /* requests on each connection; 0: 1 */
	unsigned int segment_ms; /* length of one run of httperf; 0: 1000 */
	unsigned int timeout_ms; /* when a request counts as failed; 0: 1000 */
};

/* One run of httperf. With rate 0 its length is expected from the run before, so a slow server
 * makes it longer. */
struct web_segment {
	int64_t start_ns, end_ns;   /* CLOCK_MONOTONIC, of the process */
	double duration_s;	    /* as httperf counts it, without its own start */
	uint64_t requests, replies; /* replies: with a status of 2xx only */
	uint64_t refused;	    /* replies with another status */
	uint64_t errors;	    /* timed out, reset, refused by the network … */
	double replies_per_s;	    /* replies / duration_s */
	double reply_ms;	    /* mean time to a reply's first byte; 0: none came */
};

struct web_series {
	struct web_segment *segments;
	size_t count;
};

void web_series_deinit(struct web_series *series);

struct web;

/* Starts running httperf again and again from the network namespace of the caller, in a thread. */
struct error *web_start(const struct web_options *options, struct web **web);
/* Waits for the end of `segments` more runs. The first error of httperf ends this with an error. */
struct error *web_await(struct web *web, uint64_t segments, struct deadline deadline);
/* Lets the present run come to its end, and returns all; owned by the caller. The load is
 * destroyed, also on failure. An error of httperf itself (not of the server) is this one's. */
struct error *web_stop(struct web *web, struct web_series *series);
void web_destroy(struct web *web);
DEFINE_CLEANUP(web, struct web *, web_destroy)

/* Reads what httperf prints at its end. Something that is missing is an error. */
struct error *web_parse(const char *output, struct web_segment *segment);
