/* The journal of borrowed knobs: see knob_journal.h. Must never lose an entry to a crash. */
#include "harness/host/knob_journal.h"
#include "harness/base/clock.h"
#include "harness/base/fs.h"
#include "harness/host/file_lock.h"

#include <errno.h>
#include <string.h>

/* A holder changes one file and syncs it. */
#define JOURNAL_PATIENCE_MS 10000

static char *runtime_override;

void knob_journal_relocate(const char *runtime_dir)
{
	free(runtime_override);
	runtime_override = runtime_dir ? format_string("%s", runtime_dir) : NULL;
}

char *knob_journal_path(const char *name)
{
	_cleanup_free_ char *dir =
		runtime_override ? format_string("%s", runtime_override) : fs_runtime_dir();

	return format_string("%s/%s", dir, name);
}

struct error *knob_journal_lock(int *fd)
{
	_cleanup_free_ char *path = knob_journal_path("knobs.lock");
	_cleanup_free_ char *dir = knob_journal_path(".");
	_cleanup_close_ int lock = -1;

	try_(fs_make_dirs(dir));
	lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (lock < 0)
		return error_errno(errno, "cannot open %s", path);
	try_(file_lock(lock, path, deadline_after_ms(JOURNAL_PATIENCE_MS)));
	*fd = take_fd(&lock);
	return NULL;
}

struct error *knob_journal_load(json_t **entries)
{
	_cleanup_free_ char *path = knob_journal_path("knobs.json");
	_cleanup_free_ char *text = NULL;
	json_error_t problem = {0};
	json_t *loaded;
	struct error *err = fs_read(path, 1 << 20, &text, NULL);

	/* Asked afterwards: who gives back the last knob may remove it at any moment. */
	if (err && access(path, F_OK) < 0 && errno == ENOENT) {
		error_destroy(err);
		*entries = json_array();
		return NULL;
	}
	try_(err);
	loaded = json_loads(text, 0, &problem);
	if (!json_is_array(loaded)) {
		json_decref(loaded);
		return error_hint(error_new(ERROR_SETUP,
					  "the journal of borrowed settings, %s, is damaged: %s",
					  path, problem.text),
			"compare the settings it names with what you want, then remove the file");
	}
	*entries = loaded;
	return NULL;
}

struct error *knob_journal_store(const json_t *entries)
{
	_cleanup_free_ char *path = knob_journal_path("knobs.json");
	_cleanup_free_ char *text = json_dumps(entries, JSON_INDENT(1));

	if (!text)
		return error_new(ERROR_INTERNAL, "cannot write down the borrowed settings");
	if (json_array_size(entries) == 0) {
		if (unlink(path) < 0 && errno != ENOENT)
			return error_errno(errno, "cannot remove %s", path);
		return NULL;
	}
	return fs_write_atomic(path, text, strlen(text));
}
