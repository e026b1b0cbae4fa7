/* Server-sent events: see events.h. Must never hold more than a bounded amount for a follower, nor
 * call into the daemon for a connection that has ended. */
#include "dashboard/server/events.h"

#include "dashboard/server/answer.h"
#include "harness/base/fs.h"
#include "harness/record/samples.h"

#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>

#define LOOK_MS 250
/* A client that has gone is noticed when something is sent to it. */
#define BEAT_MS 15000
/* Not yet taken by a follower; it gets the rest when it has caught up. */
#define MOST_PENDING ((size_t)256 << 10)
#define MOST_TRIALS 200 /* told at a time */
/* For the record of a run that has ended to be indexed: a damaged one never is. */
#define SHOWN_WAIT_MS 10000

struct follower {
	struct events *events;
	struct MHD_Connection *connection;
	char *id; /* of the run; NULL: the store; "latest" until one is found */
	GString *pending;
	bool suspended;
	bool ended; /* nothing more comes */
	bool gone;  /* its request has ended: the thread that looks frees it */
	/* what it was told; of that thread alone, as is all that follows */
	GString *news;		/* on its way to `pending` */
	bool last;		/* nothing comes after `news` */
	bool ending;		/* its record is there, and may not be indexed yet */
	struct deadline end_by; /* when it is told all the same */
	struct live_place place;
	enum live_state state;
	bool greeted;
	int64_t generation;
	uint64_t live_generation;
	struct deadline beat;
};

struct events {
	struct store *store;
	struct live *live;
	struct reader reader; /* the thread's */
	pthread_t thread;
	bool started;
	int stop_fd;
	pthread_mutex_t
		lock; /* of all that follows, and of all followers; nothing is read under it */
	GPtrArray *followers;
	struct follower *looked_for; /* what is new for it is being looked for */
	bool over;
};

char *event_format(const char *name, int64_t id, const json_t *data)
{
	_cleanup_free_ char *text = json_dumps(data, JSON_COMPACT | JSON_REAL_PRECISION(15));
	_cleanup_free_ char *number =
		id >= 0 ? format_string("id: %lld\n", (long long)id) : format_string("%s", "");

	/* JSON on one line has no line break that could end the event */
	return format_string("event: %s\n%sdata: %s\n\n", name, number, text ? text : "{}");
}

static void tell(struct follower *follower, const char *name, int64_t id, const json_t *data)
{
	_cleanup_free_ char *text = event_format(name, id, data);

	g_string_append(follower->news, text);
	follower->beat = deadline_after_ms(BEAT_MS);
}

/* ---- what is new ---- */

static void tell_trials(struct follower *follower, const json_t *trials, const json_t *progress)
{
	size_t first = follower->place.trials - json_array_size(trials);
	json_t *trial;
	size_t i;

	json_array_foreach (trials, i, trial) {
		_cleanup_json_ json_t *data =
			json_pack("{s:O, s:O}", "trial", trial, "progress", progress);

		tell(follower, "trial", (int64_t)(first + i + 1), data);
	}
}

static void tell_end(struct follower *follower, const json_t *progress)
{
	_cleanup_json_ json_t *data = json_pack("{s:s, s:s, s:b}", "id", follower->id, "state",
		progress ? json_text(progress, "state") : "ended", "record", 1);

	tell(follower, "end", -1, data);
	follower->last = true;
}

/* Whoever is told asks for the run at once: not before the index has it. */
static void tell_end_when_shown(struct follower *follower, const json_t *progress)
{
	if (!follower->ending)
		follower->end_by = deadline_after_ms(SHOWN_WAIT_MS);
	follower->ending = true;
	if (store_shows(&follower->events->reader, follower->id) ||
		deadline_passed(follower->end_by))
		tell_end(follower, progress);
}

/* A run that has a record but no journal, such as an imported one: there is nothing to follow. */
static bool has_record(const struct events *events, const char *id)
{
	static const char *const places[] = {"runs", "reference"};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		_cleanup_free_ char *path = format_string("%s/%s.json", places[i], id);
		_cleanup_close_ int fd = -1;
		struct error *err = fs_open_beneath(store_root(events->store), path, &fd, NULL);

		error_destroy(err);
		if (fd >= 0)
			return true;
	}
	return false;
}

static void look_at_run(struct follower *follower)
{
	struct events *events = follower->events;
	_cleanup_json_ json_t *progress = NULL;
	_cleanup_json_ json_t *trials = NULL;
	enum live_state state;
	bool plan_changed;

	if (strcmp(follower->id, "latest") == 0) {
		char *running = live_running(events->live);

		if (!running)
			return;
		free(follower->id);
		follower->id = running;
	}
	state = live_news(events->live, follower->id, &follower->place, MOST_TRIALS, &progress,
		&plan_changed, &trials);
	if (state == LIVE_UNKNOWN) {
		if (has_record(events, follower->id))
			tell_end_when_shown(follower, NULL);
		return;
	}
	if (!progress) {
		tell_end(follower, NULL);
		return;
	}
	if (!follower->greeted || plan_changed)
		tell(follower, "run", (int64_t)(follower->place.trials - json_array_size(trials)),
			progress);
	follower->greeted = true;
	tell_trials(follower, trials, progress);
	if (state != follower->state && follower->state != LIVE_UNKNOWN && state != LIVE_ENDED)
		tell(follower, "state", -1, progress);
	follower->state = state;
	if (state == LIVE_ENDED)
		tell_end_when_shown(follower, progress);
}

static void look_at_store(struct follower *follower)
{
	struct events *events = follower->events;
	int64_t generation = store_generation(events->store);
	uint64_t live = live_generation(events->live);

	if (generation != follower->generation) {
		_cleanup_json_ json_t *data =
			json_pack("{s:I}", "generation", (json_int_t)generation);

		tell(follower, "index", -1, data);
	}
	if (live != follower->live_generation) {
		_cleanup_json_ json_t *data = json_pack("{s:o}", "runs", live_list(events->live));

		tell(follower, "live", -1, data);
	}
	follower->generation = generation;
	follower->live_generation = live;
}

static void look(struct follower *follower)
{
	if (follower->id)
		look_at_run(follower);
	else
		look_at_store(follower);
}

static void destroy(struct follower *follower)
{
	g_string_free(follower->pending, TRUE);
	g_string_free(follower->news, TRUE);
	free(follower->id);
	free(follower);
}

static void wake(struct follower *follower)
{
	if (!follower->suspended || (follower->pending->len == 0 && !follower->ended))
		return;
	follower->suspended = false;
	MHD_resume_connection(follower->connection);
}

/* Puts what is new where the daemon takes it from. */
static void hand_over(struct follower *follower)
{
	if (follower->news->len == 0 && follower->pending->len == 0 &&
		deadline_passed(follower->beat)) {
		g_string_append(follower->news, ":\n\n");
		follower->beat = deadline_after_ms(BEAT_MS);
	}
	g_string_append_len(follower->pending, follower->news->str, (gssize)follower->news->len);
	g_string_set_size(follower->news, 0);
	follower->ended = follower->ended || follower->last;
	wake(follower);
}

/* The lock is held, but not while journals are read. */
static void look_for(struct events *events, struct follower *follower)
{
	if (follower->pending->len < MOST_PENDING && !follower->ended) {
		events->looked_for = follower;
		pthread_mutex_unlock(&events->lock);
		look(follower);
		pthread_mutex_lock(&events->lock);
		events->looked_for = NULL;
	}
	if (follower->gone)
		destroy(follower);
	else
		hand_over(follower);
}

static void *watch(void *context)
{
	struct events *events = context;
	struct pollfd pfd = {.fd = events->stop_fd, .events = POLLIN};
	bool over = false;

	while (!over) {
		pthread_mutex_lock(&events->lock);
		bool idle = events->followers->len == 0;

		/* some may come or go meanwhile: who is missed has its turn at the next look */
		for (guint i = 0; i < events->followers->len && !events->over; i++)
			look_for(events, events->followers->pdata[i]);
		pthread_mutex_unlock(&events->lock);
		/* without followers it sleeps until one comes */
		if (poll(&pfd, 1, idle ? -1 : LOOK_MS) > 0) {
			eventfd_t value;

			eventfd_read(events->stop_fd, &value);
		}
		pthread_mutex_lock(&events->lock);
		over = events->over;
		pthread_mutex_unlock(&events->lock);
	}
	return NULL;
}

/* ---- followers ---- */

static ssize_t read_some(void *context, uint64_t position, char *buffer, size_t size)
{
	struct follower *follower = context;
	GString *pending = follower->pending;
	ssize_t n = 0;

	(void)position;
	pthread_mutex_lock(&follower->events->lock);
	if (pending->len > 0) {
		n = (ssize_t)(pending->len < size ? pending->len : size);
		memcpy(buffer, pending->str, (size_t)n);
		g_string_erase(pending, 0, n);
	} else if (follower->ended || follower->events->over) {
		n = MHD_CONTENT_READER_END_OF_STREAM;
	} else {
		follower->suspended = true;
		MHD_suspend_connection(follower->connection);
	}
	pthread_mutex_unlock(&follower->events->lock);
	return n;
}

static void forget(void *context)
{
	struct follower *follower = context;
	struct events *events = follower->events;

	pthread_mutex_lock(&events->lock);
	g_ptr_array_remove(events->followers, follower);
	follower->gone = events->looked_for == follower;
	bool ours = !follower->gone;

	pthread_mutex_unlock(&events->lock);
	if (ours)
		destroy(follower);
}

static struct follower *make_follower(
	struct events *events, struct MHD_Connection *connection, const char *id, const char *last)
{
	struct follower *follower = calloc(1, sizeof(*follower));
	unsigned long told = last ? strtoul(last, NULL, 10) : 0;

	if (!follower)
		abort();
	follower->events = events;
	follower->connection = connection;
	follower->id = id ? format_string("%s", id) : NULL;
	/* at once, so that the client knows that it is connected */
	follower->pending = g_string_new("retry: 2000\n\n");
	follower->news = g_string_new("");
	follower->beat = deadline_after_ms(BEAT_MS);
	follower->generation = -1; /* whatever it is, it is told */
	follower->place.trials = told < 1000000 ? told : 0;
	return follower;
}

struct MHD_Response *events_follow(
	struct events *events, struct MHD_Connection *connection, const char *id, const char *last)
{
	struct MHD_Response *response = NULL;
	struct follower *follower;

	pthread_mutex_lock(&events->lock);
	if (!events->over && events->followers->len < EVENTS_FOLLOWERS) {
		follower = make_follower(events, connection, id, last);
		response = MHD_create_response_from_callback(
			MHD_SIZE_UNKNOWN, 4096, read_some, follower, forget);
		if (!response)
			abort();
		g_ptr_array_add(events->followers, follower);
	}
	pthread_mutex_unlock(&events->lock);
	if (!response)
		return NULL;
	eventfd_write(events->stop_fd, 1);
	answer_secure(response);
	MHD_add_response_header(response, "Content-Type", "text/event-stream");
	MHD_add_response_header(response, "Cache-Control", "no-store");
	MHD_add_response_header(response, "X-Accel-Buffering", "no");
	return response;
}

struct error *events_create(struct store *store, struct live *live, struct events **events)
{
	struct events *made = calloc(1, sizeof(*made));

	if (!made)
		abort();
	made->store = store;
	made->live = live;
	made->reader.store = store;
	pthread_mutex_init(&made->lock, NULL);
	made->followers = g_ptr_array_new();
	made->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	made->started = made->stop_fd >= 0 && pthread_create(&made->thread, NULL, watch, made) == 0;
	if (!made->started) {
		events_destroy(made);
		return error_new(ERROR_SETUP, "cannot start the thread that tells what is new");
	}
	*events = made;
	return NULL;
}

void events_end(struct events *events)
{
	if (!events || !events->started)
		return;
	pthread_mutex_lock(&events->lock);
	events->over = true;
	pthread_mutex_unlock(&events->lock);
	eventfd_write(events->stop_fd, 1);
	pthread_join(events->thread, NULL);
	events->started = false;
	pthread_mutex_lock(&events->lock);
	for (guint i = 0; i < events->followers->len; i++) {
		struct follower *follower = events->followers->pdata[i];

		follower->ended = true;
		wake(follower);
	}
	pthread_mutex_unlock(&events->lock);
}

void events_destroy(struct events *events)
{
	if (!events)
		return;
	events_end(events);
	reader_deinit(&events->reader);
	g_ptr_array_free(events->followers, TRUE);
	if (events->stop_fd >= 0)
		close(events->stop_fd);
	pthread_mutex_destroy(&events->lock);
	free(events);
}
