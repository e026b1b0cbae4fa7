/* Who may ask: see access.h. */
#include "dashboard/server/access.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool access_equal(const char *a, const char *b)
{
	size_t a_size = strlen(a), b_size = strlen(b);
	volatile unsigned char differs = a_size != b_size;

	for (size_t i = 0; i < b_size; i++) /* as many steps as the client's text has */
		differs = (unsigned char)(differs | (a[a_size ? i % a_size : 0] ^ b[i]));
	return !differs;
}

/* The part of "name:port" before the port, and whether the port is ours. */
static bool split_host(const struct access *access, const char *host, size_t *name_length)
{
	const char *colon = host[0] == '[' ? strchr(host, ']') : strchr(host, ':');
	unsigned int standard = access->tls ? 443 : 80;
	char *end;
	unsigned long port;

	if (colon && *colon == ']')
		colon++;
	*name_length = colon && *colon ? (size_t)(colon - host) : strlen(host);
	if (!colon || !*colon)
		return access->port == standard;
	if (*colon != ':' || colon[1] < '0' || colon[1] > '9')
		return false;
	port = strtoul(colon + 1, &end, 10);
	return !*end && port == access->port;
}

static bool is_text(const char *text, size_t length, const char *wanted)
{
	return strlen(wanted) == length && strncasecmp(text, wanted, length) == 0;
}

/* A name that another site's server could have been given would let its pages read us. */
static bool host_is_ours(const struct access *access, const char *host)
{
	static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
	size_t length;

	if (!access->loopback) /* the token keeps others out: a foreign name has no cookie of ours
				*/
		return *host && strlen(host) < 256;
	if (!split_host(access, host, &length))
		return false;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (is_text(host, length, names[i]))
			return true;
	}
	return is_text(host, length, access->address);
}

/* "https://host:port" of a request that went to that host. */
static bool origin_is_host(const struct access *access, const char *origin, const char *host)
{
	const char *scheme = access->tls ? "https://" : "http://";
	size_t length = strlen(scheme);

	return strncasecmp(origin, scheme, length) == 0 && strcasecmp(origin + length, host) == 0;
}

enum access_verdict access_check_site(
	const struct access *access, const struct access_headers *headers, bool data)
{
	const char *site = headers->fetch_site;

	if (!headers->host || headers->several_hosts || !host_is_ours(access, headers->host))
		return ACCESS_BAD_HOST;
	if (headers->origin && !origin_is_host(access, headers->origin, headers->host))
		return ACCESS_OTHER_SITE;
	/* another port of this host is "same-site", and not us */
	if (data && site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0)
		return ACCESS_OTHER_SITE;
	return ACCESS_GRANTED;
}

static bool bearer_is_token(const struct access *access, const char *authorization)
{
	static const char scheme[] = "Bearer ";

	return authorization && strncasecmp(authorization, scheme, sizeof(scheme) - 1) == 0 &&
	       access_equal(access->token, authorization + sizeof(scheme) - 1);
}

static bool cookie_is_ours(const struct access *access, const char *cookies)
{
	static const char name[] = ACCESS_COOKIE_NAME "=";

	while (cookies && *cookies) {
		size_t length = strcspn(cookies, ";");

		if (strncmp(cookies, name, sizeof(name) - 1) == 0 &&
			length == sizeof(name) - 1 + ACCESS_COOKIE_SIZE - 1) {
			char value[ACCESS_COOKIE_SIZE] = {0};

			memcpy(value, cookies + sizeof(name) - 1, ACCESS_COOKIE_SIZE - 1);
			if (access_equal(access->cookie, value))
				return true;
		}
		cookies += length;
		cookies += strspn(cookies, "; ");
	}
	return false;
}

enum access_verdict access_check(
	const struct access *access, const struct access_headers *headers, bool data)
{
	enum access_verdict verdict = access_check_site(access, headers, data);

	if (verdict != ACCESS_GRANTED || !access->token)
		return verdict;
	return bearer_is_token(access, headers->authorization) ||
			       cookie_is_ours(access, headers->cookie)
		       ? ACCESS_GRANTED
		       : ACCESS_NO_TOKEN;
}
