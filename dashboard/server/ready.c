/* What the first view is made of, made before anybody asks for it: see server_internal.h. Runs in
 * the store's thread. */
#include "dashboard/server/server_internal.h"

/* The answer to that target for that generation; its text is added to `all`, by its path below
 * /api/v1. */
static void make_one(struct ask ask, const char *target, struct kept *kept, GString *all)
{
	_cleanup_(request_deinit) struct request request = {0};
	_cleanup_answer_ struct answer *answer = NULL;
	const struct route *route;
	const char *why, *text;
	size_t size;

	if (!request_parse(target, &request, &why))
		return;
	ask.request = &request;
	route = api_find(&request, ask.captured);
	answer = api_answer(route, &ask);
	if (!answer_is_ok(answer))
		return;
	answer_pack(answer);
	kept_put(kept, target, ask.generation, answer);
	text = answer_content(answer, &size);
	g_string_append_printf(
		all, "%s\"%s\":", all->len > 1 ? "," : "", target + sizeof("/api/v1") - 1);
	g_string_append_len(all, text, (gssize)size);
}

void ready_make(struct store *store, int64_t generation, void *context)
{
	struct server *server = context;
	_cleanup_(reader_deinit) struct reader reader = {.store = store};
	const struct ask ask = {.store = store, .generation = generation, .reader = &reader};
	GString *all = g_string_new("{");

	make_one(ask, "/api/v1/overview", server->kept, all);
	make_one(ask, "/api/v1/", server->kept, all);
	reader_settle(&reader);
	g_string_append_c(all, '}');
	pages_give(server->pages, all->str);
	g_string_free(all, TRUE);
}
