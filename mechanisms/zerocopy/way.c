/* Tunnels between stacks: see way.h. */
#include "mechanisms/zerocopy/way.h"
#include "harness/base/fs.h"

#include <string.h>
#include <unistd.h>

enum { SSH_PORT = 2200 };

/* Where the tunnel begins, in a guest of its own kernel as well as beside us. */
#define TCP_ENTRY "127.0.0.1:7900"

struct error *way_prepare(struct way *way, struct deadline deadline)
{
	for (int from = 0; from < 2; from++) {
		const struct tunnel_spec spec = {
			.client = &way->places[from],
			.server = &way->places[1 - from],
			.address = way->addresses[1 - from],
			.port = SSH_PORT,
		};

		try_(tunnel_prepare(&spec, deadline, &way->tunnels[from]));
	}
	return NULL;
}

void way_begin(struct way *way, unsigned int from, struct deadline deadline)
{
	if (way->connected)
		tunnel_disconnect(way->tunnels[way->from]);
	way->connected = false;
	way->from = from;
	way->deadline = deadline;
}

struct error *way_open(struct way *way, const char *entry, const char *exit)
{
	const struct tunnel_forward forward = {entry, exit};

	if (way->connected)
		return error_new(ERROR_USAGE, "through a tunnel guests are moved one by one");
	way->connected = true;
	return tunnel_connect(way->tunnels[way->from], &forward, 1, way->deadline);
}

struct error *way_route(void *context, const char *target_uri, char **source_uri)
{
	struct way *way = context;
	bool is_unix = strncmp(target_uri, "unix:", 5) == 0;
	_cleanup_free_ char *entry =
		is_unix ? format_string("%s/tunnel.sock", way->places[way->from].dir)
			: format_string("%s", TCP_ENTRY);

	if (is_unix && !way->connected)
		unlink(entry);
	try_(way_open(way, entry, strchr(target_uri, ':') + 1));
	*source_uri = format_string("%s:%s", is_unix ? "unix" : "tcp", entry);
	return NULL;
}

void way_deinit(struct way *way)
{
	for (int i = 0; i < 2; i++) {
		tunnel_close(way->tunnels[i]);
		free(way->dirs[i]);
		free(way->addresses[i]);
	}
	*way = (struct way){0};
}
