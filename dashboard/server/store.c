/* The dashboard's store: see store.h. */
#include "dashboard/server/store.h"

#include "dashboard/server/nights.h"
#include "dashboard/server/store_internal.h"
#include "harness/base/fs.h"
#include "harness/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>

/* How often another process's changes of the index, and directories that inotify says nothing of,
 * are looked at. */
#define TICK_MS 2000
/* How often all files are, since a file system of another host tells nothing. */
#define RESCAN_MS 30000
/* Files arrive in bunches: an import, an interrupted copy. */
#define SETTLE_MS 150
#define LOCK_WAIT_MS 60000
/* … and where there is no inotify, or the index could not be brought up to date. */
#define RETRY_MS 5000

int64_t store_generation(const struct store *store)
{
	return atomic_load(&store->generation);
}

struct store_progress store_progress(const struct store *store)
{
	return (struct store_progress){
		.running = atomic_load(&store->indexing),
		.done = atomic_load(&store->done),
		.total = atomic_load(&store->total),
	};
}

int store_root(struct store *store)
{
	int root = atomic_load(&store->root);

	if (root >= 0)
		return root;
	int fd = open(store->results_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 && !atomic_compare_exchange_strong(&store->root, &root, fd)) {
		close(fd);
		return root;
	}
	return fd;
}

/* The directory that is at the store's path, when that is another than the one that is open; else
 * -1. One that is missing is waited for: whoever moves directories about is not done. */
static int another_root(struct store *store)
{
	_cleanup_close_ int fd = open(store->results_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat ours, theirs;

	if (fd < 0 || fstat(store_root(store), &ours) < 0 || fstat(fd, &theirs) < 0 ||
		(ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino))
		return -1;
	return take_fd(&fd);
}

static bool root_is_another(struct store *store)
{
	_cleanup_close_ int fd = another_root(store);

	return fd >= 0;
}

/* Goes over to the directory that is there now, for all threads at once: they use the number. */
static bool follow_root(struct store *store)
{
	_cleanup_close_ int fd = another_root(store);

	return fd >= 0 && dup3(fd, store_root(store), O_CLOEXEC) >= 0;
}

/* ---- one thread's access ---- */

void reader_deinit(struct reader *reader)
{
	index_close(reader->index);
	reader->index = NULL;
}

void reader_settle(struct reader *reader)
{
	if (!reader->index || !index_is_broken(reader->index))
		return;
	atomic_store(&reader->store->suspect, true);
	reader_deinit(reader);
}

struct error *reader_open(struct reader *reader)
{
	struct store *store = reader->store;
	int root = store_root(store);
	struct stat status = {0};
	struct error *err;

	if (fstatat(root, "index.sqlite", &status, AT_SYMLINK_NOFOLLOW) < 0)
		status = (struct stat){0};
	if (reader->index && status.st_ino == reader->inode && status.st_dev == reader->device)
		return NULL;
	reader_deinit(reader);
	err = index_open_at(root, store->results_dir, INDEX_READ, &reader->index);
	if (err && error_kind(err) != ERROR_USAGE)
		atomic_store(&store->suspect, true);
	reader->inode = status.st_ino;
	reader->device = status.st_dev;
	return err;
}

bool store_shows(struct reader *reader, const char *id)
{
	_cleanup_error_ struct error *err = reader_open(reader);
	_cleanup_json_ json_t *run = NULL;
	int64_t generation = -1;

	if (!err)
		err = index_run(reader->index, id, &run);
	/* behind the run, so that this generation has it */
	if (!err)
		err = index_generation(reader->index, &generation);
	reader_settle(reader);
	return run && generation == atomic_load(&reader->store->index_shown);
}

/* ---- keeping the index up to date ---- */

/* What is asked from now on is answered anew. */
static void publish(struct store *store)
{
	int64_t next = atomic_load(&store->generation) + 1;

	if (store->changed)
		store->changed(store, next, store->context);
	atomic_store(&store->generation, next);
	atomic_store(&store->index_shown, store->index_generation);
}

/* Whether the index is another than when it was last seen. */
static bool index_has_changed(struct store *store)
{
	_cleanup_error_ struct error *err = reader_open(&store->watcher);
	int64_t generation;
	bool changed;

	if (!err)
		err = index_generation(store->watcher.index, &generation);
	reader_settle(&store->watcher);
	if (err)
		return false;
	/* another file has generations of its own */
	changed = generation != store->index_generation ||
		  store->watcher.inode != store->index_inode ||
		  store->watcher.device != store->index_device;
	store->index_generation = generation;
	store->index_inode = store->watcher.inode;
	store->index_device = store->watcher.device;
	return changed;
}

static bool nights_have_changed(struct store *store)
{
	uint64_t stamp = nights_stamp(store_root(store));
	bool changed = stamp != store->nights;

	store->nights = stamp;
	return changed;
}

static void say_progress(size_t done, size_t total, void *context)
{
	struct store *store = context;

	atomic_store(&store->done, done);
	atomic_store(&store->total, total);
	atomic_store(&store->indexing, true);
	if (index_has_changed(store))
		publish(store);
}

char *store_trouble(struct store *store)
{
	char *trouble;

	pthread_mutex_lock(&store->trouble_lock);
	trouble = store->trouble ? format_string("%s", store->trouble) : NULL;
	pthread_mutex_unlock(&store->trouble_lock);
	return trouble;
}

/* Notes why the index is not up to date; NULL: it is. The same trouble is logged once, not every
 * few seconds. True when it is another than before. */
static bool note_trouble(struct store *store, const struct error *err)
{
	char *trouble = err ? format_string("%s", error_message(err)) : NULL;
	char *before = store->trouble;
	bool changed = !trouble != !before || (trouble && strcmp(trouble, before) != 0);

	if (trouble && changed)
		log_warning("the index is not up to date: %s", trouble);
	if (!trouble && changed)
		log_info("the index is up to date again");
	pthread_mutex_lock(&store->trouble_lock);
	store->trouble = trouble;
	pthread_mutex_unlock(&store->trouble_lock);
	free(before);
	return changed;
}

/* The directory is made where there never was one; one that was removed stays so. */
static struct error *open_root(struct store *store, int *root)
{
	struct stat status;

	if (store_root(store) < 0)
		try_(fs_make_dirs(store->results_dir));
	*root = store_root(store);
	if (*root < 0 || fstat(*root, &status) < 0)
		return error_errno(errno, "cannot use directory %s", store->results_dir);
	if (status.st_nlink == 0)
		return error_hint(
			error_new(ERROR_SETUP, "directory %s was removed", store->results_dir),
			"make it again: it is shown as soon as it is there");
	return NULL;
}

static struct error *update(struct store *store)
{
	const struct index_update_options options = {
		.check = atomic_exchange(&store->suspect, false),
		.deadline = deadline_after_ms(LOCK_WAIT_MS),
		.progress = say_progress,
		.context = store,
	};
	_cleanup_index_ struct index *index = NULL;
	struct index_changes changes;
	struct error *err;
	int root;

	err = open_root(store, &root);
	if (!err)
		err = index_open_at(root, store->results_dir, INDEX_WRITE, &index);
	if (!err)
		err = index_update(index, &options, &changes);
	if (err && options.check) /* it was not looked at */
		atomic_store(&store->suspect, true);
	if (!err && changes.recreated)
		log_warning("the index was damaged, or of another version: it was made anew");
	return err;
}

static const char *const places[STORE_PLACES] = {"runs", "reference", "nightly"};

/* Notes what the directories are; false when they are what they were. A file that comes or goes
 * changes its directory. */
static bool places_have_changed(struct store *store)
{
	bool changed = false;

	for (size_t i = 0; i < STORE_PLACES; i++) {
		struct store_place *place = &store->places[i];
		struct stat status = {0};

		if (fstatat(store_root(store), places[i], &status, AT_SYMLINK_NOFOLLOW) < 0)
			status = (struct stat){0};
		changed = changed || status.st_ino != place->inode ||
			  status.st_mtim.tv_sec != place->modified.tv_sec ||
			  status.st_mtim.tv_nsec != place->modified.tv_nsec;
		*place = (struct store_place){status.st_ino, status.st_mtim};
	}
	return changed;
}

/* False when not all of them could be. */
static bool watch(int notify, const char *path)
{
	/* one that is not there yet is watched for in its parent */
	return inotify_add_watch(notify, path,
		       IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CLOSE_WRITE |
			       IN_MOVE_SELF | IN_DELETE_SELF | IN_ONLYDIR) >= 0 ||
	       errno == ENOENT || errno == ENOTDIR;
}

static bool watch_directories(const struct store *store, int notify)
{
	bool all = watch(notify, store->results_dir);

	for (size_t i = 0; i < STORE_PLACES; i++) {
		_cleanup_free_ char *path = format_string("%s/%s", store->results_dir, places[i]);

		all = watch(notify, path) && all;
	}
	return all;
}

static bool is_ours(const char *name)
{
	return strncmp(name, "index.sqlite", 12) == 0 || name[0] == '.';
}

/* True when something changed that the index does not make itself. */
static bool drain(int notify)
{
	_Alignas(struct inotify_event) char bytes[16384];
	bool changed = false;
	ssize_t n;

	while ((n = read(notify, bytes, sizeof(bytes))) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *event = (const void *)(bytes + at);

			changed = changed || event->len == 0 || !is_ours(event->name);
			at += (ssize_t)(sizeof(*event) + event->len);
		}
	}
	return changed;
}

/* Waits until the store may have changed, or the time is over; false at the end of the dashboard.
 */
static bool wait_for_change(struct store *store, int notify, struct deadline until)
{
	struct pollfd pfds[2] = {
		{.fd = store->stop_fd, .events = POLLIN}, {.fd = notify, .events = POLLIN}};
	bool suspected = atomic_load(&store->suspect); /* by an update that failed */

	for (;;) {
		if (poll(pfds, 2, TICK_MS) < 0 && errno != EINTR)
			return false;
		if (pfds[0].revents)
			return false;
		if (pfds[1].revents && drain(notify)) {
			poll(pfds, 1, SETTLE_MS);
			drain(notify);
			return !pfds[0].revents;
		}
		if (index_has_changed(store))
			publish(store);
		if (places_have_changed(store) || root_is_another(store) ||
			(!suspected && atomic_load(&store->suspect)) || deadline_passed(until))
			return true;
	}
}

/* Brings the index up to date; false when it could not be. */
static bool refresh(struct store *store)
{
	_cleanup_error_ struct error *err = update(store);
	bool changed = note_trouble(store, err);

	changed = atomic_exchange(&store->indexing, false) || changed;
	changed = index_has_changed(store) || changed;
	changed = nights_have_changed(store) || changed;
	if (changed)
		publish(store);
	return !err;
}

static void *keep_up(void *context)
{
	struct store *store = context;
	_cleanup_close_ int notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	bool seeing, up_to_date;

	/* what is there can be shown before it is up to date */
	if (index_has_changed(store))
		publish(store);
	do {
		if (follow_root(store)) {
			/* nothing of the old one is shown, or listened to, any more */
			atomic_store(&store->indexing, true);
			atomic_store(&store->suspect, true);
			publish(store);
			cleanup_close(&notify);
			notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
		}
		/* before the look, so that nothing between the two is missed */
		seeing = notify >= 0 && watch_directories(store, notify);
		places_have_changed(store);
		up_to_date = refresh(store);
	} while (wait_for_change(
		store, notify, deadline_after_ms(seeing && up_to_date ? RESCAN_MS : RETRY_MS)));
	return NULL;
}

/* ---- the store ---- */

struct error *store_create(
	const char *results_dir, store_changed *changed, void *context, struct store **store)
{
	_cleanup_store_ struct store *made = calloc(1, sizeof(*made));

	if (!made)
		abort();
	atomic_init(&made->root, -1);
	made->results_dir = format_string("%s", results_dir);
	made->changed = changed;
	made->context = context;
	made->watcher.store = made;
	pthread_mutex_init(&made->trouble_lock, NULL);
	pthread_mutex_init(&made->records_lock, NULL);
	pthread_mutex_init(&made->large_lock, NULL);
	g_queue_init(&made->records);
	atomic_init(&made->indexing, true);
	atomic_init(&made->suspect, true); /* who knows what happened to it meanwhile */
	made->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (made->stop_fd < 0)
		return error_errno(errno, "cannot make an event descriptor");
	if (pthread_create(&made->thread, NULL, keep_up, made) != 0)
		return error_new(ERROR_SETUP, "cannot start the thread that keeps the index");
	made->started = true;
	*store = take_ptr(made);
	return NULL;
}

void store_destroy(struct store *store)
{
	if (!store)
		return;
	if (store->started) {
		eventfd_write(store->stop_fd, 1);
		pthread_join(store->thread, NULL);
	}
	store_forget_records(store);
	reader_deinit(&store->watcher);
	if (store->stop_fd >= 0)
		close(store->stop_fd);
	if (atomic_load(&store->root) >= 0)
		close(atomic_load(&store->root));
	pthread_mutex_destroy(&store->records_lock);
	pthread_mutex_destroy(&store->large_lock);
	free(store->results_dir);
	pthread_mutex_destroy(&store->trouble_lock);
	free(store->trouble);
	free(store);
}
