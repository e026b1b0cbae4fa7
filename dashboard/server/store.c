/* The dashboard's store: see store.h. */
#include "dashboard/server/store.h"

#include "dashboard/server/store_internal.h"
#include "harness/base/fs.h"
#include "harness/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>

/* How often another process's changes of the index are looked for. */
#define TICK_MS 2000
/* Files arrive in bunches: an import, an interrupted copy. */
#define SETTLE_MS 150
#define LOCK_WAIT_MS 60000
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

/* ---- one thread's access ---- */

void reader_deinit(struct reader *reader)
{
	index_close(reader->index);
	reader->index = NULL;
}

struct error *reader_open(struct reader *reader)
{
	struct stat status;
	struct error *err;

	if (fstatat(store_root(reader->store), "index.sqlite", &status, AT_SYMLINK_NOFOLLOW) < 0)
		status.st_ino = 0;
	if (reader->index && status.st_ino == reader->inode)
		return NULL;
	reader_deinit(reader);
	err = index_open(reader->store->results_dir, INDEX_READ, &reader->index);
	if (!err)
		reader->inode = status.st_ino;
	return err;
}

/* ---- keeping the index up to date ---- */

static void say_progress(size_t done, size_t total, void *context)
{
	struct store *store = context;

	atomic_store(&store->done, done);
	atomic_store(&store->total, total);
}

/* The same trouble is told once, not every few seconds. */
static void complain(struct store *store, struct error *err)
{
	if (!err) {
		free(store->complaint);
		store->complaint = NULL;
		return;
	}
	if (!store->complaint || strcmp(store->complaint, error_message(err)) != 0) {
		free(store->complaint);
		store->complaint = format_string("%s", error_message(err));
		log_warning("the index is not up to date: %s", store->complaint);
	}
	error_destroy(err);
}

static struct error *update(struct store *store)
{
	const struct index_update_options options = {
		.deadline = deadline_after_ms(LOCK_WAIT_MS),
		.progress = say_progress,
		.context = store,
	};
	_cleanup_index_ struct index *index = NULL;
	struct index_changes changes;

	try_(index_open(store->results_dir, INDEX_WRITE, &index));
	return index_update(index, &options, &changes);
}

static void look_at_generation(struct store *store)
{
	_cleanup_error_ struct error *err = reader_open(&store->watcher);
	int64_t generation;

	if (!err)
		err = index_generation(store->watcher.index, &generation);
	if (err)
		return;
	/* another file has generations of its own */
	if (generation != store->index_generation || store->watcher.inode != store->index_inode)
		atomic_fetch_add(&store->generation, 1);
	store->index_generation = generation;
	store->index_inode = store->watcher.inode;
}

static void watch_directories(const struct store *store, int notify)
{
	static const char *const names[] = {"", "/runs", "/reference"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *path = format_string("%s%s", store->results_dir, names[i]);

		/* one that is not there yet is watched for in its parent */
		inotify_add_watch(notify, path,
			IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CLOSE_WRITE |
				IN_ONLYDIR);
	}
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

/* Waits until the store may have changed; false at the end of the dashboard. */
static bool wait_for_change(struct store *store, int notify, bool retry)
{
	struct pollfd pfds[2] = {
		{.fd = store->stop_fd, .events = POLLIN}, {.fd = notify, .events = POLLIN}};
	struct deadline until = deadline_after_ms(RETRY_MS);

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
		look_at_generation(store);
		if (retry && deadline_passed(until))
			return true;
	}
}

static void *keep_up(void *context)
{
	struct store *store = context;
	_cleanup_close_ int notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	bool failed;

	do {
		/* before the look, so that nothing between the two is missed */
		watch_directories(store, notify);
		atomic_store(&store->indexing, true);
		struct error *err = update(store);

		failed = err != NULL;
		complain(store, err);
		atomic_store(&store->indexing, false);
		look_at_generation(store);
	} while (wait_for_change(store, notify, failed));
	return NULL;
}

/* ---- the store ---- */

struct error *store_create(const char *results_dir, struct store **store)
{
	_cleanup_store_ struct store *made = calloc(1, sizeof(*made));

	if (!made)
		abort();
	atomic_init(&made->root, -1);
	made->results_dir = format_string("%s", results_dir);
	made->watcher.store = made;
	pthread_mutex_init(&made->records_lock, NULL);
	g_queue_init(&made->records);
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
	free(store->results_dir);
	free(store->complaint);
	free(store);
}
