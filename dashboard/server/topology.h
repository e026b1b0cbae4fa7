/* hwloc's export of a host's topology as a tree that a page can draw. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* More objects, or deeper, is no machine of ours. */
enum { TOPOLOGY_OBJECTS = 20000, TOPOLOGY_DEPTH = 40 };

/*
 * The tree of hwloc's XML: {"type", "index", "name", "bytes", "level", "memory": [node],
 * "children": [node]}, without I/O devices. The text is hostile: it is read by GLib's parser, which
 * knows no entities of its own and opens nothing; false when it is not what hwloc writes. *tree is
 * owned by the caller.
 */
bool topology_parse(const char *xml, json_t **tree);
