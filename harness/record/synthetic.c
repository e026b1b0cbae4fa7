/* Records that nobody measured: see synthetic.h. Must never make one that does not say so. */
#include "harness/record/synthetic.h"

#include "harness/base/clock.h"
#include "harness/base/fs.h"
#include "harness/base/parallel.h"
#include "harness/record/record.h"
#include "harness/record/samples.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysinfo.h>

#define NIGHT_S 86400
/* The last night begins 2026-01-01 at two; more nights than twenty years have are closer. */
#define LAST_NIGHT_S 1767232800
#define LONGEST_S (20 * 365 * (time_t)NIGHT_S)

#define NOISE 0.03
#define NIGHT_NOISE 0.01
#define NEW_KERNEL_FROM 0.6
#define NEW_COMMIT_FROM 0.8
#define SLOWER 1.15

#define PAIRS 8

bool store_is_synthetic(const char *results_dir)
{
	_cleanup_free_ char *path = format_string("%s/%s", results_dir, SYNTHETIC_MARK);

	return access(path, F_OK) == 0;
}

const char *store_refuses(bool store_synthetic, const json_t *record)
{
	bool synthetic = json_is_true(json_object_get(record, "synthetic"));

	if (synthetic == store_synthetic)
		return NULL;
	return synthetic ? "a synthetic record: it does not belong among what was measured"
			 : "a measured record: it does not belong among synthetic ones";
}

/* ---- the middle ---- */

static void add_trial(json_t *record, const char *variant, const char *role, int pair, double us)
{
	json_t *trials = json_object_get(record, "trials");
	json_t *planned = json_object_get(json_object_get(record, "plan"), "trials");
	int index = (int)json_array_size(trials);

	json_array_append_new(
		planned, json_pack("{s:i, s:s, s:s, s:i, s:i, s:s}", "index", index, "mechanism",
				 "shmipc", "experiment", "roundtrip", "block", pair / 2, "half",
				 pair % 2, "variant", variant));
	json_array_append_new(trials,
		json_pack("{s:i, s:s, s:s, s:i, s:i, s:s, s:s, s:{s:i}, s:s,"
			  " s:[{s:s, s:s, s:{s:i}, s:[f]}], s:[{s:s, s:s, s:b}], s:f, s:f}",
			"index", index, "mechanism", "shmipc", "experiment", "roundtrip", "block",
			pair / 2, "half", pair % 2, "variant", variant, "role", role, "parameters",
			"ints", 8192, "outcome", "ok", "samples", "metric", "roundtrip", "unit",
			"us", "at", "ints", 8192, "values", us, "evidence", "name", "region",
			"text", "synthetic", "ok", 1, "wall_s", 0.5, "disk_bytes", 200.0));
}

/* Paper C in the small: three variants, eight pairs. */
static json_t *small_record(void)
{
	json_t *record = json_pack(
		"{s:s, s:s, s:s, s:s, s:{s:s, s:s}, s:[s], s:{s:{s:s, s:s}, s:{s:s, s:s, s:i},"
		" s:{s:s, s:s}, s:{s:s}}, s:[{s:s, s:s}], s:{s:i, s:s, s:[s], s:[]}, s:[]}",
		"schema", "fleetlab.run/1", "id", "synthetic", "started", "", "state", "complete",
		"build", "version", "0", "commit", "0", "command", "synthetic", "host",
		"accelerator", "name", "tcg", "reason", "synthetic", "cpu", "model",
		"Synthetic CPU", "microcode", "0x1", "cores", 2, "kernel", "release",
		"6.1.0-synthetic", "machine", "x86_64", "qemu", "version", "7.2.0", "images",
		"name", "synthetic", "hash", "0", "plan", "seed", 1, "profile", "nightly",
		"mechanisms", "shmipc", "trials", "trials");

	for (int pair = 0; record && pair < PAIRS; pair++) {
		add_trial(record, "shm-polling", "subject", pair, 40);
		add_trial(record, "tcp-naive", "baseline", pair, 4400);
		add_trial(record, "tcp-nodelay", "baseline", pair, 1800);
	}
	return record;
}

/* ---- a night ---- */

/* splitmix64 (Steele, Lea, Flood 2014): a uniform number in [0, 1). */
static double uniform(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

/* About normal around 1: the sum of four uniform numbers has a variance of a third. */
static double noise(uint64_t *state, double share)
{
	double sum = uniform(state) + uniform(state) + uniform(state) + uniform(state) - 2;

	return 1 + share * sum * 1.7320508;
}

static bool is_time(const char *unit)
{
	return strcmp(unit, "ns") == 0 || strcmp(unit, "us") == 0 || strcmp(unit, "ms") == 0 ||
	       strcmp(unit, "s") == 0;
}

/* Counts and flags stay as they are: only what can have noise gets some. */
static void shake(json_t *sample, double factor, uint64_t *state)
{
	json_t *values = json_object_get(sample, "values"), *value;
	size_t i;

	json_array_foreach (values, i, value) {
		if (json_is_real(value))
			json_array_set_new(values, i,
				json_real(json_real_value(value) * factor * noise(state, NOISE)));
	}
}

static void shake_trials(json_t *record, bool slower, uint64_t *state)
{
	double night = noise(state, NIGHT_NOISE);
	json_t *trial, *sample;
	size_t i, j;

	json_array_foreach (json_object_get(record, "trials"), i, trial) {
		bool subject = strcmp(json_text(trial, "role"), "subject") == 0;

		json_array_foreach (json_object_get(trial, "samples"), j, sample) {
			bool longer = slower && subject && is_time(json_text(sample, "unit"));

			shake(sample, night * (longer ? SLOWER : 1), state);
		}
	}
}

static void set_name(json_t *record, time_t when, uint64_t *state)
{
	char compact[24], plain[24];

	clock_format_utc(when, true, compact, sizeof(compact));
	json_object_set_new(record, "id",
		json_sprintf("%s-%06x", compact, (unsigned int)(uniform(state) * 0x1000000)));
	clock_format_utc(when, false, plain, sizeof(plain));
	json_object_set_new(record, "started", json_string(plain));
	clock_format_utc(when + 600, false, plain, sizeof(plain));
	json_object_set_new(record, "finished", json_string(plain));
	json_object_set_new(record, "synthetic", json_true());
}

/* Nested objects are shared with the original: what is changed is copied first. */
static void set_below(json_t *record, const char *object, const char *key, json_t *value)
{
	json_t *copy = json_copy(json_object_get(record, object));

	if (!json_is_object(copy)) {
		json_decref(copy);
		copy = json_object();
	}
	json_object_set_new(copy, key, value);
	json_object_set_new(record, object, copy);
}

static void set_kernel(json_t *record, bool newer)
{
	const json_t *kernel = json_object_get(json_object_get(record, "host"), "kernel");
	const char *release = json_text(kernel, "release");
	json_t *copy = json_copy((json_t *)kernel);

	if (!json_is_object(copy)) {
		json_decref(copy);
		copy = json_object();
	}
	json_object_set_new(copy, "release", json_sprintf("%s%s", release, newer ? "-next" : ""));
	set_below(record, "host", "kernel", copy);
}

struct error *synthetic_night(
	const struct synthetic_options *options, size_t index, json_t **record)
{
	double at = ((double)index + 0.5) / (double)options->count;
	double step = (double)options->count * NIGHT_S > (double)LONGEST_S
			      ? (double)LONGEST_S / (double)options->count
			      : NIGHT_S;
	time_t when = LAST_NIGHT_S - (time_t)(step * (double)(options->count - 1 - index));
	uint64_t state = options->seed * 0x9e3779b97f4a7c15 + index;
	_cleanup_json_ json_t *middle =
		options->like ? json_incref((json_t *)options->like) : small_record();
	_cleanup_json_ json_t *made = json_copy(middle);
	_cleanup_json_ json_t *trials = json_deep_copy(json_object_get(middle, "trials"));
	json_t *claims;
	char digest[33];

	json_object_del(made, "digest");
	json_object_set(made, "trials", trials);
	set_name(made, when, &state);
	set_kernel(made, at >= NEW_KERNEL_FROM);
	set_below(made, "build", "commit",
		json_string(at >= NEW_COMMIT_FROM ? "5e7e711c0002" : "5e7e711c0001"));
	shake_trials(made, at >= NEW_COMMIT_FROM, &state);
	/* as runs have: no two records draw the same resamples */
	set_below(made, "plan", "seed", json_integer((json_int_t)(uniform(&state) * UINT32_MAX)));
	try_(record_grade(made, &claims));
	json_object_set_new(made, "claims", claims);
	record_digest(made, digest);
	json_object_set_new(made, "digest", json_string(digest));
	*record = take_ptr(made);
	return NULL;
}

/* ---- a store ---- */

struct store {
	const struct synthetic_options *options;
	const char *results_dir;
	size_t first;
};

/* Without the fsync of a real record's: there is nothing to lose. */
static struct error *write_night(size_t item, void *context)
{
	const struct store *store = context;
	_cleanup_json_ json_t *record = NULL;
	_cleanup_free_ char *path = NULL;
	_cleanup_free_ char *text = NULL;
	_cleanup_close_ int fd = -1;

	try_(synthetic_night(store->options, store->first + item, &record));
	path = format_string("%s/runs/%s.json", store->results_dir, json_text(record, "id"));
	text = json_dumps(record, JSON_INDENT(1));
	if (!text)
		return error_new(ERROR_INTERNAL, "a synthetic record is no valid JSON");
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return error_errno(errno, "cannot create %s", path);
	return fs_write_all(fd, text, strlen(text), path);
}

static struct error *mark(const char *results_dir)
{
	static const char text[] = "The records below runs/ are synthetic: made by a program, not "
				   "measured.\n";
	_cleanup_free_ char *path = format_string("%s/%s", results_dir, SYNTHETIC_MARK);
	_cleanup_free_ char *runs = format_string("%s/runs", results_dir);
	char **paths;
	size_t count;

	try_(fs_make_dirs(runs));
	if (store_is_synthetic(results_dir))
		return NULL;
	try_(record_list(results_dir, &paths, &count));
	record_list_destroy(paths, count);
	if (count > 0)
		return error_hint(error_new(ERROR_USAGE,
					  "%s has records that were measured: synthetic ones "
					  "cannot go there",
					  results_dir),
			"name an empty directory");
	return fs_write_atomic(path, text, strlen(text));
}

struct error *synthetic_store(const struct synthetic_options *options, const char *results_dir,
	void (*progress)(size_t done, size_t total))
{
	struct store store = {.options = options, .results_dir = results_dir};

	try_(mark(results_dir));
	while (store.first < options->count) {
		size_t left = options->count - store.first;
		size_t size = left < 256 ? left : 256;

		try_(parallel_for(size, (size_t)get_nprocs(), write_night, &store));
		store.first += size;
		if (progress)
			progress(store.first, options->count);
	}
	return NULL;
}
