/*
 * Host-wide settings, borrowed and given back: see knobs.h. The order is the point: the old value
 * is on disk before the knob changes, and leaves the disk after it is restored.
 */
#include "harness/host/knobs.h"
#include "harness/base/clock.h"
#include "harness/base/fs.h"
#include "harness/host/file_lock.h"
#include "harness/host/knob_journal.h"
#include "harness/host/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static char *root_override;

/* This process as an owner: a file it holds a lock on. A forked child that borrows becomes an owner
 * of its own, which `pid` tells. */
static struct {
	int fd;
	pid_t pid;
	char name[40];
} self = {.fd = -1};

void knobs_relocate(const char *root, const char *runtime_dir)
{
	free(root_override);
	root_override = root ? format_string("%s", root) : NULL;
	knob_journal_relocate(runtime_dir);
	cleanup_close(&self.fd);
	self.fd = -1;
}

static char *real_path(const char *knob)
{
	return format_string("%s%s", root_override ? root_override : "", knob);
}

static struct error *check_allowed(const char *path)
{
	static const char *const patterns[] = {"/sys/kernel/mm/ksm/*",
		"/sys/kernel/mm/transparent_hugepage/*", "/proc/sys/vm/*", "/sys/fs/cgroup/*",
		"/sys/devices/system/cpu/*/scaling_governor"};

	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
		if (fnmatch(patterns[i], path, 0) == 0 && !strstr(path, "/../"))
			return NULL;
	}
	return error_new(ERROR_INTERNAL,
		"%s is not among the host's settings that fleetlab may change", path);
}

/* The knob's value; of "always [madvise] never" the chosen word. */
static struct error *read_knob(const char *knob, char **value)
{
	_cleanup_free_ char *path = real_path(knob);
	_cleanup_free_ char *text = NULL;
	size_t size;

	try_(fs_read(path, 1 << 16, &text, &size));
	while (size > 0 && strchr(" \t\n", text[size - 1]))
		text[--size] = '\0';
	const char *open = strchr(text, '[');
	const char *close = open ? strchr(open, ']') : NULL;

	*value = close ? format_string("%.*s", (int)(close - open - 1), open + 1)
		       : format_string("%s", text);
	return NULL;
}

static struct error *write_knob(const char *knob, const char *value)
{
	_cleanup_free_ char *path = real_path(knob);
	struct error *err = fs_write_value(path, value);

	return err ? error_hint(err, "changing the host's settings needs root") : NULL;
}

static const char *text_of(const json_t *entry, const char *field)
{
	const char *text = json_string_value(json_object_get(entry, field));

	return text ? text : "";
}

static bool is_mine(const json_t *entry)
{
	return self.fd >= 0 && self.pid == getpid() &&
	       strcmp(text_of(entry, "owner"), self.name) == 0;
}

/* An owner that is gone has left its lock file unlocked, or none at all. Who cannot be looked at is
 * not gone: what a living one has must not be taken from it. */
static bool is_alive(const json_t *entry)
{
	const char *owner = text_of(entry, "owner");
	_cleanup_free_ char *path = knob_journal_path(owner);
	_cleanup_close_ int fd = -1;

	if (is_mine(entry))
		return true;
	if (!*owner)
		return false;
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? errno != ENOENT : file_is_locked(fd);
}

static struct error *become_owner(void)
{
	uint64_t random = 0;

	if (self.fd >= 0 && self.pid == getpid())
		return NULL;
	cleanup_close(&self.fd);
	self.fd = -1;
	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return error_errno(errno, "cannot get a random number");
	snprintf(self.name, sizeof(self.name), "knobs-owner-%016llx", (unsigned long long)random);
	_cleanup_free_ char *path = knob_journal_path(self.name);
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0 || !file_try_lock(fd))
		return error_errno(errno, "cannot create %s", path);
	self.fd = take_fd(&fd);
	self.pid = getpid();
	return NULL;
}

/* In clock ticks since boot; 0 when unknown. It tells people whether a pid of the journal is still
 * the same process. */
static json_int_t own_start_time(void)
{
	struct proc_stat stat;

	return proc_read_stat(0, &stat) ? (json_int_t)stat.start : 0;
}

static json_t *new_entry(const char *path, const char *old, const char *value)
{
	_cleanup_free_ char *boot = fs_read_line("/proc/sys/kernel/random/boot_id");
	_cleanup_free_ char *command = fs_read_line("/proc/self/comm");
	char since[24];

	clock_format_utc(time(NULL), false, since, sizeof(since));
	return json_pack("{s:s, s:s, s:s, s:s, s:i, s:I, s:s, s:s, s:s}", "path", path, "old", old,
		"value", value, "owner", self.name, "pid", (int)getpid(), "start_time",
		own_start_time(), "boot_id", boot ? boot : "", "command", command ? command : "",
		"since", since);
}

/* Finds the journal's entry for a knob; -1 when there is none. */
static int find_entry(const json_t *entries, const char *path)
{
	json_t *entry;
	size_t i;

	json_array_foreach (entries, i, entry) {
		if (strcmp(text_of(entry, "path"), path) == 0)
			return (int)i;
	}
	return -1;
}

static struct error *owned_by_other(const json_t *entry)
{
	struct error *err =
		error_new(ERROR_SETUP, "%s is borrowed by another fleetlab: %s, pid %lld, since %s",
			text_of(entry, "path"), text_of(entry, "command"),
			json_integer_value(json_object_get(entry, "pid")), text_of(entry, "since"));

	return is_alive(entry)
		       ? error_hint(err, "wait for it, or end it and run: fleetlab gc")
		       : error_hint(err, "it is gone without giving it back; run: fleetlab gc");
}

/* What the knob has is what we set: of a reservation of huge pages the kernel may have given less
 * than was asked for, when memory is scattered, or when a kill came in the midst. */
static bool is_what_we_set(const json_t *entry, const char *path, const char *now)
{
	const char *value = text_of(entry, "value");
	unsigned long long have = strtoull(now, NULL, 10);

	return strcmp(now, value) == 0 ||
	       (strcmp(path, "/proc/sys/vm/nr_hugepages") == 0 &&
		       have > strtoull(text_of(entry, "old"), NULL, 10) &&
		       have < strtoull(value, NULL, 10));
}

/* Gives back one knob. `*settled` says that the journal may forget it. */
static struct error *restore(const json_t *entry, json_t *warnings, bool *settled)
{
	const char *path = text_of(entry, "path");
	const char *old = text_of(entry, "old");
	_cleanup_free_ char *boot = fs_read_line("/proc/sys/kernel/random/boot_id");
	_cleanup_free_ char *now = NULL;
	_cleanup_error_ struct error *err = NULL;
	char *warning = NULL;

	*settled = true;
	if (boot && strcmp(text_of(entry, "boot_id"), boot) != 0)
		return NULL; /* the host has been restarted: all settings are fresh */
	try_(check_allowed(path));
	err = read_knob(path, &now);
	if (err)
		warning = format_string("%s is gone, so its value %s was not restored", path, old);
	else if (strcmp(now, old) == 0)
		return NULL;
	else if (!is_what_we_set(entry, path, now))
		warning = format_string("%s was changed by somebody else: it is %s, fleetlab had "
					"set %s, and before that it was %s; left alone",
			path, now, text_of(entry, "value"), old);
	if (warning) {
		if (warnings)
			json_array_append_new(warnings, json_string(warning));
		free(warning);
		return NULL;
	}
	*settled = false;
	try_(write_knob(path, old));
	*settled = true;
	return NULL;
}

/* Takes the request back after the kernel refused it: the knob as before, the journal without it.
 */
static struct error *undo(json_t *entries, size_t index, bool fresh, struct error *err)
{
	const json_t *entry = json_array_get(entries, index);
	bool settled = true;

	if (!fresh)
		return err; /* it was ours before and still is */
	error_destroy(restore(entry, NULL, &settled));
	if (settled) {
		json_array_remove(entries, index);
		error_destroy(knob_journal_store(entries));
	}
	return err;
}

struct error *knob_borrow(const char *path, const char *value)
{
	_cleanup_json_ json_t *entries = NULL;
	_cleanup_free_ char *now = NULL;
	_cleanup_free_ char *taken = NULL;
	_cleanup_close_ int lock = -1;
	int index;
	bool fresh;
	struct error *err;

	try_(check_allowed(path));
	try_(knob_journal_lock(&lock));
	try_(knob_journal_load(&entries));
	index = find_entry(entries, path);
	fresh = index < 0;
	if (!fresh && !is_mine(json_array_get(entries, (size_t)index)))
		return owned_by_other(json_array_get(entries, (size_t)index));
	try_(become_owner());
	try_(read_knob(path, &now));
	if (fresh) {
		json_array_append_new(entries, new_entry(path, now, value));
		index = (int)json_array_size(entries) - 1;
	} else {
		json_object_set_new(
			json_array_get(entries, (size_t)index), "value", json_string(value));
	}
	try_(knob_journal_store(entries));
	err = write_knob(path, value);
	if (!err)
		err = read_knob(path, &taken);
	if (!err && strcmp(taken, value) != 0)
		err = error_new(ERROR_SETUP, "%s was set to %s but reads %s", path, value, taken);
	return err ? undo(entries, (size_t)index, fresh, err) : NULL;
}

/* Restores the entries that `wanted` picks, latest first; goes on after a failure and returns the
 * first one. */
static struct error *restore_all(bool (*wanted)(const json_t *entry), json_t *warnings)
{
	_cleanup_json_ json_t *entries = NULL;
	_cleanup_close_ int lock = -1;
	struct error *first = NULL;

	try_(knob_journal_lock(&lock));
	try_(knob_journal_load(&entries));
	for (size_t i = json_array_size(entries); i-- > 0;) {
		json_t *entry = json_array_get(entries, i);
		_cleanup_error_ struct error *err = NULL;
		bool settled = false;

		if (!wanted(entry))
			continue;
		err = restore(entry, warnings, &settled);
		if (settled)
			json_array_remove(entries, i);
		if (!first)
			first = take_ptr(err);
	}
	struct error *stored = knob_journal_store(entries);

	if (first) {
		error_destroy(stored);
		return first;
	}
	return stored;
}

static bool is_abandoned(const json_t *entry)
{
	return !is_alive(entry);
}

struct error *knobs_give_back(json_t *warnings)
{
	if (self.fd < 0 || self.pid != getpid())
		return NULL;
	try_(restore_all(is_mine, warnings));
	_cleanup_free_ char *path = knob_journal_path(self.name);

	unlink(path);
	cleanup_close(&self.fd);
	self.fd = -1;
	return NULL;
}

/* Lock files of the dead; the journal lock keeps a new owner's from being mistaken for one. */
static void remove_dead_owner(const char *name)
{
	_cleanup_free_ char *path = knob_journal_path(name);
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd >= 0 && !file_is_locked(fd))
		unlink(path);
}

struct error *knobs_recover(json_t *warnings)
{
	_cleanup_json_ json_t *entries = NULL;
	_cleanup_free_ char *journal = knob_journal_path("knobs.json");
	json_t *entry;
	size_t i;

	if (access(journal, F_OK) < 0)
		return NULL; /* nothing is borrowed: do not even make the directory */
	try_(knob_journal_load(&entries));
	try_(restore_all(is_abandoned, warnings));
	json_array_foreach (entries, i, entry) {
		if (!is_mine(entry))
			remove_dead_owner(text_of(entry, "owner"));
	}
	return NULL;
}

struct error *knobs_list(json_t **entries)
{
	_cleanup_json_ json_t *loaded = NULL;
	json_t *entry;
	size_t i;

	try_(knob_journal_load(&loaded));
	json_array_foreach (loaded, i, entry)
		json_object_set_new(entry, "alive", json_boolean(is_alive(entry)));
	*entries = take_ptr(loaded);
	return NULL;
}
