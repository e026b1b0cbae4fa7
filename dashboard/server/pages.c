/* Serving the embedded pages: see pages.h. */
#include "dashboard/server/pages.h"

#include "harness/base/embedded.h"

#include <glib.h>
#include <pthread.h>
#include <string.h>

#define PREFIX "web/"
#define INDEX "index.html"

/* Where index.html has a place for answers. It is data: the policy lets no script be there. */
#define ANSWERS "<script type=\"application/json\" id=\"answers\">"

struct pages {
	pthread_mutex_t lock;		   /* of index.html in `files` */
	GHashTable *files;		   /* answers, by path below build/web */
	const struct embedded_file *index; /* as it was built; NULL: it was not */
	struct answer *login;
};

static const char *type_of(const char *name)
{
	static const char *const types[][2] = {
		{".html", "text/html; charset=utf-8"},
		{".js", "text/javascript; charset=utf-8"},
		{".css", "text/css; charset=utf-8"},
		{".svg", "image/svg+xml"},
		{".png", "image/png"},
		{".ico", "image/x-icon"},
		{".json", "application/json; charset=utf-8"},
		{".webmanifest", "application/manifest+json"},
		{".txt", "text/plain; charset=utf-8"},
		{".woff2", "font/woff2"},
	};
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot && i < ARRAY_SIZE(types); i++) {
		if (strcmp(dot, types[i][0]) == 0)
			return types[i][1];
	}
	return "application/octet-stream";
}

/* A file whose name changes with its content. */
static bool is_hashed(const char *name)
{
	return strncmp(name, "assets/", 7) == 0;
}

static const char html[] = "text/html; charset=utf-8";

static void unref(void *answer)
{
	answer_unref(answer);
}

static const char login_page[] =
	"<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">"
	"<meta name=\"viewport\" content=\"width=device-width\"><title>fleetlab</title>"
	"<h1>fleetlab</h1><form action=\"/login\" method=\"get\">"
	"<p><label>Token: <input type=\"password\" name=\"token\" autofocus required></label>"
	" <button>Log in</button></p></form>"
	"<p>It is what <code>fleetlab serve</code> was started with.</p></html>";

static const char no_pages[] = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">"
			       "<title>fleetlab</title><h1>fleetlab</h1><p>This build has no "
			       "pages. The API is below <a href=\"/api/v1/overview\">/api/v1</a>."
			       "</p></html>";

struct pages *pages_create(void)
{
	struct pages *pages = calloc(1, sizeof(*pages));
	const struct embedded_file *file;

	if (!pages)
		abort();
	pthread_mutex_init(&pages->lock, NULL);
	pages->index = embedded_find(PREFIX INDEX);
	pages->files = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, unref);
	g_hash_table_insert(pages->files, INDEX,
		answer_static(html, no_pages, sizeof(no_pages) - 1, ANSWER_REVALIDATE));
	for (size_t i = 0; (file = embedded_at(i)); i++) {
		const char *name = file->name + sizeof(PREFIX) - 1;

		if (strncmp(file->name, PREFIX, sizeof(PREFIX) - 1) != 0)
			continue;
		struct answer *answer = answer_static(type_of(name), file->data, file->size,
			is_hashed(name) ? ANSWER_FOREVER : ANSWER_REVALIDATE);

		answer_pack(answer);
		g_hash_table_replace(pages->files, (void *)name, answer);
	}
	pages->login = answer_static(html, login_page, sizeof(login_page) - 1, ANSWER_REVALIDATE);
	return pages;
}

void pages_destroy(struct pages *pages)
{
	if (!pages)
		return;
	g_hash_table_destroy(pages->files);
	pthread_mutex_destroy(&pages->lock);
	answer_unref(pages->login);
	free(pages);
}

struct answer *pages_login(struct pages *pages)
{
	return pages->login;
}

/* JSON within HTML: "<" is only in its strings, and would end or begin something there. */
static void append_harmless(GString *text, const char *json)
{
	for (; *json; json++) {
		if (*json == '<')
			g_string_append(text, "\\u003c");
		else
			g_string_append_c(text, *json);
	}
}

void pages_give(struct pages *pages, const char *json)
{
	const char *place = pages->index ? memmem(pages->index->data, pages->index->size, ANSWERS,
						   sizeof(ANSWERS) - 1)
					 : NULL;
	GString *text;
	size_t before;

	if (!place)
		return;
	before = (size_t)(place - (const char *)pages->index->data) + sizeof(ANSWERS) - 1;
	text = g_string_new_len(pages->index->data, (gssize)before);
	append_harmless(text, json);
	g_string_append_len(
		text, place + sizeof(ANSWERS) - 1, (gssize)(pages->index->size - before));
	size_t size = text->len;
	struct answer *answer =
		answer_new(MHD_HTTP_OK, html, g_string_free(text, FALSE), size, ANSWER_REVALIDATE);

	answer_pack(answer);
	pthread_mutex_lock(&pages->lock);
	g_hash_table_replace(pages->files, INDEX, answer);
	pthread_mutex_unlock(&pages->lock);
}

struct answer *pages_find(struct pages *pages, const struct request *request)
{
	GString *path = g_string_new("");
	struct answer *answer;

	for (size_t i = 0; i < request->count; i++)
		g_string_append_printf(path, "%s%s", i ? "/" : "", request->segments[i]);
	pthread_mutex_lock(&pages->lock);
	answer = g_hash_table_lookup(pages->files, path->str);
	if (!answer && (request->count == 0 || !strchr(request->segments[request->count - 1], '.')))
		answer = g_hash_table_lookup(pages->files, INDEX);
	if (answer)
		answer_ref(answer);
	pthread_mutex_unlock(&pages->lock);
	g_string_free(path, TRUE);
	return answer;
}
