/* Serving the embedded pages: see pages.h. */
#include "dashboard/server/pages.h"

#include "harness/base/embedded.h"

#include <ctype.h>
#include <glib.h>
#include <string.h>

#define PREFIX "web/"

struct pages {
	GHashTable *files; /* answers, by path below build/web */
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

/* "app-3fA91c0b.js": a name that changes with the content: eight characters or more, of letters and
 * digits and with a digit among them, between the last - or . and the ending. */
static bool is_hashed(const char *name)
{
	const char *dot = strrchr(name, '.');
	const char *start = dot;
	bool digit = false;

	while (dot && start > name && isalnum((unsigned char)start[-1])) {
		start--;
		digit = digit || isdigit((unsigned char)*start);
	}
	return dot && start > name && strchr("-.", start[-1]) && dot - start >= 8 && digit;
}

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
	static const char html[] = "text/html; charset=utf-8";
	struct pages *pages = calloc(1, sizeof(*pages));
	const struct embedded_file *file;

	if (!pages)
		abort();
	pages->files = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, unref);
	g_hash_table_insert(pages->files, "index.html",
		answer_static(html, no_pages, sizeof(no_pages) - 1, ANSWER_REVALIDATE));
	for (size_t i = 0; (file = embedded_at(i)); i++) {
		const char *name = file->name + sizeof(PREFIX) - 1;

		if (strncmp(file->name, PREFIX, sizeof(PREFIX) - 1) != 0)
			continue;
		g_hash_table_replace(pages->files, (void *)name,
			answer_static(type_of(name), file->data, file->size,
				is_hashed(name) ? ANSWER_FOREVER : ANSWER_REVALIDATE));
	}
	pages->login = answer_static(html, login_page, sizeof(login_page) - 1, ANSWER_REVALIDATE);
	return pages;
}

void pages_destroy(struct pages *pages)
{
	if (!pages)
		return;
	g_hash_table_destroy(pages->files);
	answer_unref(pages->login);
	free(pages);
}

struct answer *pages_login(struct pages *pages)
{
	return pages->login;
}

struct answer *pages_find(struct pages *pages, const struct request *request)
{
	GString *path = g_string_new("");
	struct answer *answer;

	for (size_t i = 0; i < request->count; i++)
		g_string_append_printf(path, "%s%s", i ? "/" : "", request->segments[i]);
	answer = g_hash_table_lookup(pages->files, path->str);
	if (!answer && (request->count == 0 || !strchr(request->segments[request->count - 1], '.')))
		answer = g_hash_table_lookup(pages->files, "index.html");
	g_string_free(path, TRUE);
	return answer;
}
