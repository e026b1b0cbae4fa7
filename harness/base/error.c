/* Errors with a story: see error.h. Must never print and never fail. */
#include "harness/base/error.h"

#include <glib.h>
#include <stdarg.h>
#include <string.h>

struct error {
	enum error_kind kind;
	char *message;
	char *remedy;
};

static struct error out_of_memory = {
	.kind = ERROR_SETUP,
	.message = (char *)"out of memory",
};

/* Messages quote guests and other programs, and travel as JSON, which must be UTF-8: a text that is
 * not would be dropped on the way, and the failure with it. */
static void make_utf8(char **text)
{
	gchar *valid;

	if (g_utf8_validate(*text, -1, NULL))
		return;
	valid = g_utf8_make_valid(*text, -1);
	free(*text);
	*text = strdup(valid);
	g_free(valid);
	if (!*text)
		abort();
}

static struct error *error_vnew(enum error_kind kind, const char *format, va_list args)
{
	struct error *err = calloc(1, sizeof(*err));

	if (!err)
		return &out_of_memory;
	err->kind = kind;
	if (vasprintf(&err->message, format, args) < 0) {
		free(err);
		return &out_of_memory;
	}
	make_utf8(&err->message);
	return err;
}

struct error *error_new(enum error_kind kind, const char *format, ...)
{
	struct error *err;
	va_list args;

	va_start(args, format);
	err = error_vnew(kind, format, args);
	va_end(args);
	return err;
}

static struct error *replace_message(struct error *err, char *message)
{
	if (err == &out_of_memory || !message) {
		free(message);
		return err;
	}
	free(err->message);
	err->message = message;
	return err;
}

struct error *error_errno(int errnum, const char *format, ...)
{
	struct error *err;
	char *message = NULL;
	va_list args;

	va_start(args, format);
	err = error_vnew(ERROR_SETUP, format, args);
	va_end(args);
	if (asprintf(&message, "%s: %s", err->message, strerror(errnum)) < 0)
		message = NULL;
	return replace_message(err, message);
}

struct error *error_prefix(struct error *err, const char *format, ...)
{
	char *prefix = NULL;
	char *message = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&prefix, format, args) < 0)
		prefix = NULL;
	va_end(args);
	if (prefix && asprintf(&message, "%s: %s", prefix, err->message) < 0)
		message = NULL;
	if (message)
		make_utf8(&message);
	free(prefix);
	return replace_message(err, message);
}

struct error *error_hint(struct error *err, const char *format, ...)
{
	va_list args;

	if (err == &out_of_memory || err->remedy)
		return err;
	va_start(args, format);
	if (vasprintf(&err->remedy, format, args) < 0)
		err->remedy = NULL;
	else
		make_utf8(&err->remedy);
	va_end(args);
	return err;
}

enum error_kind error_kind(const struct error *err)
{
	return err->kind;
}

const char *error_message(const struct error *err)
{
	return err->message;
}

const char *error_remedy(const struct error *err)
{
	return err->remedy;
}

int error_exit_status(const struct error *err)
{
	return err->kind == ERROR_INTERRUPTED ? 130 : 1;
}

void error_destroy(struct error *err)
{
	if (!err || err == &out_of_memory)
		return;
	free(err->message);
	free(err->remedy);
	free(err);
}
