/* Opening the index, and its tables: see index.h. Must never remove a file that it did not make. */
#include "harness/record/index_internal.h"

#include "harness/base/fs.h"
#include "harness/host/file_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

/* "flix": whose file this is. The version changes with the tables; another is made anew. */
#define APPLICATION_ID 0x666c6978
#define TABLES_VERSION 2

/* The rows of one series or claim lie together and in the order of time: a plot reads one range.
 * Sentences that many rows share are kept once (texts). */
static const char tables[] =
	"CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
	"INSERT INTO meta VALUES ('generation', 1);"
	"CREATE TABLE files (path TEXT PRIMARY KEY, stamp TEXT NOT NULL, hash TEXT NOT NULL,"
	" grader TEXT NOT NULL, status TEXT NOT NULL, reason TEXT, id TEXT, bytes INTEGER)"
	" WITHOUT ROWID;"
	"CREATE INDEX files_refused ON files (path) WHERE status <> 'ok';"
	"CREATE INDEX files_duplicate ON files (id) WHERE status = 'duplicate';"
	"CREATE TABLE hosts (host INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE,"
	" fields TEXT NOT NULL);"
	"CREATE TABLE fingerprints (fingerprint INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE,"
	" fields TEXT NOT NULL, kernel TEXT, microcode TEXT, cpu TEXT, qemu TEXT, libvirt TEXT,"
	" accelerator TEXT, accelerator_reason TEXT, distribution TEXT);"
	"CREATE TABLE texts (text INTEGER PRIMARY KEY, value TEXT NOT NULL UNIQUE);"
	"CREATE TABLE runs (run INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,"
	" path TEXT NOT NULL UNIQUE, place TEXT NOT NULL, started_s INTEGER NOT NULL,"
	" started TEXT NOT NULL, finished TEXT, state TEXT NOT NULL, complete INTEGER NOT NULL,"
	" synthetic INTEGER NOT NULL, altered INTEGER NOT NULL, notes TEXT, version TEXT,"
	" \"commit\" TEXT, profile TEXT, seed INTEGER, mechanisms TEXT, command TEXT, images TEXT,"
	" planned INTEGER, ok INTEGER, failed INTEGER, invalid INTEGER, skipped INTEGER,"
	" wall_s REAL, disk_bytes REAL, host INTEGER NOT NULL, fingerprint INTEGER NOT NULL);"
	"CREATE INDEX runs_started ON runs (started_s);"
	"CREATE INDEX runs_host ON runs (host, fingerprint, started_s);"
	"CREATE TABLE outcomes (run INTEGER, mechanism TEXT, experiment TEXT, variant TEXT,"
	" outcome TEXT, trials INTEGER, PRIMARY KEY (run, mechanism, experiment, variant, outcome))"
	" WITHOUT ROWID;"
	"CREATE TABLE series (series INTEGER PRIMARY KEY, mechanism TEXT, experiment TEXT,"
	" variant TEXT, metric TEXT, at TEXT, unit TEXT,"
	" UNIQUE (mechanism, experiment, variant, metric, at, unit));"
	"CREATE TABLE metrics (series INTEGER, started_s INTEGER, run INTEGER, settings TEXT,"
	" median REAL, low REAL, high REAL, n INTEGER, PRIMARY KEY (series, started_s, run))"
	" WITHOUT ROWID;"
	"CREATE TABLE claims (claim TEXT, started_s INTEGER, run INTEGER, paper TEXT, verdict TEXT,"
	" reason INTEGER, kind TEXT, measured REAL, low REAL, high REAL, unit TEXT, pairs INTEGER,"
	" published REAL, published_low REAL, published_high REAL, comparable INTEGER,"
	" comparable_reason INTEGER, evidence INTEGER, wall_s REAL, disk_bytes REAL,"
	" PRIMARY KEY (claim, started_s, run)) WITHOUT ROWID;";

void index_close(struct index *index)
{
	if (!index)
		return;
	index_unlock(index);
	if (index->statements)
		g_hash_table_destroy(index->statements);
	sqlite3_close(index->db);
	cleanup_close(&index->root);
	free(index->results_dir);
	free(index->path);
	free(index);
}

bool index_is_broken(const struct index *index)
{
	return index->damaged;
}

static void finalize(void *statement)
{
	sqlite3_finalize(statement);
}

static struct error *value_of(struct index *index, const char *sql, int *value)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(index->db, sql, -1, &statement, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*value = sqlite3_column_int(statement, 0);
	sqlite3_finalize(statement);
	return code == SQLITE_ROW ? NULL : index_error(index, "open");
}

/* In one transaction, so that of two processes that begin at once one makes them. */
static struct error *make_tables(struct index *index)
{
	_cleanup_free_ char *identify =
		format_string("PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
			APPLICATION_ID, TABLES_VERSION);
	int version = 0;
	struct error *err;

	try_(index_exec(index, "PRAGMA journal_mode = WAL; BEGIN IMMEDIATE"));
	err = value_of(index, "PRAGMA user_version", &version);
	if (!err && version == TABLES_VERSION)
		return index_exec(index, "COMMIT");
	if (!err)
		err = index_exec(index, tables);
	if (!err)
		err = index_exec(index, identify);
	if (err)
		sqlite3_exec(index->db, "ROLLBACK", NULL, NULL, NULL);
	return err;
}

/* *usable: it has our tables; *is_new: it has none; *code: what SQLite said when it could not be
 * read. */
static struct error *look(struct index *index, bool *usable, bool *is_new, int *code)
{
	int application = 0, version = 0, tables_there = 0;
	/* first: without any it is new, and somebody may be about to make them, with the rest */
	struct error *err = value_of(index, "SELECT count(*) FROM sqlite_schema", &tables_there);

	if (!err)
		err = value_of(index, "PRAGMA application_id", &application);
	if (!err)
		err = value_of(index, "PRAGMA user_version", &version);
	*code = err ? sqlite3_extended_errcode(index->db) : SQLITE_OK;
	if (err)
		return err;
	if (tables_there && application != APPLICATION_ID)
		return error_hint(error_new(ERROR_SETUP,
					  "%s is a database, but no index of "
					  "fleetlab's",
					  index->path),
			"move it away, then: fleetlab index");
	*is_new = !tables_there;
	*usable = tables_there && version == TABLES_VERSION;
	if (tables_there && version != TABLES_VERSION)
		*code = SQLITE_NOTADB;
	return NULL;
}

/* SQLite opens by path, and the directory may have been moved since it was opened; what the kernel
 * says has no links, so that SQLite can be told to refuse them. */
static char *path_now(const struct index *index)
{
	_cleanup_free_ char *link = format_string("/proc/self/fd/%d", index->root);
	char root[PATH_MAX];
	ssize_t length = readlink(link, root, sizeof(root));

	if (length < 0 || length == sizeof(root))
		return format_string("%s", index->path);
	return format_string("%.*s/" INDEX_FILE, (int)length, root);
}

static struct error *connect_file(struct index *index, int flags)
{
	_cleanup_free_ char *path = path_now(index);

	flags |= SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
	if (sqlite3_open_v2(path, &index->db, flags, NULL) != SQLITE_OK)
		return index_error(index, "open");
	sqlite3_extended_result_codes(index->db, 1);
	sqlite3_busy_timeout(index->db, INDEX_BUSY_MS);
	return index_exec(index, "PRAGMA trusted_schema = OFF; PRAGMA synchronous = NORMAL;"
				 "PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -65536;"
				 "PRAGMA temp_store = MEMORY");
}

static void disconnect(struct index *index)
{
	g_hash_table_remove_all(index->statements);
	sqlite3_close(index->db);
	index->db = NULL;
	index->damaged = false;
}

static struct error *not_there(const struct index *index)
{
	return error_hint(error_new(ERROR_USAGE, "there is no index in %s", index->results_dir),
		"fleetlab index");
}

static struct error *open_for_reading(struct index *index)
{
	struct stat status;
	bool usable = false, is_new = false;
	int code;

	/* an empty one is all that a full disk had room for */
	if (fstatat(index->root, INDEX_FILE, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
		status.st_size == 0)
		return not_there(index);
	try_(connect_file(index, SQLITE_OPEN_READONLY));
	try_(look(index, &usable, &is_new, &code));
	if (is_new)
		return not_there(index);
	if (!usable)
		return error_hint(
			error_new(ERROR_SETUP, "the index %s is of another version", index->path),
			"fleetlab index");
	return NULL;
}

/* *code tells damage. */
static struct error *connect_and_look(struct index *index, bool *usable, int *code)
{
	struct error *err = connect_file(index, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
	bool is_new;

	*usable = false;
	if (!err)
		return look(index, usable, &is_new, code);
	*code = sqlite3_extended_errcode(index->db);
	return err;
}

/* The lock is held: what is damaged now nobody else is making anew. */
static struct error *connect_and_mend(struct index *index)
{
	bool usable;
	int code;
	struct error *err = connect_and_look(index, &usable, &code);

	if (index_is_damaged(code)) {
		error_destroy(err);
		return index_recreate(index);
	}
	if (err)
		return err;
	return usable ? NULL : make_tables(index);
}

static struct error *open_for_writing(struct index *index)
{
	bool usable;
	int code;
	struct error *err = connect_and_look(index, &usable, &code);

	if (index_is_damaged(code)) {
		error_destroy(err);
		disconnect(index);
		try_(index_lock(index, deadline_after_ms(INDEX_BUSY_MS)));
		err = connect_and_mend(index);
		index_unlock(index);
		return err;
	}
	if (err)
		return err;
	return usable ? NULL : make_tables(index);
}

struct error *index_open_at(
	int root, const char *results_dir, enum index_mode mode, struct index **index)
{
	_cleanup_index_ struct index *made = calloc(1, sizeof(*made));

	if (!made)
		abort();
	made->lock_fd = -1;
	made->results_dir = format_string("%s", results_dir);
	made->path = format_string("%s/" INDEX_FILE, results_dir);
	made->statements = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, finalize);
	made->root = fcntl(root, F_DUPFD_CLOEXEC, 0);
	if (made->root < 0)
		return error_errno(errno, "cannot use directory %s", results_dir);
	try_(mode == INDEX_READ ? open_for_reading(made) : open_for_writing(made));
	*index = take_ptr(made);
	return NULL;
}

struct error *index_open(const char *results_dir, enum index_mode mode, struct index **index)
{
	_cleanup_close_ int root = -1;

	if (mode == INDEX_WRITE)
		try_(fs_make_dirs(results_dir));
	root = open(results_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 && errno == ENOENT)
		return error_hint(error_new(ERROR_USAGE, "there is no index in %s", results_dir),
			"fleetlab index");
	if (root < 0)
		return error_errno(errno, "cannot use directory %s", results_dir);
	return index_open_at(root, results_dir, mode, index);
}

struct error *index_follow(struct index *index)
{
	int moved = 0;

	if (sqlite3_file_control(index->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK ||
		!moved)
		return NULL;
	disconnect(index);
	return connect_and_mend(index);
}

/* Who still reads the old file keeps it: it has no name any more. The database goes first: without
 * it nobody opens the other two. */
struct error *index_recreate(struct index *index)
{
	static const char *const files[] = {INDEX_FILE, INDEX_FILE "-wal", INDEX_FILE "-shm"};

	disconnect(index);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		if (unlinkat(index->root, files[i], 0) < 0 && errno != ENOENT)
			return error_errno(errno, "cannot remove the damaged index %s/%s",
				index->results_dir, files[i]);
	}
	index->recreated = true;
	try_(connect_file(index, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE));
	return make_tables(index);
}

struct error *index_lock(struct index *index, struct deadline deadline)
{
	_cleanup_free_ char *path = format_string("%s/.index.lock", index->results_dir);
	struct error *err =
		file_lock_at(index->root, ".index.lock", path, deadline, &index->lock_fd);

	if (err)
		return error_hint(error_prefix(err, "waiting for another update of the index"),
			"try again when it has ended");
	return NULL;
}

void index_unlock(struct index *index)
{
	cleanup_close(&index->lock_fd);
	index->lock_fd = -1;
}
