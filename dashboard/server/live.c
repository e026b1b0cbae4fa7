/* Runs in progress: see live.h. Must never read much of a journal at a time, nor keep more of it
 * than a bounded amount: it may be another host's. */
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
/* A run that is resumed does not change runs/: what is in it is looked through this often, too. */
#define FIND_EVERY_NS (5 * NSEC_PER_SEC)
/* Who follows a run looks at it more often than this. */
#define FOLLOWED_NS (10 * NSEC_PER_SEC)
/* And so much is read before others have their turn: what is more comes with the next look. */
#define LOOK_BYTES ((size_t)4 << 20)
#define LINE_BYTES ((size_t)256) /* that a short line costs, too */
/* Kept of one run, and of all that nobody writes any more. */
#define RUN_BYTES ((size_t)32 << 20)
#define ALL_BYTES ((size_t)128 << 20)
/* What followers are told as one piece, and about how much of it at a time. */
#define PIECE_BYTES ((size_t)64 << 10)
#define NEWS_BYTES ((size_t)256 << 10)

/* One run whose journal is known. */
struct live_run {
	struct live *live;
	char *id;
	int fd; /* of the journal, for its lock */
	struct journal_reader *reader;
	json_t *header;	 /* of the journal; NULL: not read yet */
	GPtrArray *told; /* its trials, without samples, as JSON texts */
	size_t bytes;	 /* of both, and of the plan in the header */
	size_t plan_bytes;
	size_t plans;
	enum live_state state;
	bool written;	  /* by a process, now */
	bool followed;	  /* it was seen before its end */
	bool behind;	  /* there is more of the journal than was read */
	char *trouble;	  /* why nothing more of it is read; NULL: it is */
	bool crowded_out; /* that is for want of room, which there may be again */
	json_int_t ok, failed, invalid, skipped;
	double spent_s, spent_expected_s;
	int64_t looked_ns;
};

struct live {
	struct store *store;
	pthread_mutex_t lock;
	dev_t device; /* of the directory that all of this is about */
	ino_t inode;
	GHashTable *runs;     /* by id */
	struct timespec seen; /* when runs/ had last changed, as of the last look */
	int64_t looked_ns, found_ns, dropped_ns;
	GPtrArray *open; /* ids of unfinished runs, the one written last first */
	size_t bytes;	 /* kept of all runs */
	size_t to_read;	 /* at this look */
	uint64_t generation;
};

static void destroy_run(void *data)
{
	struct live_run *run = data;

	run->live->bytes -= run->bytes;
	journal_reader_destroy(run->reader);
	if (run->fd >= 0)
		close(run->fd);
	json_decref(run->header);
	g_ptr_array_free(run->told, TRUE);
	free(run->trouble);
	free(run->id);
	free(run);
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

/* What was known of a results directory says nothing about another that has come to its path. */
static void follow_root(struct live *live)
{
	struct stat status;

	if (fstat(store_root(live->store), &status) < 0 ||
		(status.st_dev == live->device && status.st_ino == live->inode))
		return;
	live->device = status.st_dev;
	live->inode = status.st_ino;
	g_hash_table_remove_all(live->runs);
	g_ptr_array_set_size(live->open, 0);
	live->seen = (struct timespec){0};
	live->looked_ns = live->found_ns = 0;
	live->generation++;
}

static void begin(struct live *live)
{
	pthread_mutex_lock(&live->lock);
	follow_root(live);
	live->to_read = LOOK_BYTES;
}

static void end(struct live *live)
{
	pthread_mutex_unlock(&live->lock);
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

static void keep(struct live_run *run, size_t bytes)
{
	run->bytes += bytes;
	run->live->bytes += bytes;
}

/* Nothing more of the run's journal is read, and little is kept. */
static void give_up(struct live_run *run, const char *why)
{
	free(run->trouble);
	run->trouble = format_string("%s", why);
	run->live->bytes -= run->bytes;
	run->bytes = run->plan_bytes = 0;
	g_ptr_array_set_size(run->told, 0);
	json_decref(run->header);
	run->header = json_object();
	run->plans++;
}

static void check_bytes(struct live_run *run)
{
	if (run->trouble)
		return;
	if (run->bytes > RUN_BYTES)
		give_up(run, "the journal is too large to be followed");
	else if (run->live->bytes > ALL_BYTES && !run->written) {
		give_up(run, "too much is followed already: runs that are not to be resumed can "
			     "be removed from the results directory");
		run->crowded_out = true;
	}
}

static void take_trial(struct live_run *run, const json_t *trial)
{
	static const char *const outcomes[] = {"ok", "failed", "invalid", "skipped"};
	json_int_t *const counts[] = {&run->ok, &run->failed, &run->invalid, &run->skipped};
	_cleanup_json_ json_t *shown = NULL;
	char *text;

	if (!json_is_object(trial))
		return;
	shown = api_trial(trial);
	text = json_dumps(shown, JSON_COMPACT);
	if (!text || strlen(text) > PIECE_BYTES) {
		free(text);
		give_up(run, "the journal has a trial that is too large to be told");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++)
		*counts[i] += strcmp(json_text(trial, "outcome"), outcomes[i]) == 0;
	run->spent_s += json_number(trial, "wall_s", 0);
	run->spent_expected_s += plan_trial_seconds(json_array_get(planned(run), run->told->len));
	g_ptr_array_add(run->told, text);
	keep(run, strlen(text) + LINE_BYTES);
}

static bool is_piece(const json_t *value)
{
	return json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY) <= PIECE_BYTES;
}

static bool are_pieces(const json_t *trials)
{
	const json_t *trial;
	size_t i;

	json_array_foreach (trials, i, trial) {
		if (!is_piece(trial))
			return false;
	}
	return true;
}

/* Whether all can be told that describe() tells of the header. */
static bool can_be_told(const json_t *header)
{
	const json_t *plan = json_object_get(header, "plan");

	return is_piece(json_object_get(header, "started")) &&
	       is_piece(json_object_get(header, "command")) &&
	       is_piece(json_object_get(plan, "profile")) &&
	       is_piece(json_object_get(plan, "mechanisms")) &&
	       is_piece(json_object_get(plan, "expected_s")) &&
	       are_pieces(json_object_get(plan, "trials"));
}

/* A whole plan takes the place of the one before; trials that are `planned` stand beside the
 * others: only they are looked at, since there may be a line for each block. */
static void keep_plan(struct live_run *run, const json_t *planned)
{
	size_t bytes = journal_reader_memory(run->reader);

	if (!planned) {
		run->bytes -= run->plan_bytes;
		run->live->bytes -= run->plan_bytes;
		run->plan_bytes = 0;
	}
	run->plan_bytes += bytes;
	keep(run, bytes);
	if (planned ? !are_pieces(planned) : !can_be_told(run->header))
		give_up(run, "the journal has a plan that is too large to be told");
}

static void take_line(struct live_run *run, const json_t *line)
{
	json_t *value;

	if ((value = json_object_get(line, "run")) && !run->header && json_is_object(value)) {
		run->header = json_copy(value);
		keep_plan(run, NULL);
	} else if ((value = json_object_get(line, "trial")) && run->header) {
		take_trial(run, value);
	} else if (run->header && journal_take_plan(run->header, line)) {
		keep_plan(run, json_object_get(line, "planned"));
	}
	if (!json_object_get(line, "trial"))
		run->plans++;
	check_bytes(run);
}

static void stop_reading(struct live_run *run, const struct error *err)
{
	/* what is too large can be asked for otherwise; what is damaged is no run */
	if (error_kind(err) == ERROR_USAGE)
		give_up(run, error_message(err));
	else
		run->trouble = format_string("%s", error_message(err));
}

/* Reads what the journal has more, little more than *most bytes; true when that was anything. */
static bool read_on(struct live_run *run, size_t *most)
{
	bool any = false;

	run->behind = false;
	while (!run->trouble) {
		_cleanup_json_ json_t *line = NULL;
		_cleanup_error_ struct error *err = NULL;

		run->behind = *most == 0;
		if (run->behind)
			break;
		err = journal_reader_next(run->reader, &line);
		if (err)
			stop_reading(run, err);
		any = any || line || err;
		if (!line)
			break;
		*most -= MIN(*most, journal_reader_bytes(run->reader) + LINE_BYTES);
		take_line(run, line);
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
	/* a run in progress does not wait for those that lie about */
	size_t own = LOOK_BYTES;
	int64_t now = clock_now_ns();
	enum live_state state;
	bool any;

	if (run->looked_ns && now - run->looked_ns < LOOK_EVERY_NS)
		return;
	run->looked_ns = now;
	/* the state first: what was written before it changed is then read */
	state = state_of(live, run);
	run->written = state == LIVE_RUNNING;
	run->followed = run->followed || state != LIVE_ENDED;
	/* of one that had ended before anybody looked its record tells all */
	any = run->followed && read_on(run, run->written ? &own : &live->to_read);
	if (state == LIVE_ENDED && run->behind)
		state = run->state;
	if (any || state != run->state)
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
	run->live = live;
	run->id = format_string("%s", id);
	run->fd = fd;
	run->reader = journal_reader_create(fcntl(fd, F_DUPFD_CLOEXEC, 0));
	run->told = g_ptr_array_new_with_free_func(free);
	g_hash_table_insert(live->runs, run->id, run);
	return run;
}

/* Of runs that somebody followed once, those that have ended, unless their end is being told, and
 * those that are gone. */
static void drop_ended(struct live *live)
{
	int64_t now = clock_now_ns();
	GHashTableIter iterator;
	void *value;

	g_hash_table_iter_init(&iterator, live->runs);
	while (g_hash_table_iter_next(&iterator, NULL, &value)) {
		const struct live_run *run = value;
		bool ended =
			now - run->looked_ns > FOLLOWED_NS && state_of(live, run) == LIVE_ENDED;

		if (ended || !exists(live, run->id, "journal.jsonl"))
			g_hash_table_iter_remove(&iterator);
	}
}

/* They are not kept for ever. */
static void make_room(struct live *live)
{
	if (g_hash_table_size(live->runs) < 2 * LIVE_RUNS)
		return;
	drop_ended(live);
	if (g_hash_table_size(live->runs) >= 2 * LIVE_RUNS)
		g_hash_table_remove_all(live->runs);
}

/* Half of it, so that what comes back is not crowded out again at once. */
static bool has_room(struct live *live)
{
	int64_t now = clock_now_ns();

	if (live->bytes > ALL_BYTES / 2 && now - live->dropped_ns >= LOOK_EVERY_NS) {
		live->dropped_ns = now;
		drop_ended(live);
	}
	return live->bytes <= ALL_BYTES / 2;
}

/* `now`: as it is at this moment, not up to LOOK_EVERY_NS ago. */
static struct live_run *find_run(struct live *live, const char *id, bool now)
{
	struct live_run *run = g_hash_table_lookup(live->runs, id);

	if (run && run->crowded_out) {
		/* one that goes on is followed like any other that is in progress */
		if (journal_is_written(run->fd) || has_room(live))
			g_hash_table_remove(live->runs, id);
		run = g_hash_table_lookup(live->runs, id);
	}
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

struct found_run {
	char *id;
	struct timespec written; /* its journal, last */
};

static int last_written_first(const void *a, const void *b)
{
	const struct found_run *x = a, *y = b;

	if (x->written.tv_sec != y->written.tv_sec)
		return x->written.tv_sec < y->written.tv_sec ? 1 : -1;
	if (x->written.tv_nsec != y->written.tv_nsec)
		return x->written.tv_nsec < y->written.tv_nsec ? 1 : -1;
	return strcmp(y->id, x->id);
}

DEFINE_CLEANUP(dir, DIR *, closedir)

/* Directories in runs/ that have a journal, and no record of a complete run. */
static void read_open(struct live *live, DIR *dir)
{
	GArray *found = g_array_new(FALSE, FALSE, sizeof(struct found_run));
	struct dirent *entry;

	while ((entry = readdir(dir))) {
		_cleanup_free_ char *journal = format_string("%s/journal.jsonl", entry->d_name);
		struct found_run run;
		struct stat status;

		if ((entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN) ||
			!request_is_name(entry->d_name) ||
			exists(live, entry->d_name, "complete") ||
			fstatat(dirfd(dir), journal, &status, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		run = (struct found_run){format_string("%s", entry->d_name), status.st_mtim};
		g_array_append_val(found, run);
	}
	g_array_sort(found, last_written_first);
	g_ptr_array_set_size(live->open, 0);
	for (guint i = 0; i < found->len; i++) {
		char *id = g_array_index(found, struct found_run, i).id;

		if (i < LIVE_RUNS)
			g_ptr_array_add(live->open, id);
		else
			free(id);
	}
	g_array_free(found, TRUE);
}

/* Not more often than it must be: there may be ten thousand. */
static void find_open(struct live *live)
{
	int64_t now = clock_now_ns();
	struct stat status;

	if (live->looked_ns && now - live->looked_ns < LOOK_EVERY_NS)
		return;
	live->looked_ns = now;
	if (fstatat(store_root(live->store), "runs", &status, AT_SYMLINK_NOFOLLOW) < 0 ||
		(status.st_mtim.tv_sec == live->seen.tv_sec &&
			status.st_mtim.tv_nsec == live->seen.tv_nsec && live->found_ns &&
			now - live->found_ns < FIND_EVERY_NS))
		return;
	live->found_ns = now;
	int fd = openat(
		store_root(live->store), "runs", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_(cleanup_dir) DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

	if (!dir)
		return;
	read_open(live, dir);
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
	json_t *shown = json_pack(
		"{s:s, s:s, s:O*, s:O*, s:O*, s:O*, s:I, s:I, s:I, s:I, s:I, s:I, s:s*}", "id",
		run->id, "state", states[run->state], "started",
		json_object_get(run->header, "started"), "profile",
		json_object_get(plan, "profile"), "mechanisms", json_object_get(plan, "mechanisms"),
		"command", json_object_get(run->header, "command"), "planned",
		(json_int_t)json_array_size(planned(run)), "finished", (json_int_t)run->told->len,
		"ok", run->ok, "failed", run->failed, "invalid", run->invalid, "skipped",
		run->skipped, "trouble", run->trouble);

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

	begin(live);
	find_open(live);
	for (guint i = 0; i < live->open->len; i++) {
		const struct live_run *run = find_run(live, live->open->pdata[i], false);

		if (is_open(run))
			json_array_append_new(list, describe(run));
	}
	end(live);
	return list;
}

json_t *live_of(struct live *live, const char *id)
{
	json_t *shown = NULL;

	begin(live);
	const struct live_run *run = find_run(live, id, true);

	if (is_open(run))
		shown = describe(run);
	end(live);
	return shown;
}

char *live_running(struct live *live)
{
	char *id = NULL;

	begin(live);
	find_open(live);
	for (guint i = 0; i < live->open->len && !id; i++) {
		const struct live_run *run = find_run(live, live->open->pdata[i], false);

		if (is_open(run) && run->state == LIVE_RUNNING)
			id = format_string("%s", run->id);
	}
	end(live);
	return id;
}

enum live_state live_news(struct live *live, const char *id, struct live_place *place, size_t most,
	json_t **progress, bool *plan_changed, json_t **trials)
{
	enum live_state state = LIVE_UNKNOWN;

	*progress = NULL;
	*plan_changed = false;
	*trials = json_array();
	begin(live);
	const struct live_run *run = find_run(live, id, false);
	size_t bytes = 0, each;

	if (run && run->state == LIVE_ENDED && !run->followed) {
		state = LIVE_ENDED;
	} else if (run && run->header) {
		state = run->state;
		*progress = describe(run);
		*plan_changed = place->plans != run->plans;
		place->plans = run->plans;
		each = json_dumpb(*progress, NULL, 0, JSON_COMPACT);
		while (most-- > 0 && bytes < NEWS_BYTES && place->trials < run->told->len) {
			const char *text = run->told->pdata[place->trials++];

			json_array_append_new(*trials, json_loads(text, 0, NULL));
			bytes += strlen(text) + each;
		}
		/* the end comes after all that came before it */
		if (state == LIVE_ENDED && place->trials < run->told->len)
			state = LIVE_RUNNING;
	}
	end(live);
	return state;
}

uint64_t live_generation(struct live *live)
{
	uint64_t generation;

	begin(live);
	find_open(live);
	for (guint i = 0; i < live->open->len; i++)
		find_run(live, live->open->pdata[i], false);
	generation = live->generation;
	end(live);
	return generation;
}
