/* Tunnels between stacks: see way.h. */
#include "mechanisms/zerocopy/way.h"
#include "harness/base/fs.h"

#include <string.h>
#include <unistd.h>

enum { SSH_PORT = 2200 };

/* Where the tunnel begins, in a guest of its own kernel as well as beside us. */
#define TCP_ENTRY "127.0.0.1:7900"

void way_begin(struct way *way, unsigned int from, struct deadline deadline)
{
	tunnel_close(way->tunnel);
	way->tunnel = NULL;
	way->from = from;
	way->deadline = deadline;
}

struct error *way_open(struct way *way, const char *entry, const char *exit)
{
	const struct tunnel_forward forward = {entry, exit};
	const struct tunnel_spec spec = {
		.client = &way->places[way->from],
		.server = &way->places[1 - way->from],
		.address = way->addresses[1 - way->from],
		.port = SSH_PORT,
		.forwards = &forward,
		.forward_count = 1,
	};

	if (way->tunnel)
		return error_new(ERROR_USAGE, "through a tunnel guests are moved one by one");
	return tunnel_open(&spec, way->deadline, &way->tunnel);
}

struct error *way_route(void *context, const char *target_uri, char **source_uri)
{
	struct way *way = context;
	bool is_unix = strncmp(target_uri, "unix:", 5) == 0;
	_cleanup_free_ char *entry =
		is_unix ? format_string("%s/tunnel.sock", way->places[way->from].dir)
			: format_string("%s", TCP_ENTRY);

	if (is_unix && !way->tunnel)
		unlink(entry);
	try_(way_open(way, entry, strchr(target_uri, ':') + 1));
	*source_uri = format_string("%s:%s", is_unix ? "unix" : "tcp", entry);
	return NULL;
}

void way_deinit(struct way *way)
{
	tunnel_close(way->tunnel);
	for (int i = 0; i < 2; i++) {
		free(way->dirs[i]);
		free(way->addresses[i]);
	}
	*way = (struct way){0};
}
