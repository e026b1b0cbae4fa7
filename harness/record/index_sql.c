/* SQL with JSON on both sides: see index_internal.h. Must never put a value into the text of a
 * statement. */
#include "harness/record/index_internal.h"

#include "harness/base/fs.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <string.h>

bool index_is_damaged(int code)
{
	return (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;
}

static bool is_full(const struct index *index, int code)
{
	int cause = sqlite3_system_errno(index->db);

	return (code & 0xff) == SQLITE_FULL ||
	       ((code & 0xff) == SQLITE_IOERR && (cause == ENOSPC || cause == EDQUOT));
}

struct error *index_error(struct index *index, const char *what)
{
	int code = sqlite3_extended_errcode(index->db);
	const char *why = sqlite3_errmsg(index->db);

	index->damaged = index->damaged || index_is_damaged(code);
	if (code == SQLITE_CANTOPEN_SYMLINK)
		return error_hint(
			error_new(ERROR_SETUP, "cannot %s the index %s: it is a symbolic link",
				what, index->path),
			"remove it, then: fleetlab index");
	if (is_full(index, code))
		return error_hint(error_errno(ENOSPC, "cannot %s the index %s", what, index->path),
			"make room, then: fleetlab index (the records are as they were)");
	if (index_is_damaged(code))
		return error_hint(error_new(ERROR_SETUP, "cannot %s the index %s: it is damaged",
					  what, index->path),
			"fleetlab index");
	if ((code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED)
		return error_hint(error_new(ERROR_TIMEOUT,
					  "cannot %s the index %s: another process has held it "
					  "for %d s",
					  what, index->path, INDEX_BUSY_MS / 1000),
			"try again");
	return error_hint(
		error_new(ERROR_SETUP, "cannot %s the index %s: %s", what, index->path, why),
		"it can be removed at any time, and made anew: fleetlab index");
}

struct error *index_exec(struct index *index, const char *sql)
{
	return sqlite3_exec(index->db, sql, NULL, NULL, NULL) == SQLITE_OK
		       ? NULL
		       : index_error(index, "use");
}

static struct error *prepare(struct index *index, const char *sql, sqlite3_stmt **statement)
{
	*statement = g_hash_table_lookup(index->statements, sql);
	if (*statement)
		return NULL;
	if (sqlite3_prepare_v3(index->db, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL) !=
		SQLITE_OK)
		return index_error(index, "use");
	g_hash_table_insert(index->statements, (void *)sql, *statement);
	return NULL;
}

static int bind_value(sqlite3_stmt *statement, int at, const json_t *value)
{
	if (json_is_string(value))
		return sqlite3_bind_text(statement, at, json_string_value(value),
			(int)json_string_length(value), SQLITE_STATIC);
	if (json_is_integer(value))
		return sqlite3_bind_int64(statement, at, json_integer_value(value));
	if (json_is_real(value))
		return sqlite3_bind_double(statement, at, json_real_value(value));
	if (json_is_boolean(value))
		return sqlite3_bind_int(statement, at, json_is_true(value));
	return sqlite3_bind_null(statement, at);
}

static struct error *bind(struct index *index, sqlite3_stmt *statement, const json_t *values)
{
	int count = sqlite3_bind_parameter_count(statement);

	for (int i = 1; i <= count; i++) {
		const char *name = sqlite3_bind_parameter_name(statement, i);

		if (bind_value(statement, i, json_object_get(values, name + 1)) != SQLITE_OK)
			return index_error(index, "use");
	}
	return NULL;
}

/* Names of files need not be UTF-8, what is told about them must be. */
static json_t *text_value(const char *text)
{
	json_t *value = json_string(text);
	char *escaped;
	size_t size;
	FILE *out;

	if (value)
		return value;
	out = open_memstream(&escaped, &size);
	if (!out)
		abort();
	for (const char *p = text; *p; p++) {
		if (isascii(*p) && isprint((unsigned char)*p))
			putc(*p, out);
		else
			fprintf(out, "\\x%02x", (unsigned char)*p);
	}
	fclose(out);
	value = json_string(escaped);
	free(escaped);
	return value;
}

static json_t *column_value(sqlite3_stmt *statement, int column, char kind)
{
	switch (sqlite3_column_type(statement, column)) {
	case SQLITE_INTEGER:
		if (kind == '?')
			return json_boolean(sqlite3_column_int(statement, column));
		return json_integer(sqlite3_column_int64(statement, column));
	case SQLITE_FLOAT:
		return json_real(sqlite3_column_double(statement, column));
	case SQLITE_TEXT: {
		const char *text = (const char *)sqlite3_column_text(statement, column);

		if (kind == '#')
			return json_stringn_nocheck(text, strlen(text));
		return kind == '{' ? json_loads(text, JSON_DECODE_ANY, NULL) : text_value(text);
	}
	default:
		return NULL;
	}
}

static json_t *row_of(sqlite3_stmt *statement)
{
	json_t *row = json_object();

	for (int i = 0; i < sqlite3_column_count(statement); i++) {
		const char *name = sqlite3_column_name(statement, i);
		bool marked = strchr("?{#", *name) && *name;

		/* setting NULL sets nothing */
		json_object_set_new(row, name + marked, column_value(statement, i, *name));
	}
	return row;
}

struct error *index_query(struct index *index, const char *sql, const json_t *values, json_t **rows)
{
	_cleanup_json_ json_t *found = json_array();
	struct error *err = NULL;
	sqlite3_stmt *statement;
	int code = SQLITE_DONE;

	try_(prepare(index, sql, &statement));
	err = bind(index, statement, values);
	while (!err && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		if (rows)
			json_array_append_new(found, row_of(statement));
	}
	if (!err && code != SQLITE_DONE)
		err = index_error(index, sqlite3_stmt_readonly(statement) ? "read" : "write");
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	if (!err && rows)
		*rows = take_ptr(found);
	return err;
}

struct error *index_query_one(
	struct index *index, const char *sql, const json_t *values, json_t **row)
{
	_cleanup_json_ json_t *rows = NULL;

	try_(index_query(index, sql, values, &rows));
	*row = json_incref(json_array_get(rows, 0));
	return NULL;
}
