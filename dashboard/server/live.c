/* Runs in progress: see live.h. */
#include "dashboard/server/live.h"

#include "dashboard/server/api.h"
#include "harness/base/clock.h"
#include "harness/base/fs.h"
#include "harness/engine/journal.h"
#include "harness/engine/plan.h"
#include "harness/record/samples.h"

#include <dirent.h>
#include <fcntl.h>
#include <glib.h>
#include <pthread.h>
#include <string.h>

/* Followers may ask as often as they like: files are looked at this often. */
#define LOOK_EVERY_NS (200 * NSEC_PER_MSEC)

/* One run whose journal is known. */
struct live_run {
	char *id;
	int fd; /* of the journal, for its lock */
	struct journal_reader *reader;
	json_t *header;	 /* of the journal; NULL: not read yet */
	GPtrArray *told; /* json_t: its trials, without samples */
	size_t plans;
	enum live_state state;
	bool damaged;
	json_int_t ok, failed, invalid, skipped;
	double spent_s, spent_expected_s;
	int64_t looked_ns;
};

struct live {
	struct store *store;
	pthread_mutex_t lock;
	GHashTable *runs;     /* by id */
	struct timespec seen; /* when runs/ had last changed, as of the last look */
	int64_t looked_ns;
	GPtrArray *open; /* ids of unfinished runs, the newest first */
	uint64_t generation;
};

static void destroy_run(void *data)
{
	struct live_run *run = data;

	journal_reader_destroy(run->reader);
	if (run->fd >= 0)
		close(run->fd);
	json_decref(run->header);
	g_ptr_array_free(run->told, TRUE);
	free(run->id);
	free(run);
}

static void decref(void *value)
{
	json_decref(value);
}

struct live *live_create(struct store *store)
{
	struct live *live = calloc(1, sizeof(*live));

	if (!live)
		abort();
	live->store = store;
	pthread_mutex_init(&live->lock, NULL);
	live->runs = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, destroy_run);
	live->open = g_ptr_array_new_with_free_func(free);
	live->generation = 1;
	return live;
}

void live_destroy(struct live *live)
{
	if (!live)
		return;
	g_hash_table_destroy(live->runs);
	g_ptr_array_free(live->open, TRUE);
	pthread_mutex_destroy(&live->lock);
	free(live);
}

/* ---- one run ---- */

static bool exists(struct live *live, const char *id, const char *name)
{
	_cleanup_free_ char *path = format_string("runs/%s/%s", id, name);
	struct stat status;

	return fstatat(store_root(live->store), path, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool has_record(struct live *live, const char *id)
{
	_cleanup_free_ char *path = format_string("runs/%s.json", id);
	struct stat status;

	return fstatat(store_root(live->store), path, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

static const json_t *planned(const struct live_run *run)
{
	return json_object_get(json_object_get(run->header, "plan"), "trials");
}

static void take_trial(struct live_run *run, const json_t *trial)
{
	static const char *const outcomes[] = {"ok", "failed", "invalid", "skipped"};
	json_int_t *const counts[] = {&run->ok, &run->failed, &run->invalid, &run->skipped};

	if (!json_is_object(trial))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++)
		*counts[i] += strcmp(json_text(trial, "outcome"), outcomes[i]) == 0;
	run->spent_s += json_number(trial, "wall_s", 0);
	run->spent_expected_s += plan_trial_seconds(json_array_get(planned(run), run->told->len));
	g_ptr_array_add(run->told, api_trial(trial));
}

static void take_line(struct live_run *run, const json_t *line)
{
	json_t *value;

	if ((value = json_object_get(line, "run")) && !run->header && json_is_object(value))
		run->header = json_copy(value);
	else if ((value = json_object_get(line, "plan")) && run->header)
		json_object_set(run->header, "plan", value);
	else if ((value = json_object_get(line, "trial")) && run->header)
		take_trial(run, value);
	if (!json_object_get(line, "trial"))
		run->plans++;
}

/* Reads what the journal has more; true when that was anything. */
static bool read_on(struct live_run *run)
{
	bool any = false;

	while (!run->damaged) {
		_cleanup_json_ json_t *line = NULL;
		struct error *err = journal_reader_next(run->reader, &line);

		run->damaged = err != NULL;
		error_destroy(err);
		if (!line)
			break;
		take_line(run, line);
		any = true;
	}
	return any;
}

/* A run that ends writes its record while it holds the journal, and "complete" last. */
static enum live_state state_of(struct live *live, const struct live_run *run)
{
	if (journal_is_written(run->fd))
		return LIVE_RUNNING;
	if (exists(live, run->id, "complete"))
		return LIVE_ENDED;
	/* of one that its budget ended, too */
	return has_record(live, run->id) ? LIVE_ENDED : LIVE_INTERRUPTED;
}

static void look_at(struct live *live, struct live_run *run)
{
	int64_t now = clock_now_ns();
	enum live_state state;

	if (run->looked_ns && now - run->looked_ns < LOOK_EVERY_NS)
		return;
	run->looked_ns = now;
	/* the state first: what was written before it changed is then read */
	state = state_of(live, run);
	if (read_on(run) || state != run->state)
		live->generation++;
	run->state = state;
}

/* Opens the journal; NULL when there is none. */
static struct live_run *open_run(struct live *live, const char *id)
{
	_cleanup_free_ char *path = format_string("runs/%s/journal.jsonl", id);
	struct live_run *run;
	struct error *err;
	int fd;

	err = fs_open_beneath(store_root(live->store), path, &fd, NULL);
	if (err) {
		error_destroy(err);
		return NULL;
	}
	run = calloc(1, sizeof(*run));
	if (!run)
		abort();
	run->id = format_string("%s", id);
	run->fd = fd;
	run->reader = journal_reader_create(fcntl(fd, F_DUPFD_CLOEXEC, 0));
	run->told = g_ptr_array_new_with_free_func(decref);
	g_hash_table_insert(live->runs, run->id, run);
	return run;
}

/* Ended runs that somebody followed once are not kept for ever. */
static void make_room(struct live *live)
{
	GHashTableIter iterator;
	void *value;

	if (g_hash_table_size(live->runs) < 2 * LIVE_RUNS)
		return;
	g_hash_table_iter_init(&iterator, live->runs);
	while (g_hash_table_iter_next(&iterator, NULL, &value)) {
		if (((struct live_run *)value)->state == LIVE_ENDED)
			g_hash_table_iter_remove(&iterator);
	}
	if (g_hash_table_size(live->runs) >= 2 * LIVE_RUNS)
		g_hash_table_remove_all(live->runs);
}

/* `now`: as it is at this moment, not up to LOOK_EVERY_NS ago. */
static struct live_run *find_run(struct live *live, const char *id, bool now)
{
	struct live_run *run = g_hash_table_lookup(live->runs, id);

	if (!run) {
		make_room(live);
		run = open_run(live, id);
	}
	if (run && now)
		run->looked_ns = 0;
	if (run)
		look_at(live, run);
	return run;
}

/* ---- all runs ---- */

static int newest_first(const void *a, const void *b)
{
	return strcmp(*(char *const *)b, *(char *const *)a);
}

DEFINE_CLEANUP(dir, DIR *, closedir)

/* Directories in runs/ that have a journal, and no record of a complete run. Looked for only when
 * runs/ has changed: there may be ten thousand. */
static void find_open(struct live *live)
{
	int64_t now = clock_now_ns();
	struct stat status;

	if (live->looked_ns && now - live->looked_ns < LOOK_EVERY_NS)
		return;
	live->looked_ns = now;
	if (fstatat(store_root(live->store), "runs", &status, AT_SYMLINK_NOFOLLOW) < 0 ||
		(status.st_mtim.tv_sec == live->seen.tv_sec &&
			status.st_mtim.tv_nsec == live->seen.tv_nsec))
		return;
	int fd = openat(
		store_root(live->store), "runs", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_(cleanup_dir) DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	if (!dir)
		return;
	g_ptr_array_set_size(live->open, 0);
	while ((entry = readdir(dir))) {
		if ((entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN) ||
			!request_is_name(entry->d_name) || exists(live, entry->d_name, "complete"))
			continue;
		g_ptr_array_add(live->open, format_string("%s", entry->d_name));
	}
	g_ptr_array_sort(live->open, newest_first);
	if (live->open->len > LIVE_RUNS)
		g_ptr_array_set_size(live->open, LIVE_RUNS);
	/* a change in the same tick of the file system's clock must not be missed */
	if (time(NULL) > status.st_mtim.tv_sec + 1)
		live->seen = status.st_mtim;
}

static bool is_open(const struct live_run *run)
{
	return run && run->header && (run->state == LIVE_RUNNING || run->state == LIVE_INTERRUPTED);
}

/* ---- telling ---- */

static double seconds_left(const struct live_run *run)
{
	double factor = run->spent_expected_s > 0 ? run->spent_s / run->spent_expected_s : 1;
	double left = 0;

	for (size_t i = run->told->len; i < json_array_size(planned(run)); i++)
		left += plan_trial_seconds(json_array_get(planned(run), i)) * factor;
	return left;
}

static json_t *describe(const struct live_run *run)
{
	static const char *const states[] = {[LIVE_RUNNING] = "running",
		[LIVE_INTERRUPTED] = "interrupted",
		[LIVE_ENDED] = "ended"};
	const json_t *plan = json_object_get(run->header, "plan");
	const json_t *next = json_array_get(planned(run), run->told->len);
	double left_s = seconds_left(run);
	json_t *shown = json_pack("{s:s, s:s, s:s, s:s, s:O*, s:O*, s:I, s:I, s:I, s:I, s:I, s:I}",
		"id", run->id, "state", states[run->state], "started",
		json_text(run->header, "started"), "profile", json_text(plan, "profile"),
		"mechanisms", json_object_get(plan, "mechanisms"), "command",
		json_object_get(run->header, "command"), "planned",
		(json_int_t)json_array_size(planned(run)), "finished", (json_int_t)run->told->len,
		"ok", run->ok, "failed", run->failed, "invalid", run->invalid, "skipped",
		run->skipped);

	json_object_set(shown, "expected_s", json_object_get(plan, "expected_s"));
	if (left_s > 0)
		json_object_set_new(shown, "left_s", json_real(left_s));
	if (next && run->state == LIVE_RUNNING)
		json_object_set(shown, "trial", (json_t *)next);
	return shown;
}

json_t *live_list(struct live *live)
{
	json_t *list = json_array();

	pthread_mutex_lock(&live->lock);
	find_open(live);
	for (guint i = 0; i < live->open->len; i++) {
		const struct live_run *run = find_run(live, live->open->pdata[i], false);

		if (is_open(run))
			json_array_append_new(list, describe(run));
	}
	pthread_mutex_unlock(&live->lock);
	return list;
}

json_t *live_of(struct live *live, const char *id)
{
	json_t *shown = NULL;

	pthread_mutex_lock(&live->lock);
	const struct live_run *run = find_run(live, id, true);

	if (is_open(run))
		shown = describe(run);
	pthread_mutex_unlock(&live->lock);
	return shown;
}

char *live_running(struct live *live)
{
	char *id = NULL;

	pthread_mutex_lock(&live->lock);
	find_open(live);
	for (guint i = 0; i < live->open->len && !id; i++) {
		const struct live_run *run = find_run(live, live->open->pdata[i], false);

		if (is_open(run) && run->state == LIVE_RUNNING)
			id = format_string("%s", run->id);
	}
	pthread_mutex_unlock(&live->lock);
	return id;
}

enum live_state live_news(struct live *live, const char *id, struct live_place *place, size_t most,
	json_t **progress, bool *plan_changed, json_t **trials)
{
	enum live_state state = LIVE_UNKNOWN;

	*progress = NULL;
	*plan_changed = false;
	*trials = json_array();
	pthread_mutex_lock(&live->lock);
	const struct live_run *run = find_run(live, id, false);

	if (run && run->header) {
		state = run->state;
		*progress = describe(run);
		*plan_changed = place->plans != run->plans;
		place->plans = run->plans;
		for (; most > 0 && place->trials < run->told->len; most--)
			json_array_append(*trials, run->told->pdata[place->trials++]);
		/* the end comes after all that came before it */
		if (state == LIVE_ENDED && place->trials < run->told->len)
			state = LIVE_RUNNING;
	}
	pthread_mutex_unlock(&live->lock);
	return state;
}

uint64_t live_generation(struct live *live)
{
	uint64_t generation;

	pthread_mutex_lock(&live->lock);
	find_open(live);
	for (guint i = 0; i < live->open->len; i++)
		find_run(live, live->open->pdata[i], false);
	generation = live->generation;
	pthread_mutex_unlock(&live->lock);
	return generation;
}
