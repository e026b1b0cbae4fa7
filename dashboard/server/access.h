/*
 * Who may ask: the Host that a request names, the site that it comes from, and the token. Pure
 * functions of what the headers say.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { ACCESS_COOKIE_SIZE = 65 }; /* 64 hex digits and a NUL */

struct access {
	bool loopback;	   /* listens on a loopback address: only its names are served */
	const char *token; /* NULL: none is wanted; borrowed */
	char address[64];  /* "127.0.0.1", "[::1]": the address as it stands in a URL */
	unsigned int port;
	bool tls;
	char cookie[ACCESS_COOKIE_SIZE]; /* what a browser that gave the token has */
};

#define ACCESS_COOKIE_NAME "fleetlab"

/* What the headers of a request say; NULL where there is none. */
struct access_headers {
	const char *host, *origin, *fetch_site, *authorization, *cookie;
	bool several_hosts;
};

enum access_verdict {
	ACCESS_GRANTED,
	ACCESS_BAD_HOST,   /* none, several, or one that is not ours */
	ACCESS_OTHER_SITE, /* another site's page asks */
	ACCESS_NO_TOKEN,   /* none, or a wrong one */
};

/* `data`: the request is for what pages read, not for a page that a link may lead to. */
enum access_verdict access_check(
	const struct access *access, const struct access_headers *headers, bool data);

/* Only the Host and the site: for pages that anybody may see, such as the one that asks for the
 * token. */
enum access_verdict access_check_site(
	const struct access *access, const struct access_headers *headers, bool data);

/* True when both are the same; takes as long whatever they are (but for their lengths). */
bool access_equal(const char *a, const char *b);
