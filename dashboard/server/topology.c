/* A host's topology as a tree: see topology.h. */
#include "dashboard/server/topology.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

struct parser {
	json_t *stack[TOPOLOGY_DEPTH]; /* borrowed; NULL for one that is left out */
	size_t depth;		       /* of objects */
	size_t objects;
	json_t *root;
};

static const char *attribute(const char **names, const char **values, const char *wanted)
{
	for (size_t i = 0; names[i]; i++) {
		if (strcmp(names[i], wanted) == 0)
			return values[i];
	}
	return NULL;
}

static void set_number(json_t *node, const char *key, const char *text)
{
	char *end;
	long long number = text ? strtoll(text, &end, 10) : -1;

	if (number >= 0 && !*end)
		json_object_set_new(node, key, json_integer(number));
}

static bool is_device(const char *type)
{
	static const char *const types[] = {"Bridge", "PCIDev", "OSDev", "Misc"};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcmp(type, types[i]) == 0)
			return true;
	}
	return false;
}

/* Its place below its parent: NUMA nodes and memory-side caches are attached, not nested. */
static void attach(struct parser *parser, const char *type, json_t *node)
{
	json_t *parent = parser->stack[parser->depth - 1];
	const char *key = strcmp(type, "NUMANode") == 0 || strcmp(type, "MemCache") == 0
				  ? "memory"
				  : "children";
	json_t *list = json_object_get(parent, key);

	if (!list) {
		list = json_array();
		json_object_set_new(parent, key, list);
	}
	json_array_append_new(list, node);
}

static json_t *make_node(const char *type, const char **names, const char **values)
{
	json_t *node = json_pack("{s:s}", "type", type);
	const char *name = attribute(names, values, "name");
	const char *cache = attribute(names, values, "cache_size");

	set_number(node, "index", attribute(names, values, "os_index"));
	set_number(node, "bytes", cache ? cache : attribute(names, values, "local_memory"));
	if (cache)
		set_number(node, "level", attribute(names, values, "depth"));
	if (name)
		json_object_set_new(node, "name", json_string(name));
	return node;
}

static void refuse(GError **error)
{
	g_set_error_literal(error, G_MARKUP_ERROR, G_MARKUP_ERROR_INVALID_CONTENT, "no topology");
}

static void on_start(GMarkupParseContext *context, const char *element, const char **names,
	const char **values, void *data, GError **error)
{
	struct parser *parser = data;
	const char *type = attribute(names, values, "type");
	json_t *node;

	(void)context;
	if (strcmp(element, "object") != 0)
		return;
	if (!type || strlen(type) > 64 || parser->depth == TOPOLOGY_DEPTH ||
		++parser->objects > TOPOLOGY_OBJECTS || (parser->depth == 0 && parser->root)) {
		refuse(error);
		return;
	}
	if (is_device(type) || (parser->depth && !parser->stack[parser->depth - 1])) {
		parser->stack[parser->depth++] = NULL;
		return;
	}
	node = make_node(type, names, values);
	if (parser->depth)
		attach(parser, type, node);
	else
		parser->root = node;
	parser->stack[parser->depth++] = node;
}

static void on_end(GMarkupParseContext *context, const char *element, void *data, GError **error)
{
	struct parser *parser = data;

	(void)context;
	(void)error;
	if (strcmp(element, "object") == 0)
		parser->depth--;
}

bool topology_parse(const char *xml, json_t **tree)
{
	static const GMarkupParser callbacks = {.start_element = on_start, .end_element = on_end};
	struct parser parser = {0};
	GMarkupParseContext *context = g_markup_parse_context_new(&callbacks, 0, &parser, NULL);
	bool parsed = g_markup_parse_context_parse(context, xml, -1, NULL) &&
		      g_markup_parse_context_end_parse(context, NULL) && parser.root;

	g_markup_parse_context_free(context);
	if (parsed)
		*tree = parser.root;
	else
		json_decref(parser.root);
	return parsed;
}
